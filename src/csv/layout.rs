//! What a file is: its dialect, header and where its records begin.

use serde::{Deserialize, Serialize};

use super::Cursor;

/// What the front of a file says about the whole. Fixed by a run's plan; later steps obey it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The byte between fields.
    pub delimiter: u8,
    /// The header's fields as decoded text, as the outputs have them.
    pub header: Vec<String>,
    /// Where the first record's search begins: behind the header's line end.
    pub start: Cursor,
    /// The file is a `failed.csv` of ours: `_line,_column,_reason` and `_extra` are taken off.
    pub is_failed_csv: bool,
}

/// Why the front of a file cannot be read as CSV.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// `sample` ends inside the header and more bytes follow: call again with a longer one.
    #[error("the header does not end in the sample")]
    NeedMore,
    #[error("the header's quotes never close")]
    QuotesNeverClose,
    #[error("the header is longer than {limit} bytes")]
    TooLong { limit: usize },
}

impl Layout {
    /// Reads the front of a file. `sample` starts at its first byte; `eof` says that it is the whole file.
    pub fn read(sample: &[u8], eof: bool, max_record_bytes: usize) -> Result<Self, LayoutError> {
        let _ = (sample, eof, max_record_bytes);
        todo!()
    }
}
