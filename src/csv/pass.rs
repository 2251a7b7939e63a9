//! Reads a part of a file's records in one pass.

use super::{Cursor, Layout, Output, output::Writer, past::Past, records::Records};

/// Reads records from consecutive slices of a file.
///
/// It remembers whether it is skipping the rest of a record that is too long.
pub struct Pass<'l> {
    records: Records<'l>,
}

impl<'l> Pass<'l> {
    /// Begins at the first record.
    #[must_use]
    pub fn new(layout: &'l Layout, start: Cursor, max_record_bytes: usize) -> Self {
        Self::resume(layout, start, Past::default(), max_record_bytes)
    }

    /// Goes on where another pass has stopped, at a boundary.
    #[must_use]
    pub fn resume(layout: &'l Layout, cursor: Cursor, past: Past, max_record_bytes: usize) -> Self {
        Self { records: Records::new(layout, cursor, past, max_record_bytes) }
    }

    /// What matters of the records before the cursor for those after it.
    #[must_use]
    pub fn past(&self) -> Past {
        self.records.past
    }

    /// Where the search for the next record begins. Another pass can continue from here if
    /// [`at_boundary`](Self::at_boundary).
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.records.cursor
    }

    /// Whether the cursor is at a record boundary. It always is, except while the rest of a record longer
    /// than `max_record_bytes` is being skipped.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        !self.records.is_skipping
    }

    /// Reads whole records from the front of `input` and appends the results to `out`. `input` begins at the
    /// first byte that has not been consumed. Stops before the first record that begins at or after byte
    /// `stop` of the file, where `input` ends inside a record, or once `out` is [full](Output::is_full).
    ///
    /// Returns the number of consumed bytes of `input`. The other bytes must be passed again. If nothing was
    /// consumed and `stop` is not reached, `input` is too short and must come with more bytes after it; this
    /// never happens with more than `max_record_bytes + 2` bytes. `eof` says that `input` reaches the end of
    /// the file; then repeated calls consume all of it, unless `stop` comes first.
    ///
    /// A record longer than `max_record_bytes` is consumed as its bytes arrive, up to the first line end at
    /// or after that limit, and appears only in `raw`. A step cannot end inside it: `stop` is ignored there,
    /// see [`at_boundary`](Self::at_boundary).
    pub fn read(&mut self, input: &[u8], eof: bool, stop: u64, out: &mut Output) -> usize {
        let rest = self.records.decided(input, eof);
        let header = &self.records.layout.header;
        let mut consumed = 0;
        while self.records.is_skipping || self.records.cursor.byte < stop && (consumed == 0 || !out.is_full())
        {
            let writer = &mut Writer { out, header };
            if let Some(taken) = self.records.take(&rest[consumed..], eof, writer) {
                consumed += taken;
            } else {
                if eof && consumed == rest.len() && consumed < input.len() {
                    self.records.take_end_mark(writer);
                    consumed = input.len();
                }
                break;
            }
        }
        consumed
    }
}
