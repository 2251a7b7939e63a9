//! Splits input into records and fields. Nothing is judged or written here.

use csv_core::{ReadFieldResult, ReadRecordResult, Reader, ReaderBuilder};
use memchr::{memchr, memchr2_iter};

use super::encode::Encoder;

/// The initial capacity for the fields' text, in bytes.
const TEXT_AT_FIRST: usize = 4096;

/// A csv-core reader at the beginning of a record. Building one takes microseconds, so [`start_over`] resets
/// it instead. (A cloned reader returns wrong results in csv-core 0.1.13.)
fn reader(delimiter: u8) -> Reader {
    let mut reader = ReaderBuilder::new().delimiter(delimiter).build();
    start_over(&mut reader);
    reader
}

fn start_over(reader: &mut Reader) {
    reader.reset();
    // csv-core drops a byte-order mark at the front of the first input that it sees. Only a mark at byte 0 of
    // a file is not data, and `Layout::read` has removed that one, so an empty line is fed first.
    reader.read_record(b"\n", &mut [0], &mut [0]);
}

/// Splits a record's bytes, or a part of them, into fields, one at a time.
pub(super) struct FieldReader {
    reader: Reader,
}

impl FieldReader {
    pub(super) fn new(delimiter: u8) -> Self {
        Self { reader: reader(delimiter) }
    }

    /// Calls `each` with every unquoted field of `fields`. Empty input is one empty field.
    pub(super) fn for_each(&mut self, fields: &[u8], mut each: impl FnMut(&[u8])) {
        if fields.is_empty() {
            return each(b"");
        }
        start_over(&mut self.reader);
        let mut field = vec![0; fields.len()];
        let (mut rest, mut filled) = (fields, 0);
        loop {
            // Once `rest` is empty, this call tells csv-core that the input ends.
            let (result, read, wrote) = self.reader.read_field(rest, &mut field[filled..]);
            (rest, filled) = (&rest[read..], filled + wrote);
            match result {
                ReadFieldResult::Field { .. } => {
                    each(&field[..filled]);
                    filled = 0;
                }
                ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull => {}
                ReadFieldResult::End => return,
            }
        }
    }
}

/// The unquoted fields of one record.
pub(super) struct Fields<'a> {
    /// The text of the fields that have a column, concatenated.
    pub(super) text: &'a [u8],
    /// The end of each of them in `text`.
    pub(super) ends: &'a [usize],
    /// The number of fields, including those without a column.
    pub(super) count: usize,
    /// The fields without a column, in the form that `surplus_reader` reads. There may be millions, so they
    /// are split only on demand.
    pub(super) surplus: Option<&'a [u8]>,
    pub(super) surplus_reader: &'a mut FieldReader,
}

impl<'a> Fields<'a> {
    /// The fields that have a column.
    pub(super) fn in_columns(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let Self { text, ends, .. } = *self;
        let starts = std::iter::once(0).chain(ends.iter().copied());
        starts.zip(ends).map(|(start, &end)| &text[start..end])
    }

    /// All fields as a CSV record.
    pub(super) fn encoded(&mut self) -> Vec<u8> {
        let mut record = Vec::new();
        let mut encoder = Encoder::new(&mut record);
        for field in self.in_columns() {
            encoder.field(field);
        }
        self.for_each_surplus(|field| encoder.field(field));
        encoder.finish();
        record
    }

    pub(super) fn for_each_surplus(&mut self, each: impl FnMut(&[u8])) {
        if let Some(surplus) = self.surplus {
            self.surplus_reader.for_each(surplus, each);
        }
    }
}

/// One record as it is in the file.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    /// All bytes, including the line end.
    pub(super) bytes: &'a [u8],
    /// The bytes without the line end.
    pub(super) content: &'a [u8],
    /// The record contains a quote character, syntactic or literal.
    pub(super) has_quotes: bool,
    /// The file ends inside the record's quotes.
    pub(super) open_quotes: bool,
}

impl Record<'_> {
    /// The number of line ends, including those in quotes and the one at the end.
    pub(super) fn line_ends(&self) -> u64 {
        if self.has_quotes {
            count_line_ends(self.bytes)
        } else {
            u64::from(self.content.len() < self.bytes.len())
        }
    }
}

/// The result of splitting the front of some input.
pub(super) enum Split<'a> {
    Record(Record<'a>, Fields<'a>),
    /// The record continues after the input.
    Incomplete,
    /// The record is longer than the limit, and the input is at least one byte longer than the limit.
    TooLong,
}

/// Splits records off the front of input that grows until its first record is whole.
pub(super) struct Splitter {
    /// How many fields have a column. Only these are split in [`Fields`].
    columns: usize,
    /// The most bytes of a record without its line end.
    limit: usize,
    reader: Reader,
    surplus_reader: FieldReader,
    text: Vec<u8>,
    ends: Vec<usize>,
    progress: Progress,
}

/// How far the current record has been read.
#[derive(Clone, Copy, Default)]
struct Progress {
    /// Bytes of the input.
    read: usize,
    /// Bytes of the fields' text.
    text: usize,
    fields: usize,
    /// The first byte after the last field that has a column.
    surplus_from: Option<usize>,
    /// The record was whole and has been returned.
    done: bool,
}

impl Splitter {
    pub(super) fn new(delimiter: u8, columns: usize, limit: usize) -> Self {
        Self {
            columns,
            limit,
            reader: reader(delimiter),
            surplus_reader: FieldReader::new(delimiter),
            text: vec![0; TEXT_AT_FIRST],
            ends: vec![0; columns],
            progress: Progress::default(),
        }
    }

    /// Splits off the first record of `input`. Its first byte is not a line end, and a CR is its last byte
    /// only with `eof` (see [`without_half_line_end`]). After [`Split::Incomplete`], the next input must be
    /// the same with more bytes after it, and reading continues where this input ended.
    pub(super) fn split<'a>(&'a mut self, input: &'a [u8], eof: bool) -> Split<'a> {
        if self.progress.done {
            self.progress = Progress::default();
        }
        let window = &input[..input.len().min(self.limit.saturating_add(1))];
        let (content, open_quotes) = if self.feed(&window[self.progress.read..]) {
            (&input[..self.progress.read - 1], false)
        } else if window.len() > self.limit {
            self.restart();
            return Split::TooLong;
        } else if !eof {
            return Split::Incomplete;
        } else {
            // A line end that does not end the record is inside quotes.
            let open_quotes = !self.feed(b"\n");
            if open_quotes {
                self.end_open_field();
            }
            (input, open_quotes)
        };
        self.progress.done = true;
        let Progress { text, fields, surplus_from, .. } = self.progress;
        let record = Record {
            bytes: &input[..content.len() + line_end(&input[content.len()..])],
            content,
            has_quotes: memchr(b'"', content).is_some(),
            open_quotes,
        };
        let fields = Fields {
            text: &self.text[..text],
            ends: &self.ends[..fields.min(self.columns)],
            count: fields,
            surplus: surplus_from.map(|from| &content[from..]),
            surplus_reader: &mut self.surplus_reader,
        };
        Split::Record(record, fields)
    }

    /// Feeds `bytes` to the current record until either ends. Returns whether the record ended.
    fn feed(&mut self, bytes: &[u8]) -> bool {
        let progress = &mut self.progress;
        let mut rest = bytes;
        while !rest.is_empty() {
            let in_columns = progress.fields < self.columns;
            let (result, read, wrote, fields) = if in_columns {
                let (text, ends) = (&mut self.text[progress.text..], &mut self.ends[progress.fields..]);
                self.reader.read_record(rest, text, ends)
            } else {
                // Surplus fields are only counted.
                progress.surplus_from.get_or_insert(progress.read);
                let (result, read, _, fields) = self.reader.read_record(rest, &mut [0; 1024], &mut [0; 128]);
                (result, read, 0, fields)
            };
            rest = &rest[read..];
            progress.read += read;
            progress.text += wrote;
            progress.fields += fields;
            match result {
                ReadRecordResult::Record => return true,
                ReadRecordResult::OutputFull if in_columns => self.text.resize(self.text.len() * 2, 0),
                _ => {}
            }
        }
        false
    }

    /// Ends the field whose quotes are open at the end of the file, and removes the line end that `split`
    /// added.
    fn end_open_field(&mut self) {
        if self.progress.fields < self.columns {
            self.progress.text -= 1;
            self.ends[self.progress.fields] = self.progress.text;
        }
        self.progress.fields += 1;
    }

    /// Discards the current record and its memory.
    fn restart(&mut self) {
        start_over(&mut self.reader);
        self.text = vec![0; TEXT_AT_FIRST];
        self.progress = Progress::default();
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

/// The number of line ends in `bytes`, inside and outside quotes.
pub(super) fn count_line_ends(bytes: &[u8]) -> u64 {
    let ends_line = |&at: &usize| bytes[at] == b'\n' || bytes.get(at + 1) != Some(&b'\n');
    memchr2_iter(b'\r', b'\n', bytes).filter(ends_line).count() as u64
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    const PIECES: &[&[u8]] =
        &[b",", b",", b"\"", b"\"", b"\r", b"\n", b"\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"x"];

    type Fields = Vec<Vec<u8>>;

    /// All records of a file, split by `Splitter`.
    fn split_all(mut input: &[u8], columns: usize) -> Vec<Fields> {
        let mut splitter = Splitter::new(b',', columns, usize::MAX);
        let mut records = Vec::new();
        while !input.is_empty() {
            if let length @ 1.. = line_end(input) {
                input = &input[length..];
                continue;
            }
            let Split::Record(record, mut fields) = splitter.split(input, true) else {
                panic!("no record in {:?}", input.escape_ascii().to_string());
            };
            let mut all: Fields = fields.in_columns().map(<[u8]>::to_vec).collect();
            fields.for_each_surplus(|field| all.push(field.to_vec()));
            assert_eq!(all.len(), fields.count);
            records.push(all);
            input = &input[record.bytes.len()..];
        }
        records
    }

    /// The same, split by csv-core in one call.
    fn split_all_by_csv_core(file: &[u8]) -> Vec<Fields> {
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
    }
}
