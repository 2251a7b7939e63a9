//! Reads a part of a file's records in one pass.

use super::{Cursor, Layout, Output, output::Writer, past::Past, quick::Quick, records::Records};

/// Reads records from consecutive slices of a file.
///
/// It remembers whether it is skipping the rest of a record that is too long.
pub struct Pass<'l> {
    records: Records<'l>,
    quick: Option<Quick<'l>>,
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
        let records = Records::new(layout, cursor, past, max_record_bytes);
        Self { records, quick: Quick::new(layout, max_record_bytes) }
    }

    /// Reserves memory for a long record, or gives it back.
    pub fn expect_long_records(&mut self, are_expected: bool) {
        let splitter = self.records.splitter();
        if are_expected { splitter.expect_long_record() } else { splitter.give_back_large_buffers() }
    }

    /// What matters of the records before the cursor for those after it.
    #[must_use]
    pub fn past(&self) -> Past {
        self.records.past.at(self.records.cursor.byte)
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
        self.read_in_pieces(input, eof, stop, out, &mut |_| {})
    }

    /// As [`read`](Self::read). Calls `take` whenever `out` is full inside a record: it takes the bytes that are there,
    /// so that the output of a long record is never in memory as a whole.
    pub fn read_in_pieces(
        &mut self,
        input: &[u8],
        eof: bool,
        stop: u64,
        out: &mut Output,
        take: &mut dyn FnMut(&mut Output),
    ) -> usize {
        let rest = self.records.decided(input, eof);
        let header = &self.records.layout.header;
        let mut consumed = 0;
        while self.records.is_skipping || self.records.cursor.byte < stop && (consumed == 0 || !out.is_full())
        {
            let byte = self.records.cursor.byte;
            // Where a record ends that leaves a quote open, only the slow way knows.
            let cut = self.records.layout.next_cut(byte).map_or(u64::MAX, |cut| cut.start);
            if let Some(quick) = self.quick.as_mut().filter(|_| cut > byte && self.records.is_free()) {
                let taken = quick.take(&rest[consumed..], byte, stop.min(cut), out);
                self.records.pass_records(&rest[consumed..], taken);
                consumed += taken.bytes;
                if self.records.cursor.byte >= stop || consumed > 0 && out.is_full() {
                    break;
                }
            }
            let writer = &mut Writer { out, header, take };
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
        if eof && consumed == input.len() {
            self.records.end(&mut Writer { out, header, take });
        }
        consumed
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;
    use crate::csv::{CutRecord, Delimiter, Dialect};

    /// Whole records, most of them clean, and pieces that are not.
    const PIECES: &[&[u8]] = &[
        b"1,2\n",
        b"3,4\r\n",
        b"5;6\n",
        b"\"7\",\"8,9\"\r\n",
        b"\"a\"\"b\";\"c\nd\"\n",
        b"\"\",\"\"\n",
        b"1,2,\n",
        b"a,b\n",
        b"a text that is longer than a block of the quick way, so that its line end is in another one,\"x\"\r\n",
        b"\n",
        b",\n",
        b"\"",
        b",",
        b";",
        b"\r",
        b"\xc3\xa4,\xe2\x82\xac\n",
        b"\xff",
        b"\0",
        b"\xef\xbb\xbf",
        b"x\"y,z\n",
        b"\"x\"y,z\n",
        b"\x1a",
        b"Total,3\n",
        b"sum;4\r\n",
    ];

    /// Some lines of a file, each as a record that leaves a quote open.
    fn cut_lines(file: &[u8], which: u64, as_text: u64, start: u64) -> Vec<CutRecord> {
        let mut at = start;
        let lines = file.split_inclusive(|byte| matches!(byte, b'\r' | b'\n')).map(|line| {
            let begins_at = at;
            at += line.len() as u64;
            (begins_at, begins_at + line.trim_ascii_end().len() as u64)
        });
        let is_one = |bits: u64, number: usize| bits.rotate_right(number as u32) & 1 == 1;
        let cut = lines.enumerate().filter(|(number, (start, end))| is_one(which, *number) && start < end);
        cut.map(|(number, (start, end))| CutRecord { start, end, quote_is_text: is_one(as_text, number) })
            .collect()
    }

    fn read(layout: &Layout, is_quick: bool, file: &[u8], limit: usize) -> (Output, Cursor, Past) {
        let mut pass = Pass::new(layout, layout.start, limit);
        pass.quick = pass.quick.filter(|_| is_quick);
        let mut out = Output::default();
        assert_eq!(pass.read(file, true, u64::MAX, &mut out), file.len());
        (out, pass.cursor(), pass.past())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_quick_way_gives_what_the_slow_way_gives(
            pieces in vec(select(PIECES), 0..60),
            delimiter in select(&[",", ";"][..]),
            columns in 1_usize..3,
            left_out_at_end in 0_usize..3,
            repairs in any::<bool>(),
            (which, as_text) in (select(&[0_u64, 0x1111_1111, u64::MAX][..]), any::<u64>()),
            limit in select(&[40_usize, 100, 1 << 20][..]),
        ) {
            let file = pieces.concat();
            let mut layout = Layout::read(b"a,b\n", true, 100).unwrap();
            layout.dialect = Dialect { delimiter: delimiter.parse::<Delimiter>().unwrap(), ..Dialect::plain() };
            layout.header.truncate(columns);
            (layout.left_out_at_end, layout.repairs) = (left_out_at_end, repairs);
            layout.cut = cut_lines(&file, which, as_text, layout.start.byte);
            let (quick, quick_end, quick_past) = read(&layout, true, &file, limit);
            let (slow, slow_end, slow_past) = read(&layout, false, &file, limit);
            prop_assert_eq!(
                String::from_utf8_lossy(&quick.processed), String::from_utf8_lossy(&slow.processed));
            prop_assert_eq!(quick.failed, slow.failed);
            prop_assert_eq!(quick.raw, slow.raw);
            prop_assert_eq!(quick.counts, slow.counts);
            prop_assert_eq!(quick.notes, slow.notes);
            prop_assert_eq!((quick_end, quick_past), (slow_end, slow_past));
        }
    }
}
