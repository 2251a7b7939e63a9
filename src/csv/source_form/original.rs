//! The bytes of failed records that cannot be shown.

use std::io::{self, Read};

use memchr::{memchr, memmem};

use super::REPLACEMENT;
use crate::csv::Delimiter;

/// How many bytes are read at once.
const BLOCK: usize = 64 << 10;

/// How many bytes before and after an odd sequence are compared.
const CONTEXT: usize = 8;

/// How many bytes are searched for an odd sequence at once: only so many are read again for each one found.
const WINDOW: usize = 128;

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
            let window = &rest[..rest.len().min(WINDOW)];
            let is_all = window.len() == rest.len();
            let (valid, odd) = match str::from_utf8(window) {
                Ok(_) => (window.len(), None),
                // A character that continues behind the window.
                Err(error) if error.error_len().is_none() && !is_all => (error.valid_up_to(), None),
                Err(error) => (error.valid_up_to(), Some(error)),
            };
            let nul = memchr(0, &window[..valid]);
            let replacement = memmem::find(&window[..nul.unwrap_or(valid)], REPLACEMENT);
            let found = match (replacement, nul, odd) {
                (Some(replacement), ..) => Some((replacement, REPLACEMENT.len())),
                (None, Some(nul), _) => Some((nul, 1)),
                (None, None, Some(error)) => {
                    let length = match rest[valid..] {
                        // An escape of the decoded copy.
                        [0xED, 0xA0..=0xBF, 0x80..=0xBF, ..] => 3,
                        _ => error.error_len().unwrap_or(rest.len() - valid),
                    };
                    Some((valid, length))
                }
                (None, None, None) => None,
            };
            match found {
                Some((at, length)) if self.is_over || at + 4 + CONTEXT <= rest.len() => {
                    self.at += at;
                    return Ok(Some(length));
                }
                Some((at, _)) => self.at += at,
                None if !is_all => {
                    self.at += valid;
                    continue;
                }
                None if self.is_over => return Ok(None),
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

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    /// One character after the other.
    fn slowly(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        while let Some(chunk) = bytes[..bytes.len().min(4)].utf8_chunks().next() {
            let first = chunk.valid().chars().next();
            let length = match bytes {
                [0xED, 0xA0..=0xBF, 0x80..=0xBF, ..] => 3,
                _ => first.map_or(chunk.invalid().len(), char::len_utf8),
            };
            let (character, behind) = bytes.split_at(length);
            if matches!(first, None | Some('\0' | char::REPLACEMENT_CHARACTER)) {
                found.push(character.to_vec());
            }
            bytes = behind;
        }
        found
    }

    fn all(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut originals = Originals::new(bytes, Delimiter::COMMA);
        std::iter::from_fn(|| originals.next(false, b"", b"", false).unwrap()).collect()
    }

    /// Bytes of one kind, of mixed kinds, and long enough to cross the ends of windows and blocks.
    fn mixed() -> impl Strategy<Value = Vec<u8>> {
        let pieces: [&[u8]; 12] = [
            b"\0",
            b"a",
            b"plain text, ",
            b"\xff",
            "\u{e9}".as_bytes(),
            "\u{20ac}".as_bytes(),
            "\u{1f600}".as_bytes(),
            REPLACEMENT,
            b"\xe2\x82",
            b"\xf0\x9f\x98",
            b"\xed\xa0\x80",
            b"\xed",
        ];
        let repeated = (select(pieces.to_vec()), prop_oneof![8 => 1..6_usize, 1 => 100..400_usize]);
        vec(repeated, 0..60)
            .prop_map(|pieces| pieces.into_iter().flat_map(|(piece, times)| piece.repeat(times)).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn odd_sequences_are_found_as_one_character_after_the_other_shows_them(bytes in mixed()) {
            prop_assert_eq!(all(&bytes), slowly(&bytes));
        }
    }

    #[test]
    fn odd_sequences_are_found_across_the_ends_of_blocks() {
        let pieces: [&[u8]; 4] = [b"\0", "\u{20ac}".as_bytes(), b"\xf0\x9f\x98", b"\0\xff\xef\xbf\xbd"];
        for piece in pieces {
            for before in BLOCK - 12..BLOCK + 2 {
                let bytes = [&b"x".repeat(before)[..], piece, b"y", piece, &b"z".repeat(100), piece].concat();
                assert_eq!(all(&bytes), slowly(&bytes), "{piece:?} behind {before} bytes");
            }
        }
    }
}
