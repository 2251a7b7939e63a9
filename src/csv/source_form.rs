//! Writes an output in the separator and encoding of the file that came in, so that it opens in the program
//! that the file came from.

mod original;

use std::io::{self, Read};

use memchr::memmem;

use super::{Dialect, Encoding, Escape, FromUtf8, encode::LINE_END};
use original::Originals;

/// The columns of `failed.csv` before those of the file, which are our words.
const OURS_IN_FRONT: usize = 3;

/// U+FFFD, which `failed.csv` has in place of what cannot be shown.
const REPLACEMENT: &[u8] = b"\xef\xbf\xbd";

/// From how many bytes on a field is written in pieces. It is in quotes then, whether it needs them or not.
const LONG: usize = 64 << 10;

/// Converts an output: RFC 4180 with commas, in UTF-8, as [`Output`](super::Output) contains it.
pub struct SourceForm<R> {
    dialect: Dialect,
    encoder: FromUtf8,
    /// The bytes that `failed.csv` cannot show. None for processed records.
    originals: Option<Originals<R>>,
    /// The field that is being read, or what is not written of a long one.
    field: Vec<u8>,
    /// A part of the field was written.
    is_long: bool,
    place: Place,
    /// The number of the field in its record, from 0.
    number: usize,
    /// The original bytes are those of the records only.
    is_header: bool,
    record: Vec<u8>,
}

/// Where in a field the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Start,
    Unquoted,
    Quoted,
    /// After a quote inside a quoted field: its end, or the first of two.
    AfterQuote,
    /// After the CR of a line end.
    LineEnd,
}

impl<R: Read> SourceForm<R> {
    /// For processed records without `failed`; otherwise `failed` reads the original bytes of the failed records,
    /// in their order. Unicode begins with a byte-order mark.
    ///
    /// Failed records have double quotes, doubled inside, in every form: when they come back, only the separator
    /// can be told by their header.
    pub fn new(mut dialect: Dialect, encoding: Encoding, failed: Option<R>) -> Self {
        if failed.is_some() {
            dialect = Dialect { delimiter: dialect.delimiter, ..Dialect::plain() };
        }
        let mut form = Self {
            encoder: FromUtf8::new(encoding),
            originals: failed.map(|raw| Originals::new(raw, dialect.delimiter)),
            dialect,
            field: Vec::new(),
            is_long: false,
            place: Place::Start,
            number: 0,
            is_header: true,
            record: Vec::new(),
        };
        if encoding.is_unicode() {
            form.record.extend_from_slice("\u{feff}".as_bytes());
        }
        form
    }

    /// Converts the next bytes and appends the result to `out`. `last` says that the output ends with them.
    pub fn convert(&mut self, input: &[u8], last: bool, out: &mut Vec<u8>) -> io::Result<()> {
        for &byte in input {
            match (self.place, byte) {
                (Place::Start, b'"') => self.place = Place::Quoted,
                (Place::Quoted, b'"') => self.place = Place::AfterQuote,
                (Place::AfterQuote, b'"') => {
                    self.field.push(b'"');
                    self.place = Place::Quoted;
                }
                (Place::Quoted, _) => self.field.push(byte),
                (Place::LineEnd, b'\n') => self.place = Place::Start,
                (_, b',') => {
                    self.end_field(false)?;
                    self.place = Place::Start;
                }
                (_, b'\r') => {
                    self.end_field(true)?;
                    self.record.extend_from_slice(LINE_END);
                    self.place = Place::LineEnd;
                }
                (_, _) => {
                    self.field.push(byte);
                    self.place = Place::Unquoted;
                }
            }
            if self.field.len() >= LONG && matches!(self.place, Place::Quoted | Place::Unquoted) {
                self.write_piece()?;
            }
            if self.place == Place::Start && self.number == 0 {
                self.encoder.encode(&self.record, false, out);
                self.record.clear();
            }
        }
        self.encoder.encode(&self.record, last, out);
        self.record.clear();
        Ok(())
    }

    fn end_field(&mut self, ends_record: bool) -> io::Result<()> {
        let field = self.take_piece(true)?;
        if self.is_long {
            self.push_text(&field, true);
            self.record.extend(self.dialect.quote.byte());
            self.is_long = false;
        } else {
            self.begin_field();
            // An empty line is no record.
            let is_all =
                ends_record && self.number == 0 && field.is_empty() && self.place == Place::AfterQuote;
            self.push_field(&field, is_all);
        }
        self.number = if ends_record { 0 } else { self.number + 1 };
        self.is_header &= !ends_record;
        Ok(())
    }

    /// Writes a part of a long field.
    fn write_piece(&mut self) -> io::Result<()> {
        let piece = self.take_piece(false)?;
        if !self.is_long {
            self.begin_field();
            self.record.extend(self.dialect.quote.byte());
            self.is_long = true;
        }
        let taken = self.push_text(&piece, false);
        self.field.splice(0..0, piece[taken..].iter().copied());
        Ok(())
    }

    /// The original bytes of what was read of the field.
    fn take_piece(&mut self, is_last: bool) -> io::Result<Vec<u8>> {
        match &mut self.originals {
            Some(originals) if self.number >= OURS_IN_FRONT && !self.is_header => {
                originals.restore(&mut self.field, is_last)
            }
            _ => Ok(std::mem::take(&mut self.field)),
        }
    }

    fn begin_field(&mut self) {
        if self.number > 0 {
            self.record.extend_from_slice(self.dialect.delimiter.as_bytes());
        }
    }

    /// Text of a field, inside its quotes if there are any. Returns how much of it was taken: all, if it is the field's
    /// last.
    fn push_text(&mut self, text: &[u8], is_last: bool) -> usize {
        let Some(quote) = self.dialect.quote.byte() else {
            match self.dialect.escape {
                Escape::Backslash => return self.push_escaped(text, is_last),
                // The fields came without quotes, and what begins with a quote is text.
                Escape::Doubled => self.record.extend_from_slice(text),
            }
            return text.len();
        };
        for &byte in text {
            match self.dialect.escape {
                Escape::Backslash if byte == quote || byte == b'\\' => self.record.push(b'\\'),
                Escape::Doubled if byte == quote => self.record.push(quote),
                Escape::Backslash | Escape::Doubled => {}
            }
            self.record.push(byte);
        }
        text.len()
    }

    /// Text in which backslashes stand before separators and backslashes that are text. Leaves what may be a part of a
    /// separator of several bytes that goes on behind it.
    fn push_escaped(&mut self, text: &[u8], is_last: bool) -> usize {
        let delimiter = self.dialect.delimiter;
        let delimiter = delimiter.as_bytes();
        let end = if is_last { text.len() } else { (text.len() + 1).saturating_sub(delimiter.len()) };
        let mut at = 0;
        while at < end {
            let is_delimiter = text[at..].starts_with(delimiter);
            if is_delimiter || text[at] == b'\\' {
                self.record.push(b'\\');
            }
            let length = if is_delimiter { delimiter.len() } else { 1 };
            self.record.extend_from_slice(&text[at..at + length]);
            at += length;
        }
        at
    }

    fn push_field(&mut self, field: &[u8], is_all: bool) {
        let Some(quote) = self.dialect.quote.byte() else {
            self.push_text(field, true);
            return;
        };
        let needs_quotes = is_all
            || memmem::find(field, self.dialect.delimiter.as_bytes()).is_some()
            || field.iter().any(|&byte| byte == quote || matches!(byte, b'\r' | b'\n'))
            || (self.dialect.spaces_around_quotes && field.trim_ascii().len() < field.len());
        if !needs_quotes {
            return self.record.extend_from_slice(field);
        }
        self.record.push(quote);
        self.push_text(field, true);
        self.record.push(quote);
    }
}

#[cfg(test)]
mod tests;
