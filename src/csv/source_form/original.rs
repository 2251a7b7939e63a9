//! The bytes of failed records that cannot be shown.

use std::io::{self, Read};

use memchr::{memchr, memmem};

use super::REPLACEMENT;
use crate::csv::Delimiter;

/// How many bytes are read at once.
const BLOCK: usize = 64 << 10;

/// How many bytes before and after an odd sequence are compared.
const CONTEXT: usize = 8;

/// How many bytes of a field show what stands behind an odd sequence: as many, or another one.
const LOOK_AHEAD: usize = CONTEXT + REPLACEMENT.len();

/// Finds in the records' original bytes, in order, what `failed.csv` shows as U+FFFD: bytes that are no text, and
/// NUL. Both have the same fields in the same order, except that `failed.csv` lacks those of a record that is too
/// long, so the text around is compared.
pub(super) struct Originals<R> {
    raw: R,
    buffer: Vec<u8>,
    /// Where the search goes on.
    at: usize,
    is_over: bool,
    /// The last byte of the separator.
    delimiter: u8,
    /// The last bytes of the field behind the last odd sequence.
    before: Vec<u8>,
    /// A part of the field was returned.
    is_inside_field: bool,
}

impl<R: Read> Originals<R> {
    pub(super) fn new(raw: R, delimiter: Delimiter) -> Self {
        let delimiter = delimiter.as_bytes().last().copied().unwrap_or(b',');
        let (buffer, before) = (Vec::new(), Vec::new());
        Self { raw, buffer, at: 0, is_over: false, delimiter, before, is_inside_field: false }
    }

    /// Puts the original bytes back into the next piece of a field. Takes the bytes of `field` up to where those behind
    /// them are needed, and returns what they were.
    pub(super) fn restore(&mut self, field: &mut Vec<u8>, is_last: bool) -> io::Result<Vec<u8>> {
        let (mut restored, mut from) = (Vec::new(), 0);
        loop {
            let found = memmem::find(&field[from..], REPLACEMENT).map(|at| from + at);
            let behind = found.map_or(field.len(), |at| at + REPLACEMENT.len());
            let is_decided = is_last || found.is_some() && behind + LOOK_AHEAD <= field.len();
            let to = match found {
                Some(at) => at,
                None if is_last => field.len(),
                // They may be a part of U+FFFD.
                None => (field.len() + 1).saturating_sub(REPLACEMENT.len()).max(from),
            };
            self.pass_text(&field[from..to]);
            restored.extend_from_slice(&field[from..to]);
            from = to;
            if found.is_none() || !is_decided {
                break;
            }
            let ahead = &field[behind..field.len().min(behind + LOOK_AHEAD)];
            let after = &ahead[..memmem::find(ahead, REPLACEMENT).unwrap_or(ahead.len())];
            let (begins, ends) = (!self.is_inside_field, is_last && behind == field.len());
            let before = std::mem::take(&mut self.before);
            match self.next(begins, tail(&before), head(after), ends)? {
                Some(original) => restored.extend(original),
                None => restored.extend_from_slice(REPLACEMENT),
            }
            (self.is_inside_field, from) = (true, behind);
        }
        field.drain(..from);
        if is_last {
            self.before.clear();
            self.is_inside_field = false;
        }
        Ok(restored)
    }

    /// Keeps the end of a text that is shown as it is.
    fn pass_text(&mut self, text: &[u8]) {
        self.is_inside_field |= !text.is_empty();
        self.before.extend_from_slice(&text[text.len().saturating_sub(CONTEXT)..]);
        self.before.drain(..self.before.len().saturating_sub(CONTEXT));
    }

    /// The next odd sequence between these texts, with which a field begins or ends. None if there is none.
    fn next(&mut self, begins: bool, before: &[u8], after: &[u8], ends: bool) -> io::Result<Option<Vec<u8>>> {
        loop {
            let Some(length) = self.find()? else { return Ok(None) };
            let end = self.at + length;
            let (in_front, behind) = (&self.buffer[..self.at], &self.buffer[end..]);
            let is_here = in_front.ends_with(before)
                && behind.starts_with(after)
                && (!begins || in_front.last().is_none_or(|&byte| self.is_between_fields(byte)))
                && (!ends || behind.first().is_none_or(|&byte| self.is_between_fields(byte)));
            let found = is_here.then(|| self.buffer[self.at..end].to_vec());
            self.at = end;
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    fn is_between_fields(&self, byte: u8) -> bool {
        byte == self.delimiter || matches!(byte, b'"' | b'\'' | b'\r' | b'\n' | b' ' | b'\t')
    }

    /// Moves to the next odd sequence and returns its length. What is compared around it is in the buffer.
    fn find(&mut self) -> io::Result<Option<usize>> {
        loop {
            let rest = &self.buffer[self.at..];
            let (valid, odd) = match str::from_utf8(rest) {
                Ok(_) => (rest.len(), None),
                Err(error) => (error.valid_up_to(), Some(error)),
            };
            let nul = memchr(0, &rest[..valid]);
            let replacement = memmem::find(&rest[..valid], REPLACEMENT);
            let found = match (nul, replacement, odd) {
                (None, None, None) => None,
                (None, None, Some(error)) => {
                    let length = match rest[valid..] {
                        // An escape of the decoded copy.
                        [0xED, 0xA0..=0xBF, 0x80..=0xBF, ..] => 3,
                        _ => error.error_len().unwrap_or(rest.len() - valid),
                    };
                    Some((valid, length))
                }
                (Some(nul), None, _) => Some((nul, 1)),
                (None, Some(replacement), _) => Some((replacement, REPLACEMENT.len())),
                (Some(nul), Some(replacement), _) if nul < replacement => Some((nul, 1)),
                (Some(_), Some(replacement), _) => Some((replacement, REPLACEMENT.len())),
            };
            match found {
                Some((at, length)) if self.is_over || at + 4 + CONTEXT <= rest.len() => {
                    self.at += at;
                    return Ok(Some(length));
                }
                None if self.is_over => return Ok(None),
                Some((at, _)) => self.at += at,
                None => self.at += valid,
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let done = self.at.saturating_sub(CONTEXT);
        self.buffer.drain(..done);
        self.at -= done;
        let read = self.raw.by_ref().take(BLOCK as u64).read_to_end(&mut self.buffer)?;
        self.is_over = read == 0;
        Ok(())
    }
}

/// The text directly before an odd sequence that is the same in every form of the record: in forms with other
/// quotes, and without the guard against formulas.
fn tail(text: &[u8]) -> &[u8] {
    let text = &text[text.len().saturating_sub(CONTEXT)..];
    let from = text.iter().rposition(|&byte| differs(byte)).map_or(0, |at| at + 1);
    &text[from..]
}

fn head(text: &[u8]) -> &[u8] {
    let text = &text[..text.len().min(CONTEXT)];
    &text[..text.iter().position(|&byte| differs(byte)).unwrap_or(text.len())]
}

fn differs(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'\\' | b',')
}
