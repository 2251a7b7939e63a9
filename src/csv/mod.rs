//! Reading CSV exactly: bytes in, verdicts and output bytes out. Pure, and knows nothing of this
//! application.
//!
//! [`Layout::read`] looks at the front of a file and says what it is. A [`Pass`] then reads records
//! from slices of it and writes what becomes of them into an [`Output`].
//!
//! Inside, a record is split, then judged, then written, each in a file of its own.

mod cursor;
mod encode;
mod excerpt;
mod failed_csv;
mod first_rows;
mod layout;
mod output;
mod pass;
mod reasons;
mod split;
mod stretches;
mod verdict;

pub use cursor::Cursor;
pub use excerpt::excerpt;
pub use first_rows::{FirstRow, FirstRows};
pub use layout::{Layout, LayoutError, MOST_COLUMNS};
pub use output::{Counts, Output};
pub use pass::Pass;
pub use reasons::{Reason, Reasons};
pub use stretches::{Stretch, Stretches};
