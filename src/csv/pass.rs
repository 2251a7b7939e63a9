//! One pass over a stretch of a file's records.

use serde::{Deserialize, Serialize};

use super::{Layout, Output};

/// A place in a file, always at a record boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Bytes before it.
    pub byte: u64,
    /// The physical line it is on, counted from 1.
    pub line: u64,
    /// Records before it (the header is none).
    pub record: u64,
}

/// Reads records from consecutive slices of a file.
pub struct Pass<'l> {
    layout: &'l Layout,
    cursor: Cursor,
    max_record_bytes: usize,
}

impl<'l> Pass<'l> {
    #[must_use]
    pub fn new(layout: &'l Layout, start: Cursor, max_record_bytes: usize) -> Self {
        Self { layout, cursor: start, max_record_bytes }
    }

    /// Where the next record's search begins.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Reads whole records from the front of `input`, which begins at the byte that follows what was
    /// consumed so far, and appends what becomes of them to `out`. Stops before the first record that
    /// begins at or behind byte `stop` of the file, or where `input` ends inside a record.
    ///
    /// Returns how many bytes of `input` it consumed. `eof` says that `input` reaches the end of the
    /// file; all of it is then consumed, unless `stop` comes first.
    pub fn read(&mut self, input: &[u8], eof: bool, stop: u64, out: &mut Output) -> usize {
        let _ = (input, eof, stop, out, self.layout, self.max_record_bytes);
        todo!()
    }
}
