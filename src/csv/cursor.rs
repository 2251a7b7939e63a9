//! A position in a file.

use serde::{Deserialize, Serialize};

/// A position in a file, always at a record boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The bytes before it.
    pub byte: u64,
    /// Its physical line, counted from 1. LF, CRLF and a lone CR end a line, also inside quotes.
    pub line: u64,
    /// The records before it, without the header.
    pub record: u64,
}

impl Cursor {
    /// The position behind so many bytes and line ends of it.
    #[must_use]
    pub fn behind(self, bytes: usize, line_ends: u64) -> Self {
        let mut behind = self;
        behind.advance(bytes, line_ends);
        behind
    }

    pub(super) fn advance(&mut self, bytes: usize, line_ends: u64) {
        self.byte += bytes as u64;
        self.line += line_ends;
    }
}
