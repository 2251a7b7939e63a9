//! Reading CSV exactly: bytes in, verdicts and output bytes out. Pure, and knows nothing of this
//! application.
//!
//! [`Layout::read`] looks at the front of a file and says what it is. A [`Pass`] then reads records
//! from slices of it and writes what becomes of them into an [`Output`].

mod layout;
mod output;
mod pass;

pub use layout::{Layout, LayoutError};
pub use output::{Counts, Output};
pub use pass::{Cursor, Pass};
