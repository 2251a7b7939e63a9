//! Splits input into records and fields. Nothing is judged or written here.

use memchr::{memchr_iter, memchr2};

use super::{
    Dialect,
    field::{Field, FieldGrammar, Quoting, Span},
    fields::{Fields, Surplus},
};

/// UTF-8's byte-order mark.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One record as it is in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    /// All bytes, including the line end.
    pub(super) bytes: &'a [u8],
    /// The bytes without the line end.
    pub(super) content: &'a [u8],
    pub(super) quotes: QuotesSeen,
}

/// What was seen of quotes in a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct QuotesSeen {
    /// A field is in quotes.
    pub(super) quoted: bool,
    /// A quote is text, because it is inside a field without quotes.
    pub(super) inside: bool,
    /// Text follows a closing quote.
    pub(super) text_after: bool,
    /// The file ends inside quotes.
    pub(super) open: bool,
}

impl Record<'_> {
    /// The number of line ends, including those in quotes and the one at the end.
    pub(super) fn line_ends(&self) -> u64 {
        if self.quotes.quoted {
            count_line_ends(self.bytes)
        } else {
            u64::from(self.content.len() < self.bytes.len())
        }
    }
}

/// The result of splitting the front of some input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Split {
    /// The record is whole: see [`Splitter::record`].
    Record,
    /// The record continues after the input.
    Incomplete,
    /// The record is longer than the limit, and the input is at least one byte longer than the limit.
    TooLong,
}

/// Splits records off the front of input.
pub(super) struct Splitter {
    grammar: FieldGrammar,
    /// Reads a line as one field, whose content `grammar` reads. None: a line is a record itself.
    around_lines: Option<FieldGrammar>,
    /// How many fields have a column. Only these are kept in [`Fields`].
    columns: usize,
    /// The most bytes of a record without its line end.
    limit: usize,
    /// The content of a line that was one quoted field.
    line: Vec<u8>,
    text: Vec<u8>,
    spans: Vec<Span>,
    found: Found,
}

/// The fields of a record.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    /// The position of its line end, or of the end of the input.
    end: usize,
    count: usize,
    /// From where to where the fields without a column are.
    surplus: Option<(usize, usize)>,
    quotes: QuotesSeen,
}

/// The capacity above which a buffer is given back after a record that is too long, in bytes.
const LARGE: usize = 1 << 20;

/// The most bytes that are reserved for the text of a record, whatever the limit of records is.
const MOST_RESERVED: usize = 64 << 20;

impl Splitter {
    pub(super) fn new(dialect: &Dialect, columns: usize, limit: usize) -> Self {
        let (grammar, around_lines) = if dialect.lines_are_quoted {
            (FieldGrammar::inside_line(dialect), Some(FieldGrammar::around_lines(dialect)))
        } else {
            (FieldGrammar::new(dialect), None)
        };
        Self {
            grammar,
            around_lines,
            columns,
            limit,
            line: Vec::new(),
            text: Vec::new(),
            spans: Vec::new(),
            found: Found::default(),
        }
    }

    /// Splits off the first record of `input`. Its first byte is not a line end, and a CR is its last byte
    /// only with `eof` (see [`without_half_line_end`]). After [`Split::Incomplete`] the record
    /// must come again with more bytes after it, and is read from its beginning: a caller that doubles the
    /// bytes reads each of them a few times at most.
    pub(super) fn split(&mut self, input: &[u8], eof: bool) -> Split {
        let window = &input[..input.len().min(self.limit.saturating_add(1))];
        self.found = match self.around_lines.clone() {
            None => self.find(window),
            Some(around) => self.find_in_line(&around, window),
        };
        if self.found.end < window.len() {
            Split::Record
        } else if window.len() > self.limit {
            self.give_back_large_buffers();
            Split::TooLong
        } else if eof {
            Split::Record
        } else {
            Split::Incomplete
        }
    }

    /// What was seen of quotes in the record that was split last, even if it is not whole.
    pub(super) fn quotes(&self) -> QuotesSeen {
        self.found.quotes
    }

    /// The record that was split last. `input` is what it was split off, or the same with more bytes after it,
    /// which may be its line end.
    pub(super) fn record<'a>(&'a self, input: &'a [u8]) -> (Record<'a>, Fields<'a>) {
        let Found { end, count, surplus, quotes } = self.found;
        let record = if self.around_lines.is_some() { &self.line } else { input };
        let unsplit =
            |(from, to): (usize, usize)| Surplus { bytes: &record[from..to], grammar: &self.grammar };
        let fields = Fields {
            record,
            text: &self.text,
            spans: &self.spans,
            count,
            surplus: [surplus.map(unsplit), None],
        };
        let bytes = &input[..end + line_end(&input[end..])];
        (Record { bytes, content: &input[..end], quotes }, fields)
    }

    /// From now on the quote at `at` is text, although it would open a field. None: no such quote.
    pub(super) fn set_text_at(&mut self, at: Option<usize>) {
        self.grammar.text_at = at;
    }

    /// Finds the fields from the front of `input` to a line end or the end of the input.
    fn find(&mut self, input: &[u8]) -> Found {
        self.text.clear();
        self.spans.clear();
        let mut found = Found::default();
        loop {
            let kept = self.text.len();
            let field = self.grammar.field(input, found.end, &mut self.text);
            if found.count < self.columns {
                self.spans.push(field.span);
            } else {
                let (from, _) = found.surplus.unwrap_or((found.end, found.end));
                found.surplus = Some((from, field.end));
                if kept == 0 && self.text.len() > LARGE {
                    self.text = Vec::new();
                }
                self.text.truncate(kept);
            }
            found.count += 1;
            found.quotes.add(&field);
            found.end = field.end;
            let delimiter = self.grammar.delimiter_at(input, field.end);
            if delimiter == 0 {
                return found;
            }
            found.end += delimiter;
        }
    }

    /// Finds the fields of the one field that the first line of `input` is.
    fn find_in_line(&mut self, around: &FieldGrammar, input: &[u8]) -> Found {
        let mut content = std::mem::take(&mut self.line);
        content.clear();
        let line = around.field(input, 0, &mut content);
        if !line.span.is_rewritten {
            content.extend_from_slice(&input[line.span.start..line.span.end]);
        }
        let mut found = self.find(&content);
        self.line = content;
        found.end = line.end;
        found.quotes.add(&line);
        found
    }

    /// How the fields of its records are written.
    pub(super) fn grammar(&self) -> &FieldGrammar {
        &self.grammar
    }

    /// Reserves memory for the text of a long record at once: a buffer that grows is copied, and is in memory twice
    /// meanwhile. Memory that nothing is written to is not used.
    pub(super) fn expect_long_record(&mut self) {
        let most = self.limit.min(MOST_RESERVED);
        if self.text.capacity() < most {
            self.text = Vec::with_capacity(most);
        }
    }

    /// Gives back the memory that a long record took.
    pub(super) fn give_back_large_buffers(&mut self) {
        for buffer in [&mut self.text, &mut self.line] {
            if buffer.capacity() > LARGE {
                *buffer = Vec::new();
            }
        }
    }
}

impl QuotesSeen {
    fn add(&mut self, field: &Field) {
        match field.quoting {
            Quoting::None => {}
            Quoting::Inside => self.inside = true,
            Quoting::Quoted { close, has_text_after, .. } => {
                self.quoted = true;
                self.text_after |= has_text_after;
                self.open |= close.is_none();
            }
        }
    }
}

/// `input` without a CR at its end, which may be the first half of a CRLF. The next byte or the end of the
/// file decides.
pub(super) fn without_half_line_end(input: &[u8], eof: bool) -> &[u8] {
    match input.split_last() {
        Some((b'\r', before)) if !eof => before,
        _ => input,
    }
}

/// The length in bytes of the line end (LF, CRLF or a lone CR) at the front of `bytes`; 0 if there is none.
pub(super) fn line_end(bytes: &[u8]) -> usize {
    match bytes {
        [b'\r', b'\n', ..] => 2,
        [b'\r' | b'\n', ..] => 1,
        _ => 0,
    }
}

/// The position behind the first line end in `bytes`.
pub(super) fn behind_line_end(bytes: &[u8]) -> Option<usize> {
    memchr2(b'\r', b'\n', bytes).map(|at| at + line_end(&bytes[at..]))
}

/// The number of line ends in `bytes`, inside and outside quotes.
pub(super) fn count_line_ends(bytes: &[u8]) -> u64 {
    let lone_cr = memchr_iter(b'\r', bytes).filter(|at| bytes.get(at + 1) != Some(&b'\n'));
    (memchr_iter(b'\n', bytes).count() + lone_cr.count()) as u64
}

#[cfg(test)]
mod tests {
    use csv_core::{ReadRecordResult, Reader};
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    const PIECES: &[&[u8]] =
        &[b",", b",", b"\"", b"\"", b"\r", b"\n", b"\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"x"];

    type Texts = Vec<Vec<u8>>;

    /// All records of a file, split by `Splitter`.
    fn split_all(mut input: &[u8], columns: usize) -> Vec<Texts> {
        let mut splitter = Splitter::new(&Dialect::plain(), columns, usize::MAX);
        let mut records = Vec::new();
        while !input.is_empty() {
            if let length @ 1.. = line_end(input) {
                input = &input[length..];
                continue;
            }
            assert_eq!(splitter.split(input, true), Split::Record);
            let (record, fields) = splitter.record(input);
            let mut all: Texts = fields.in_columns().map(<[u8]>::to_vec).collect();
            fields.for_each_surplus(|field| all.push(field.to_vec()));
            assert_eq!(all.len(), fields.count);
            records.push(all);
            input = &input[record.bytes.len()..];
        }
        records
    }

    /// The same, split by csv-core in one call.
    fn split_all_by_csv_core(file: &[u8]) -> Vec<Texts> {
        let input = [b"\n", file].concat();
        let mut reader = Reader::new();
        let (mut text, mut ends) = (vec![0; input.len()], vec![0; input.len()]);
        let (mut at, mut filled, mut fields, mut records) = (0, 0, 0, Vec::new());
        // The empty line is read alone: csv-core looks for a byte-order mark in it, and therefore drops none
        // later.
        let mut input_end = 1;
        loop {
            let (result, read, wrote, ended) =
                reader.read_record(&input[at..input_end], &mut text[filled..], &mut ends[fields..]);
            (at, filled, fields) = (at + read, filled + wrote, fields + ended);
            input_end = input.len();
            match result {
                ReadRecordResult::Record => {
                    let starts = std::iter::once(0).chain(ends.iter().copied());
                    let all = starts.zip(&ends[..fields]).map(|(start, &end)| text[start..end].to_vec());
                    records.push(all.collect());
                    (filled, fields) = (0, 0);
                }
                ReadRecordResult::End => return records,
                _ => {}
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn records_are_split_as_csv_core_splits_a_file_in_one_go(
            pieces in vec(select(PIECES), 0..80),
            columns in 0_usize..5,
        ) {
            let file = pieces.concat();
            prop_assert_eq!(split_all(&file, columns), split_all_by_csv_core(&file));
        }

        #[test]
        fn arbitrary_bytes_are_split_as_csv_core_splits_them(
            file in vec(any::<u8>(), 0..300),
            columns in 0_usize..5,
        ) {
            prop_assert_eq!(split_all(&file, columns), split_all_by_csv_core(&file));
        }
    }
}
