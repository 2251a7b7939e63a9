//! Where in a file a reading stands.

use serde::{Deserialize, Serialize};

/// A place in a file, always at a record boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Bytes before it.
    pub byte: u64,
    /// The physical line it is on, counted from 1. LF, CRLF and a lone CR end a line, also in quotes.
    pub line: u64,
    /// Records before it (the header is none).
    pub record: u64,
}

impl Cursor {
    pub(super) fn advance(&mut self, bytes: usize, line_ends: u64) {
        self.byte += bytes as u64;
        self.line += line_ends;
    }
}
