//! The layout of a file: its dialect, its header, and where its records begin.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{
    Cursor, Dialect, Encoding, Escape, Quote,
    encode::{Encoder, LINE_END, shown},
    excerpt::excerpt,
    failed_csv::{self, Columns},
    split::{BYTE_ORDER_MARK, Split, Splitter, line_end, without_half_line_end},
};

/// What the front of a file determines for the whole file. The plan of a run stores it, and later steps obey
/// it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    #[serde(default = "Dialect::plain")]
    pub dialect: Dialect,
    /// The file's own encoding. The reader sees UTF-8 and names this one where it could not be decoded.
    #[serde(default)]
    pub encoding: Encoding,
    /// The header's fields as decoded text, as the outputs contain them: without our own columns if the file
    /// is a `failed.csv`, and with U+FFFD for undecodable bytes and NUL. Empty if all lines are empty; such a
    /// file has no records.
    pub header: Vec<String>,
    /// Where the search for the first record begins: after the header's line end.
    pub start: Cursor,
    /// The file is one of our `failed.csv` files, and its `_line,_column,_reason` and `_extra` are removed. A
    /// file that has only these columns counts as an ordinary one.
    pub is_failed_csv: bool,
    /// The `failed.csv` has the column `_extra` at its end; false if the user has removed it.
    pub has_extra: bool,
    /// Up to so many fields at the end of a record, after those of the header, are left out if they are empty.
    #[serde(default)]
    pub left_out_at_end: usize,
    /// Rows are left out and quotes repaired as docs/csv.md says. False for the plain reading, and in the plan of
    /// an earlier version.
    #[serde(default)]
    pub repairs: bool,
    /// The rules of the reader's third version: without quotes a backslash stands before what is text, and a record
    /// that fails is no repeated header. False in the plan of an earlier version.
    #[serde(default)]
    pub reader_3: bool,
    /// The rules of the fourth version: a quote that closes nowhere swallows no records, however far behind it they are.
    #[serde(default)]
    pub reader_4: bool,
    /// Records that leave a quote open, in order. In a file of failed records the lines that told where they end are
    /// missing, and the quote could lead into the next record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<CutRecord>,
}

/// Where a record is, without its line end, that leaves a quote open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u64, bool)", into = "(u64, u64, bool)")]
pub struct CutRecord {
    pub start: u64,
    pub end: u64,
    /// The quote is text. Otherwise the record fails for it.
    pub quote_is_text: bool,
}

impl From<(u64, u64, bool)> for CutRecord {
    fn from((start, end, quote_is_text): (u64, u64, bool)) -> Self {
        Self { start, end, quote_is_text }
    }
}

impl From<CutRecord> for (u64, u64, bool) {
    fn from(cut: CutRecord) -> Self {
        (cut.start, cut.end, cut.quote_is_text)
    }
}

/// Why the front of a file cannot be read as CSV.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// `sample` ends inside the header, and the file is longer: call again with a longer sample.
    #[error("the header does not end in the sample")]
    NeedMore,
    #[error("the header's quotes never close")]
    QuotesNeverClose,
    /// The header, or the empty lines before it, are too long.
    #[error("the header is longer than {limit} bytes")]
    TooLong { limit: usize },
    #[error("the header has {columns} columns")]
    TooManyColumns { columns: usize },
    /// The text has no rows with the same number of fields.
    #[error("no table was found")]
    NoTable,
    /// The line that a person chose for the header is behind the file's end.
    #[error("there is no line {line}")]
    NoSuchLine { line: u64 },
}

/// The most columns of an Excel sheet. Each line of `failed.csv` can have all columns, so with more of them a
/// small file of short records could fill a disk.
pub const MOST_COLUMNS: usize = 16_384;

impl Layout {
    /// The plain reading: RFC 4180, read leniently and without repairs. `sample` starts at the file's first byte; `eof` says that it is the whole
    /// file. The header is the first line that is not empty. A sample of about twice `max_header_bytes` is
    /// always long enough.
    pub fn read(sample: &[u8], eof: bool, max_header_bytes: usize) -> Result<Self, LayoutError> {
        let too_long = LayoutError::TooLong { limit: max_header_bytes };
        let input = without_half_line_end(sample, eof);
        let (mut start, input) = front(input);
        let empty_lines = start.byte;

        let mut names = Vec::new();
        if input.is_empty() && !eof {
            return Err(if empty_lines > max_header_bytes as u64 { too_long } else { LayoutError::NeedMore });
        } else if !input.is_empty() {
            let mut splitter = Splitter::new(&Dialect::plain(), 0, max_header_bytes);
            match splitter.split(input, eof) {
                Split::Incomplete => return Err(LayoutError::NeedMore),
                Split::TooLong => return Err(too_long),
                Split::Record if splitter.quotes().open => return Err(LayoutError::QuotesNeverClose),
                Split::Record => {
                    let (record, names_in_file) = splitter.record(input);
                    names_in_file.for_each_surplus(|name| names.push(shown(name).into_owned()));
                    start.advance(record.bytes.len(), record.line_ends());
                }
            }
        }
        if names.len() > MOST_COLUMNS {
            return Err(LayoutError::TooManyColumns { columns: names.len() });
        }
        let Columns { header, is_failed_csv, has_extra } = failed_csv::recognise(names);
        Ok(Self {
            dialect: Dialect::plain(),
            encoding: Encoding::UTF_8,
            header,
            start,
            is_failed_csv,
            has_extra,
            left_out_at_end: 0,
            repairs: false,
            reader_3: true,
            reader_4: true,
            cut: Vec::new(),
        })
    }

    /// The header line of `processed.csv`; empty if the file has no header.
    #[must_use]
    pub fn processed_header(&self) -> Vec<u8> {
        let mut line = Vec::new();
        if self.header.is_empty() {
            return line;
        }
        let mut encoder = Encoder::new(&mut line);
        for name in &self.header {
            encoder.field(name.as_bytes());
        }
        encoder.finish();
        line.extend_from_slice(LINE_END);
        line
    }

    /// The header line of `failed.csv`.
    #[must_use]
    pub fn failed_header(&self) -> Vec<u8> {
        let mut line = Vec::new();
        failed_csv::write_header(&mut line, &self.header);
        line
    }

    /// The names that several columns have, as excerpts in the order of the header, each with the number of
    /// its columns.
    #[must_use]
    pub fn repeated_names(&self) -> Vec<(String, usize)> {
        let mut columns: HashMap<&str, usize> = HashMap::new();
        for name in &self.header {
            *columns.entry(name).or_default() += 1;
        }
        let several = self.header.iter().filter_map(|name| {
            // Removed from the map, so that each name is returned once.
            let count = columns.remove(name.as_str())?;
            (count > 1).then(|| (excerpt(name.as_bytes(), 0), count))
        });
        several.collect()
    }

    /// The first record at or behind `byte` of which it is known that it leaves a quote open.
    pub(super) fn next_cut(&self, byte: u64) -> Option<CutRecord> {
        let before = self.cut.partition_point(|cut| cut.start < byte);
        self.cut.get(before).copied()
    }

    /// The dialect as this layout's reader understands it.
    #[must_use]
    pub fn dialect_as_read(&self) -> Dialect {
        let is_ignored = !self.reader_3 && self.dialect.quote == Quote::None;
        let escape = if is_ignored { Escape::Doubled } else { self.dialect.escape };
        Dialect { escape, ..self.dialect.clone() }
    }

    /// Whether a record may end where only its surroundings tell.
    #[must_use]
    pub fn may_cut(&self) -> bool {
        // The quotes of our own files are right, and their lines may be short.
        self.repairs && !self.is_failed_csv && !self.dialect.lines_are_quoted
    }

    /// The number of columns in the file itself.
    pub(super) fn columns_in_file(&self) -> usize {
        self.header.len() + if self.is_failed_csv { failed_csv::columns_of_ours(self.has_extra) } else { 0 }
    }
}

/// `sample`, which starts at the file's first byte, without the mark.
pub(super) fn without_byte_order_mark(sample: &[u8]) -> &[u8] {
    sample.strip_prefix(BYTE_ORDER_MARK).unwrap_or(sample)
}

/// The position of the header, after the byte-order mark and empty lines, and the sample from there on.
pub(super) fn front(sample: &[u8]) -> (Cursor, &[u8]) {
    let mut start = Cursor { byte: 0, line: 1, record: 0 };
    let mut input = sample;
    input = without_byte_order_mark(input);
    start.advance(sample.len() - input.len(), 0);
    while let length @ 1.. = line_end(input) {
        start.advance(length, 1);
        input = &input[length..];
    }
    (start, input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_several_columns_have_are_told_once_each() {
        let repeated = |header: &[u8]| Layout::read(header, true, 100).unwrap().repeated_names();
        assert_eq!(repeated(b"id,amount,Amount,total"), []);
        assert_eq!(repeated(b""), []);
        let names = [("b".to_owned(), 2), ("a".to_owned(), 3), (String::new(), 2)];
        assert_eq!(repeated(b"b,a,,c,a,,b,a"), names);
        assert_eq!(repeated(b"a\tb,a\tb"), [("a␉b".to_owned(), 2)]);
    }
}
