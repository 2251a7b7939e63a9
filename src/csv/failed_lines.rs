//! Reads the lines of a `failed.csv` side by side with the original bytes of their records.
//!
//! The original bytes say only together with the lines where a record ends: read again by themselves, a quote that
//! was left open in one record could close in the next. A field keeps its line ends, so a record has one line more
//! than its fields have line ends.

use std::io::{self, BufRead};

use memchr::{memchr_iter, memchr2};

use super::{
    CutRecord, Layout,
    encode::lossy,
    failed_csv::{IN_FRONT, without_guard},
    field::FieldGrammar,
    repair::open_quote,
    verdict::open_quote_is_text,
};

/// The most bytes of a record's fields that are kept. Longer fields are left to `failed.csv`.
const MOST_OF_FIELDS: usize = 1 << 20;

/// The most original bytes of a record that are kept.
const MOST_OF_RAW: usize = 64 << 10;

/// A failed record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedLine {
    /// The physical lines on which it begins and ends, from 1.
    pub line: u64,
    pub last_line: u64,
    /// The column at fault. None if the whole record is at fault, or the column has no name.
    pub column: Option<String>,
    /// In the words of `failed.csv`.
    pub reason: String,
    /// None if they are unknown, or longer than 1 MiB.
    pub fields: Option<Vec<String>>,
    /// The record as it was in the file, without its line end, with U+FFFD in place of undecodable bytes. At most
    /// 64 KiB of it.
    pub raw: String,
}

/// Reads records from where both inputs are.
pub struct FailedLines<F, R> {
    failed: F,
    raw: R,
    columns: usize,
    grammar: FieldGrammar,
    /// The records are lines of a `failed.csv` that was uploaded.
    is_of_failed_csv: bool,
    /// A longer record ends at the first line end behind this many bytes.
    limit: u64,
    failed_taken: u64,
    raw_taken: u64,
}

/// The cells of a line.
#[derive(Default)]
struct LineCells {
    texts: Vec<Vec<u8>>,
    count: usize,
    bytes: usize,
    /// Those of the record's fields.
    line_ends: u64,
}

/// Where the original bytes of a record end.
enum RawEnd {
    Lines(u64),
    /// At the first line end outside quotes.
    OutsideQuotes,
    /// At the first line end that is not within this many bytes.
    Behind(u64),
}

impl<F: BufRead, R: BufRead> FailedLines<F, R> {
    /// `failed` and `raw` are parts that a step has written, from the same record on.
    pub fn new(failed: F, raw: R, layout: &Layout, max_record_bytes: usize) -> Self {
        Self {
            failed,
            raw,
            columns: layout.header.len(),
            grammar: FieldGrammar::new(&layout.dialect_as_read()),
            is_of_failed_csv: layout.is_failed_csv,
            limit: max_record_bytes as u64,
            failed_taken: 0,
            raw_taken: 0,
        }
    }

    /// How many bytes of both inputs belong to the records that were returned.
    #[must_use]
    pub fn taken(&self) -> (u64, u64) {
        (self.failed_taken, self.raw_taken)
    }

    /// The next record.
    ///
    /// # Errors
    /// An input cannot be read, or is not what a step writes.
    pub fn next_line(&mut self) -> io::Result<Option<FailedLine>> {
        let Some(cells) = self.take_cells()? else { return Ok(None) };
        let line = cells.text(0).and_then(|text| text.parse().ok()).ok_or_else(|| missing(0))?;
        let column = cells.text(1).ok_or_else(|| missing(1))?;
        let reason = cells.text(2).ok_or_else(|| missing(2))?;
        let has_fields = cells.has_fields();
        let (raw, line_ends_inside) = self.take_raw(&self.raw_end(&cells), MOST_OF_RAW)?;
        Ok(Some(FailedLine {
            line,
            last_line: line + line_ends_inside,
            column: Some(column).filter(|column| !column.is_empty()),
            reason,
            fields: (has_fields && cells.texts.len() == cells.count).then(|| self.fields(&cells.texts)),
            raw: lossy(&raw).into_owned(),
        }))
    }

    /// Passes the next record. Returns where it is among the original bytes if it leaves a quote open, and whether there
    /// was one.
    ///
    /// # Errors
    /// An input cannot be read, or is not what a step writes.
    pub fn next_cut(&mut self) -> io::Result<(Option<CutRecord>, bool)> {
        let Some(cells) = self.take_cells()? else { return Ok((None, false)) };
        let reason = cells.text(2).ok_or_else(|| missing(2))?;
        let quote_is_text = open_quote_is_text(&reason).filter(|_| cells.has_fields());
        let most =
            if quote_is_text.is_some() { usize::try_from(self.limit).unwrap_or(usize::MAX) } else { 0 };
        let start = self.raw_taken;
        let (raw, _) = self.take_raw(&self.raw_end(&cells), most)?;
        let cut = quote_is_text.filter(|_| open_quote(&self.grammar, &raw).is_some());
        let end = start + raw.len() as u64;
        Ok((cut.map(|quote_is_text| CutRecord { start, end, quote_is_text }), true))
    }

    fn raw_end(&self, cells: &LineCells) -> RawEnd {
        if !cells.has_fields() {
            RawEnd::Behind(self.limit)
        } else if self.is_of_failed_csv {
            RawEnd::OutsideQuotes
        } else {
            RawEnd::Lines(cells.line_ends + 1)
        }
    }

    /// The record's fields, without what `failed.csv` adds.
    fn fields(&self, cells: &[Vec<u8>]) -> Vec<String> {
        let mut cells = cells.iter().skip(IN_FRONT.len()).map(|cell| without_guard(cell));
        let mut fields: Vec<String> =
            cells.by_ref().take(self.columns).map(|cell| lossy(cell).into_owned()).collect();
        if let Some(extra) = cells.next().filter(|extra| !extra.is_empty()) {
            FieldGrammar::default().for_each(extra, 0, |field, _| {
                fields.push(lossy(field).into_owned());
                true
            });
        }
        fields
    }

    /// The cells of the next line, which is written as RFC 4180 wants it.
    fn take_cells(&mut self) -> io::Result<Option<LineCells>> {
        let (mut cells, mut cell) = (LineCells::default(), LineCell::default());
        loop {
            let buffer = self.failed.fill_buf()?;
            if buffer.is_empty() {
                // Every line that a step writes has an end.
                return Ok(None);
            }
            let mut used = 0;
            let mut is_over = false;
            for &byte in buffer {
                used += 1;
                match cell.take(byte) {
                    CellByte::Text => cells.push(byte, &mut cell),
                    CellByte::Nothing => {}
                    CellByte::EndOfCell => cells.end(&mut cell),
                    CellByte::EndOfLine => {
                        is_over = true;
                        break;
                    }
                }
            }
            self.failed.consume(used);
            self.failed_taken += used as u64;
            if is_over {
                cells.end(&mut cell);
                return Ok(Some(cells));
            }
        }
    }

    /// The original bytes of the next record without its line end, at most `most` of them, and the line ends inside.
    fn take_raw(&mut self, end: &RawEnd, most: usize) -> io::Result<(Vec<u8>, u64)> {
        let (mut kept, mut taken, mut line_ends, mut is_quoted) = (Vec::new(), 0, 0, false);
        let mut keep = |bytes: &[u8]| {
            let room = most - kept.len();
            kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        };
        loop {
            let buffer = self.raw.fill_buf()?;
            if buffer.is_empty() {
                break;
            }
            let length = memchr2(b'\r', b'\n', buffer).unwrap_or(buffer.len());
            let text = &buffer[..length];
            is_quoted ^= memchr_iter(b'"', text).count() % 2 == 1;
            keep(text);
            let is_line_end = length < buffer.len();
            self.raw.consume(length);
            taken += length as u64;
            if !is_line_end {
                continue;
            }
            let begins_at = taken;
            let line_end = self.take_line_end()?;
            taken += line_end.len() as u64;
            let is_record_end = match *end {
                RawEnd::Lines(lines) => line_ends + 1 >= lines,
                RawEnd::OutsideQuotes => !is_quoted,
                // A CRLF across the limit belongs to what is behind it.
                RawEnd::Behind(limit) => begins_at + line_end.len() as u64 > limit,
            };
            if is_record_end {
                self.raw_taken += taken;
                return Ok((kept, line_ends));
            }
            keep(line_end);
            line_ends += 1;
        }
        self.raw_taken += taken;
        // An open quote takes the file's last line end into its field, and no line follows that.
        let ends_with_line_end = kept.ends_with(b"\n") || kept.ends_with(b"\r");
        Ok((kept, line_ends - u64::from(ends_with_line_end && line_ends > 0)))
    }

    fn take_line_end(&mut self) -> io::Result<&'static [u8]> {
        let is_cr = self.raw.fill_buf()?.first() == Some(&b'\r');
        self.raw.consume(1);
        if is_cr && self.raw.fill_buf()?.first() == Some(&b'\n') {
            self.raw.consume(1);
            return Ok(b"\r\n");
        }
        Ok(if is_cr { b"\r" } else { b"\n" })
    }
}

fn missing(cell: usize) -> io::Error {
    let name = IN_FRONT[cell];
    io::Error::new(io::ErrorKind::InvalidData, format!("a line of failed records has no {name}"))
}

impl LineCells {
    fn text(&self, at: usize) -> Option<String> {
        self.texts.get(at).map(|text| lossy(without_guard(text)).into_owned())
    }

    /// The fields of the record are known.
    fn has_fields(&self) -> bool {
        self.count > IN_FRONT.len()
    }

    fn push(&mut self, byte: u8, cell: &mut LineCell) {
        let is_of_record = self.count >= IN_FRONT.len();
        if is_of_record && (byte == b'\r' || byte == b'\n' && !cell.is_behind_cr) {
            self.line_ends += 1;
        }
        cell.is_behind_cr = byte == b'\r';
        self.bytes += 1;
        // Our own cells come first, and are short.
        if self.bytes <= MOST_OF_FIELDS {
            cell.text.push(byte);
        }
    }

    fn end(&mut self, cell: &mut LineCell) {
        let text = std::mem::take(&mut cell.text);
        *cell = LineCell::default();
        self.count += 1;
        if self.bytes <= MOST_OF_FIELDS {
            self.texts.push(text);
        }
    }
}

/// The cell that is being read.
#[derive(Default)]
struct LineCell {
    text: Vec<u8>,
    place: CellPlace,
    is_behind_cr: bool,
}

#[derive(Clone, Copy, Default)]
enum CellPlace {
    #[default]
    Start,
    Unquoted,
    Quoted,
    /// After a quote inside a quoted cell: its end, or the first of two.
    AfterQuote,
}

/// What a byte is in a line.
enum CellByte {
    Text,
    Nothing,
    EndOfCell,
    EndOfLine,
}

impl LineCell {
    fn take(&mut self, byte: u8) -> CellByte {
        let (place, meaning) = match (self.place, byte) {
            (CellPlace::Start, b'"') => (CellPlace::Quoted, CellByte::Nothing),
            (CellPlace::Quoted, b'"') => (CellPlace::AfterQuote, CellByte::Nothing),
            (CellPlace::Quoted, _) => (CellPlace::Quoted, CellByte::Text),
            (CellPlace::AfterQuote, b'"') => (CellPlace::Quoted, CellByte::Text),
            (_, b',') => (CellPlace::Start, CellByte::EndOfCell),
            // The LF follows.
            (place, b'\r') => (place, CellByte::Nothing),
            (_, b'\n') => (CellPlace::Start, CellByte::EndOfLine),
            _ => (CellPlace::Unquoted, CellByte::Text),
        };
        self.place = place;
        meaning
    }
}

#[cfg(test)]
mod tests;
