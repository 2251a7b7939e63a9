//! Writes records as RFC 4180: comma-separated, with quotes only where they are needed.

use std::borrow::Cow;

use memchr::memchr;

/// The delimiter of everything that is written.
pub(super) const COMMA: u8 = b',';
pub(super) const LINE_END: &[u8] = b"\r\n";

/// Appends one record to `out`, field by field, without its line end.
pub(super) struct Encoder<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    fields: usize,
}

impl<'o> Encoder<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        Self { start: out.len(), out, fields: 0 }
    }

    pub(super) fn field(&mut self, field: &[u8]) {
        if self.fields > 0 {
            self.out.push(COMMA);
        }
        self.fields += 1;
        if needs_quotes(field) {
            quoted(self.out, field);
        } else {
            self.out.extend_from_slice(field);
        }
    }

    /// Ends the record. A single empty field is quoted, because an empty line is not a record.
    pub(super) fn finish(self) {
        if self.fields == 1 && self.out.len() == self.start {
            self.out.extend_from_slice(b"\"\"");
        }
    }
}

/// Whether a field must be in quotes.
pub(super) fn needs_quotes(field: &[u8]) -> bool {
    field.iter().any(|&byte| matches!(byte, COMMA | b'"' | b'\r' | b'\n'))
}

/// Appends `field` in quotes.
pub(super) fn quoted(out: &mut Vec<u8>, field: &[u8]) {
    out.push(b'"');
    let mut parts = field.split(|&byte| byte == b'"');
    out.extend_from_slice(parts.next().unwrap_or_default());
    for part in parts {
        out.extend_from_slice(b"\"\"");
        out.extend_from_slice(part);
    }
    out.push(b'"');
}

/// How many bytes of a text are written at once.
pub(super) const PIECE: usize = 64 << 10;

/// The longest character of UTF-8, in bytes.
const LONGEST_CHAR: usize = 4;

/// Writes a text as UTF-8 without NUL, and `quote` for each quote in it.
pub(super) fn put_text(put: &mut impl FnMut(&[u8]), mut text: &[u8], quote: &[u8]) {
    while !text.is_empty() {
        let (piece, rest) = text.split_at(end_of_piece(text));
        let piece = shown(piece);
        let mut unwritten = piece.as_bytes();
        while let Some(at) = memchr(b'"', unwritten) {
            put(&unwritten[..at]);
            put(quote);
            unwritten = &unwritten[at + 1..];
        }
        put(unwritten);
        text = rest;
    }
}

/// The length of the first piece of `text`. It ends between two characters, or between two bytes that belong to none.
fn end_of_piece(text: &[u8]) -> usize {
    if text.len() <= PIECE {
        return text.len();
    }
    let is_inside_char = |at: usize| text[at] & 0b1100_0000 == 0b1000_0000;
    (PIECE + 1 - LONGEST_CHAR..=PIECE).rev().find(|at| !is_inside_char(*at)).unwrap_or(PIECE)
}

/// The bytes as text, with U+FFFD in place of undecodable bytes and NUL.
pub(super) fn shown(bytes: &[u8]) -> Cow<'_, str> {
    let text = lossy(bytes);
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { text }
}

/// The bytes as text, with U+FFFD in place of undecodable bytes. A surrogate in three bytes stands for one
/// undecodable byte of the original file, and becomes one U+FFFD.
pub(super) fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len());
    // The bytes of a surrogate that are still to come: `utf8_chunks` finds each of them invalid.
    let mut of_surrogate = 0;
    let mut rest = bytes;
    for chunk in bytes.utf8_chunks() {
        rest = &rest[chunk.valid().len()..];
        text.push_str(chunk.valid());
        if !chunk.valid().is_empty() {
            of_surrogate = 0;
        }
        if of_surrogate > 0 {
            of_surrogate -= 1;
        } else if !chunk.invalid().is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
            if matches!(rest, [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..]) {
                of_surrogate = 2;
            }
        }
        rest = &rest[chunk.invalid().len()..];
    }
    Cow::Owned(text)
}
