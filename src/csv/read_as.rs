//! How a run reads its file, as it is shown while the run goes on.

use serde::{Deserialize, Serialize};

use super::{Dialect, Reading};

/// The reading of a file, and the dialect that the reader obeys, which also says what a reading has no part
/// for: spaces around quotes, quoted lines, and quotes that are text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadAs {
    pub reading: Reading,
    pub dialect: Dialect,
}
