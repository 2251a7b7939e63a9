//! Takes one record after the other, with everything that is not one, and judges it.

use memchr::memchr2;

use super::{
    Cursor, Layout, Note,
    failed_csv::Unwrapped,
    fields::Fields,
    past::Past,
    repair::{self, Repair},
    split::{
        BYTE_ORDER_MARK, Record, Split, Splitter, behind_line_end, count_line_ends, line_end,
        without_half_line_end,
    },
    verdict::{RecordFailure, TablePlace, judge},
};

/// The end of a text in old DOS files.
const END_MARK: u8 = 0x1a;

/// The most bytes of a line of a `failed.csv` in which its fault is looked for to be shown.
const MOST_SHOWN: usize = 64 << 10;

/// Takes what is read.
pub(super) trait RecordSink {
    fn record(&mut self, record: &JudgedRecord<'_>);
    /// Takes original bytes of a failed record.
    fn raw(&mut self, bytes: &[u8]);
    fn note(&mut self, note: Note, line: u64);
}

/// A record and the verdict on it.
pub(super) struct JudgedRecord<'a> {
    /// The physical line on which it begins.
    pub(super) line: u64,
    /// Its bytes without the line end. If it is too long, all bytes from its first on that are known.
    pub(super) content: &'a [u8],
    /// None if they are unknown.
    pub(super) fields: Option<Fields<'a>>,
    pub(super) failure: Option<RecordFailure<'a>>,
}

/// What was taken the quick way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Taken {
    pub(super) bytes: usize,
    pub(super) line_ends: u64,
    pub(super) records: u64,
    /// The bytes of the last record.
    pub(super) last: usize,
}

/// Reads one record after the other.
pub(super) struct Records<'l> {
    pub(super) layout: &'l Layout,
    pub(super) cursor: Cursor,
    pub(super) past: Past,
    limit: usize,
    splitter: Splitter,
    /// Some if the file is a `failed.csv`.
    unwrapped: Option<Unwrapped>,
    /// Everything up to the next line end belongs to a record that was too long and has been counted.
    pub(super) is_skipping: bool,
}

impl<'l> Records<'l> {
    pub(super) fn new(layout: &'l Layout, cursor: Cursor, past: Past, limit: usize) -> Self {
        Self {
            layout,
            cursor,
            past,
            limit,
            splitter: Splitter::new(&layout.dialect_as_read(), layout.columns_in_file(), limit),
            unwrapped: layout.is_failed_csv.then(Unwrapped::default),
            is_skipping: false,
        }
    }

    pub(super) fn splitter(&mut self) -> &mut Splitter {
        &mut self.splitter
    }

    /// Whether the next record may be taken the quick way.
    pub(super) fn is_free(&self) -> bool {
        !self.is_skipping && !self.past.is_bound_to_lines(self.cursor.byte)
    }

    /// Goes on behind records at the front of `rest` that were taken the quick way.
    pub(super) fn pass_records(&mut self, rest: &[u8], taken: Taken) {
        self.cursor.advance(taken.bytes, taken.line_ends);
        self.cursor.record += taken.records;
        if taken.records == 0 {
            return;
        }
        self.past.pass_right_width();
        // It may be the file's last record.
        let last = &rest[taken.bytes - taken.last..taken.bytes];
        let line = self.cursor.line - count_line_ends(last);
        self.splitter.split(last, true);
        let (_, mut fields) = self.splitter.record(last);
        fields.leave_out_empty_end(self.layout.left_out_at_end);
        let is_first = line == self.layout.start.line;
        self.past.pass_record(line, !is_first && self.layout.looks_like_total(&fields));
    }

    /// `input` without its last byte, if the next one or the end of the file decides what it is: a CR, or the end
    /// mark of old DOS files.
    pub(super) fn decided<'a>(&self, input: &'a [u8], eof: bool) -> &'a [u8] {
        match input.split_last() {
            Some((&END_MARK, before)) if self.layout.repairs => before,
            _ => without_half_line_end(input, eof),
        }
    }

    /// Tells what is known of the last record at the end of the file.
    pub(super) fn end(&mut self, sink: &mut impl RecordSink) {
        if let Some(line) = self.past.take_total() {
            sink.note(Note::TotalsRow, line);
        }
    }

    /// Takes the end mark at the end of the file.
    pub(super) fn take_end_mark(&mut self, sink: &mut impl RecordSink) {
        sink.note(Note::EndMark, self.cursor.line);
        self.cursor.advance(1, 0);
    }

    /// Takes the first item of `rest`: an empty line, a record or another row, or a part of a record that is too
    /// long. Returns its length in bytes, or None if `rest` is too short to tell.
    pub(super) fn take(&mut self, rest: &[u8], eof: bool, sink: &mut impl RecordSink) -> Option<usize> {
        if self.is_skipping {
            return self.skip(rest, eof, sink);
        }
        if rest.is_empty() {
            return None;
        }
        if let length @ 1.. = line_end(rest) {
            self.cursor.advance(length, 1);
            self.past.pass_empty_line(self.cursor.record);
            return Some(length);
        }
        if self.layout.repairs && rest.starts_with(BYTE_ORDER_MARK) {
            sink.note(Note::JoinMarks, self.cursor.line);
            self.cursor.advance(BYTE_ORDER_MARK.len(), 0);
            return Some(BYTE_ORDER_MARK.len());
        }
        match self.split(rest, eof, sink) {
            Split::Record => Some(self.take_record(rest, sink)),
            Split::Incomplete => None,
            Split::TooLong => Some(self.begin_skip(rest, sink)),
        }
    }

    /// Splits off the first record, after its quotes were repaired.
    fn split(&mut self, rest: &[u8], eof: bool, sink: &mut impl RecordSink) -> Split {
        let byte = self.cursor.byte;
        if !self.layout.may_cut() {
            return self.splitter.split(rest, eof);
        }
        if let Some(cut) = self.layout.next_cut(byte).filter(|cut| cut.start == byte && cut.end > byte) {
            let length = usize::try_from(cut.end - byte).unwrap_or(usize::MAX);
            // Its line end is needed too.
            if !eof && rest.len() <= length.min(self.limit) {
                return Split::Incomplete;
            }
            let length = length.min(self.limit.saturating_add(1)).min(rest.len());
            let open = repair::open_quote(self.splitter.grammar(), &rest[..length]);
            return self.split_cut(rest, length, open.filter(|_| cut.quote_is_text), sink);
        }
        if self.past.is_bound_to_lines(byte) {
            let line = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            return self.splitter.split(&rest[..line], eof || line < rest.len());
        }
        let split = self.splitter.split(rest, eof);
        if split == Split::Incomplete || !self.splitter.quotes().quoted {
            return split;
        }
        let (record, fields) = self.splitter.record(rest);
        let fits = split == Split::Record && !record.quotes.open && self.layout.fits(&fields);
        let is_suspicious = record.quotes.open || record.quotes.text_after || !fits;
        if !is_suspicious || behind_line_end(record.content).is_none() {
            return split;
        }
        let decided = repair::decide(&mut self.splitter, self.layout, rest, eof, self.limit, fits);
        let Some((repair, looked_at)) = decided else { return Split::Incomplete };
        self.past.search(byte, byte.saturating_add(looked_at as u64));
        match repair {
            Repair::Keep => self.splitter.split(rest, eof),
            Repair::Cut { length, text_at } => self.split_cut(rest, length, text_at, sink),
        }
    }

    /// Splits off the first `length` bytes as a record. The quote at `text_at` is text.
    fn split_cut(
        &mut self,
        rest: &[u8],
        length: usize,
        text_at: Option<usize>,
        sink: &mut impl RecordSink,
    ) -> Split {
        if text_at.is_some() {
            sink.note(Note::QuotesAsText, self.cursor.line);
        }
        self.splitter.set_text_at(text_at);
        let split = self.splitter.split(&rest[..length], true);
        self.splitter.set_text_at(None);
        split
    }

    /// Takes the record that was split off last.
    fn take_record(&mut self, rest: &[u8], sink: &mut impl RecordSink) -> usize {
        let (layout, line) = (self.layout, self.cursor.line);
        let (record, fields) = self.splitter.record(rest);
        let (mut fields, prior) = Unwrapped::take_off(&mut self.unwrapped, fields, layout.header.len());
        fields.leave_out_empty_end(layout.left_out_at_end);
        self.cursor.advance(record.bytes.len(), record.line_ends());
        if layout.repairs && layout.is_empty_row(record.content) {
            sink.note(Note::EmptyRows, line);
            self.past.pass_empty_line(self.cursor.record);
            return record.bytes.len();
        }
        // Old programs filled the last block of a file with it.
        if layout.repairs && record.bytes.iter().all(|byte| *byte == END_MARK) {
            sink.note(Note::EndMark, line);
            return record.bytes.len();
        }
        let mut failure = judge(record, &fields, layout, prior).err();
        // A line of a failed.csv that was not corrected can look like a header with a bad byte.
        let may_be_header = failure.is_none() || !layout.reader_3;
        if layout.repairs && may_be_header && layout.is_header(&fields) {
            sink.note(Note::RepeatedHeaders, line);
            return record.bytes.len();
        }
        match &mut failure {
            Some(RecordFailure::FieldCount { found, place, .. }) if layout.repairs => {
                *place = self.past.place(line, *found);
                match *place {
                    TablePlace::Inside => {}
                    TablePlace::Below => sink.note(Note::BelowTable, line),
                    TablePlace::Second(first) => sink.note(Note::SecondTable, first),
                }
            }
            _ if fields.count == layout.header.len() => self.past.pass_right_width(),
            _ => {}
        }
        if layout.repairs {
            note_quotes(&record, line, sink);
        }
        let is_first = line == layout.start.line;
        let looks_like_total = failure.is_none() && !is_first && layout.looks_like_total(&fields);
        self.past.pass_record(line, looks_like_total);
        // The fields as they were in the file that the failed record came from.
        let unwrapped = (failure.is_some() && layout.is_failed_csv).then(|| fields.encoded(MOST_SHOWN));
        let content = unwrapped.as_deref().unwrap_or(record.content);
        sink.record(&JudgedRecord { line, content, fields: Some(fields), failure });
        if failure.is_some() {
            sink.raw(record.bytes);
        }
        self.cursor.record += 1;
        record.bytes.len()
    }

    /// Counts a record that is too long as failed, and takes its bytes up to the limit.
    fn begin_skip(&mut self, rest: &[u8], sink: &mut impl RecordSink) -> usize {
        let limit = self.limit;
        // A CRLF across the limit stays whole, so that it counts as one line end.
        let length = if rest[..=limit].ends_with(b"\r\n") { limit - 1 } else { limit };
        let failure = Some(RecordFailure::TooLong { limit });
        sink.record(&JudgedRecord { line: self.cursor.line, content: rest, fields: None, failure });
        sink.raw(&rest[..length]);
        self.past.pass_record(self.cursor.line, false);
        self.cursor.advance(length, count_line_ends(&rest[..length]));
        self.cursor.record += 1;
        self.is_skipping = true;
        length
    }

    /// Takes the rest of a record that is too long, up to the next line end.
    fn skip(&mut self, rest: &[u8], eof: bool, sink: &mut impl RecordSink) -> Option<usize> {
        let (length, line_ends) = behind_line_end(rest).map_or((rest.len(), 0), |length| (length, 1));
        self.is_skipping = line_ends == 0 && !eof;
        sink.raw(&rest[..length]);
        self.cursor.advance(length, line_ends);
        (length > 0).then_some(length)
    }
}

fn note_quotes(record: &Record<'_>, line: u64, sink: &mut impl RecordSink) {
    if record.quotes.inside {
        sink.note(Note::QuotesInside, line);
    }
    if record.quotes.text_after {
        sink.note(Note::TextAfterQuote, line);
    }
}
