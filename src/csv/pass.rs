//! Reads a part of a file's records in one pass.

use super::{
    Cursor, Layout, Output,
    encode::COMMA,
    failed_csv::Unwrapped,
    split::{Split, Splitter, count_line_ends, line_end, without_half_line_end},
    verdict::{RecordFailure, judge},
};
use memchr::memchr2;

/// Reads records from consecutive slices of a file.
///
/// It remembers how far the current record has been read, so that a long record is read only once, however
/// often the input grows. It also remembers whether it is skipping the rest of a record that is too long.
pub struct Pass<'l> {
    layout: &'l Layout,
    cursor: Cursor,
    max_record_bytes: usize,
    splitter: Splitter,
    /// Some if the file is a `failed.csv`.
    unwrapped: Option<Unwrapped>,
    /// Everything up to the next line end belongs to a record that was too long and has been counted.
    skipping: bool,
}

impl<'l> Pass<'l> {
    #[must_use]
    pub fn new(layout: &'l Layout, start: Cursor, max_record_bytes: usize) -> Self {
        Self {
            layout,
            cursor: start,
            max_record_bytes,
            splitter: Splitter::new(layout.delimiter_byte(), layout.columns_in_file(), max_record_bytes),
            unwrapped: layout.is_failed_csv.then(Unwrapped::new),
            skipping: false,
        }
    }

    /// Where the search for the next record begins. Another pass can continue from here if
    /// [`at_boundary`](Self::at_boundary).
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Whether the cursor is at a record boundary. It always is, except while the rest of a record longer
    /// than `max_record_bytes` is being skipped.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        !self.skipping
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
        let mut rest = without_half_line_end(input, eof);
        let mut consumed = 0;
        loop {
            let taken = if self.skipping {
                self.skip(rest, eof, out)
            } else if self.cursor.byte < stop && (consumed == 0 || !out.is_full()) {
                self.take(rest, eof, out)
            } else {
                None
            };
            let Some(taken) = taken else { return consumed };
            rest = &rest[taken..];
            consumed += taken;
        }
    }

    /// Takes the first item of `rest`: an empty line, a record, or the front of a record that is too long.
    /// Returns its length in bytes, or None if `rest` is too short to tell.
    fn take(&mut self, rest: &[u8], eof: bool, out: &mut Output) -> Option<usize> {
        if rest.is_empty() {
            return None;
        }
        if let length @ 1.. = line_end(rest) {
            self.cursor.advance(length, 1);
            return Some(length);
        }
        let (record, fields) = match self.splitter.split(rest, eof) {
            Split::Record(record, fields) => (record, fields),
            Split::Incomplete => return None,
            Split::TooLong => return Some(self.begin_skip(rest, out)),
        };
        let header = &self.layout.header;
        let (mut fields, mark) = Unwrapped::take_off(&mut self.unwrapped, fields, header.len());
        match judge(record, &fields, header, mark) {
            Ok(())
                if !record.has_quotes
                    && self.layout.delimiter_byte() == COMMA
                    && !self.layout.is_failed_csv =>
            {
                out.push_verbatim(record.content);
            }
            Ok(()) => out.push_processed(&fields),
            Err(failure) => {
                // The fields as they were in the file that the failed record came from.
                let unwrapped = self.layout.is_failed_csv.then(|| fields.encoded());
                let content = unwrapped.as_deref().unwrap_or(record.content);
                out.push_failed(self.cursor.line, failure, header, content, Some(fields));
                out.raw.extend_from_slice(record.bytes);
            }
        }
        self.cursor.advance(record.bytes.len(), record.line_ends());
        self.cursor.record += 1;
        Some(record.bytes.len())
    }

    /// Counts a record that is too long as failed, and takes its bytes up to the limit.
    fn begin_skip(&mut self, rest: &[u8], out: &mut Output) -> usize {
        let limit = self.max_record_bytes;
        // A CRLF across the limit stays whole, so that it counts as one line end.
        let length = if rest[..=limit].ends_with(b"\r\n") { limit - 1 } else { limit };
        out.push_failed(
            self.cursor.line,
            RecordFailure::TooLong { limit },
            &self.layout.header,
            &rest[..=limit],
            None,
        );
        out.raw.extend_from_slice(&rest[..length]);
        self.cursor.advance(length, count_line_ends(&rest[..length]));
        self.cursor.record += 1;
        self.skipping = true;
        length
    }

    /// Takes the rest of a record that is too long, up to the next line end.
    fn skip(&mut self, rest: &[u8], eof: bool, out: &mut Output) -> Option<usize> {
        let (length, line_ends) = match memchr2(b'\r', b'\n', rest) {
            Some(at) => (at + line_end(&rest[at..]), 1),
            None => (rest.len(), 0),
        };
        self.skipping = line_ends == 0 && !eof;
        out.raw.extend_from_slice(&rest[..length]);
        self.cursor.advance(length, line_ends);
        (length > 0).then_some(length)
    }
}
