//! What becomes of records: the bytes of the outputs, and the counts.

use serde::{Deserialize, Serialize};

/// How many records ended which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub processed: u64,
    pub failed: u64,
}

/// Output bytes of a stretch of records, to be written out and cleared by the caller.
#[derive(Debug, Default)]
pub struct Output {
    /// Processed records, RFC 4180 with CRLF.
    pub processed: Vec<u8>,
    /// Failed records as lines of `failed.csv`.
    pub failed: Vec<u8>,
    /// The failed records' original bytes with their line ends.
    pub raw: Vec<u8>,
    pub counts: Counts,
}
