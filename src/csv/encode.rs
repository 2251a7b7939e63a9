//! Writes records as RFC 4180: comma-separated, with quotes only where they are needed.

use std::borrow::Cow;

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
        if field.iter().any(|&byte| matches!(byte, COMMA | b'"' | b'\r' | b'\n')) {
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
