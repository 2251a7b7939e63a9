//! How a run reads its file, as it is shown while the run goes on.

use serde::{Deserialize, Serialize};

use super::{Dialect, How, Reading, SheetName, Sheets};

/// The reading of a file, and the dialect that the reader obeys, which also says what a reading has no part
/// for: spaces around quotes, quoted lines, and quotes that are text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadAs {
    pub reading: Reading,
    pub dialect: Dialect,
    /// None if the file is no workbook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sheet: Option<SheetRead>,
}

/// The sheet that is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SheetRead {
    pub name: SheetName,
    /// Detected is the first visible sheet with content, which is certain.
    pub how: How,
    /// The sheets of its workbook.
    pub sheets: Sheets,
}
