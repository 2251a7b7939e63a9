//! Text of any encoding as UTF-8, and back, in chunks of any size and constant memory.
//!
//! A byte that the encoding cannot decode becomes an escape, as in Python's PEP 383: the byte b is the surrogate
//! U+DC00 + b, written as three bytes like any other character. That is not valid UTF-8, so the record that
//! contains it fails, and can still be written with its original bytes. A surrogate that stands alone in
//! UTF-16 is written the same way.

use std::collections::HashMap;

use encoding_rs::{CoderResult, DecoderResult, EncoderResult};

use super::Encoding;

/// How many bytes are converted at once.
const BLOCK: usize = 16 << 10;

/// More bytes than any decoder of encoding_rs has read before it says that they are malformed.
const MOST_MALFORMED: usize = 8;

/// The first of the two surrogates that stand for the last byte of UTF-16 text with an odd number of bytes; the
/// second is the byte's escape. Elsewhere two such surrogates are one character.
const HALF_UNIT: u16 = 0xDBFF;

/// Decodes a file.
pub struct ToUtf8 {
    decoding: Decoding,
    has_escaped: bool,
}

enum Decoding {
    Utf8,
    Utf16 { unit: fn([u8; 2]) -> u16, half: Option<u8>, high: Option<u16> },
    Other { decoder: encoding_rs::Decoder, recent: Vec<u8>, block: Vec<u8> },
}

impl ToUtf8 {
    #[must_use]
    pub fn new(encoding: Encoding) -> Self {
        let utf16 = |unit| Decoding::Utf16 { unit, half: None, high: None };
        let decoding = if encoding.is_utf8() {
            Decoding::Utf8
        } else if encoding == Encoding::UTF_16LE {
            utf16(u16::from_le_bytes)
        } else if encoding == Encoding::UTF_16BE {
            utf16(u16::from_be_bytes)
        } else {
            let decoder = <&encoding_rs::Encoding>::from(encoding).new_decoder_without_bom_handling();
            Decoding::Other { decoder, recent: Vec::new(), block: vec![0; BLOCK] }
        };
        Self { decoding, has_escaped: false }
    }

    /// Whether any bytes could not be decoded.
    #[must_use]
    pub fn has_escaped(&self) -> bool {
        self.has_escaped
    }

    /// Decodes the next bytes and appends them to `out`: at most about three times as many. `last` says that the
    /// file ends with them.
    pub fn decode(&mut self, input: &[u8], last: bool, out: &mut Vec<u8>) {
        let has_escaped = &mut self.has_escaped;
        match &mut self.decoding {
            Decoding::Utf8 => out.extend_from_slice(input),
            Decoding::Utf16 { unit, half, high } => {
                *has_escaped |= decode_utf16(*unit, half, high, input, last, out);
            }
            Decoding::Other { decoder, recent, block } => {
                let mut rest = input;
                loop {
                    let (result, read, written) =
                        decoder.decode_to_utf8_without_replacement(rest, block, last);
                    out.extend_from_slice(&block[..written]);
                    recent.extend_from_slice(&rest[read.saturating_sub(MOST_MALFORMED)..read]);
                    rest = &rest[read..];
                    match result {
                        DecoderResult::InputEmpty => break,
                        DecoderResult::OutputFull => {}
                        DecoderResult::Malformed(length, after) => {
                            *has_escaped = true;
                            let end = recent.len().saturating_sub(after.into());
                            let start = end.saturating_sub(length.into());
                            recent[start..end].iter().for_each(|&byte| push_surrogate(escape(byte), out));
                        }
                    }
                    recent.drain(..recent.len().saturating_sub(MOST_MALFORMED));
                }
            }
        }
    }
}

/// Returns whether a surrogate or a byte stood alone.
fn decode_utf16(
    unit: fn([u8; 2]) -> u16,
    half: &mut Option<u8>,
    high: &mut Option<u16>,
    input: &[u8],
    last: bool,
    out: &mut Vec<u8>,
) -> bool {
    let mut has_escaped = false;
    let mut take = |unit: u16| {
        let before = high.take();
        match (before, unit) {
            (Some(before), 0xDC00..=0xDFFF) => {
                let code = 0x10000 + (u32::from(before - 0xD800) << 10) + u32::from(unit - 0xDC00);
                push_char(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), out);
                return;
            }
            (Some(before), _) => {
                has_escaped = true;
                push_surrogate(before, out);
            }
            (None, _) => {}
        }
        match (unit, char::from_u32(unit.into())) {
            (0xD800..=0xDBFF, _) => *high = Some(unit),
            (_, Some(c)) => push_char(c, out),
            (_, None) => {
                has_escaped = true;
                push_surrogate(unit, out);
            }
        }
    };
    let mut rest = input;
    if let (Some(first), Some((&second, others))) = (*half, rest.split_first()) {
        *half = None;
        take(unit([first, second]));
        rest = others;
    }
    let (units, odd) = rest.as_chunks();
    units.iter().for_each(|&bytes| take(unit(bytes)));
    *half = odd.first().copied().or(*half);
    if last {
        has_escaped |= high.is_some() || half.is_some();
        if let Some(high) = high.take() {
            push_surrogate(high, out);
        }
        if let Some(half) = half.take() {
            push_surrogate(HALF_UNIT, out);
            push_surrogate(escape(half), out);
        }
    }
    has_escaped
}

/// Encodes text that [`ToUtf8`] decoded.
pub struct FromUtf8 {
    encoding: Encoding,
    encoder: encoding_rs::Encoder,
    /// The beginning of a character or an escape.
    cut: Vec<u8>,
    block: Vec<u8>,
    /// Made when the first of them comes.
    rare: Option<HashMap<char, Vec<u8>>>,
}

impl FromUtf8 {
    #[must_use]
    pub fn new(encoding: Encoding) -> Self {
        let encoder = <&encoding_rs::Encoding>::from(encoding).new_encoder();
        Self { encoding, encoder, cut: Vec::new(), block: vec![0; BLOCK], rare: None }
    }

    /// Encodes the next bytes and appends them to `out`. A character that the encoding does not have becomes a
    /// question mark. `last` says that the text ends with them.
    pub fn encode(&mut self, input: &[u8], last: bool, out: &mut Vec<u8>) {
        if self.encoding.is_utf8() {
            return out.extend_from_slice(input);
        }
        let mut joined = std::mem::take(&mut self.cut);
        let mut rest = if joined.is_empty() {
            input
        } else {
            joined.extend_from_slice(input);
            &joined
        };
        loop {
            let (text, behind) = match str::from_utf8(rest) {
                Ok(text) => (text, &rest[rest.len()..]),
                Err(error) => {
                    let (text, behind) = rest.split_at(error.valid_up_to());
                    (str::from_utf8(text).unwrap_or_default(), behind)
                }
            };
            self.encode_text(text, out);
            rest = behind;
            let read = match rest {
                [] => break,
                _ if !last && is_cut(rest, self.encoding.is_utf16()) => {
                    self.cut = rest.to_vec();
                    break;
                }
                _ => self.encode_surrogates(rest, out),
            };
            rest = &rest[read..];
        }
        if last {
            self.end(out);
        }
    }

    fn push_unit(&self, unit: u16, out: &mut Vec<u8>) {
        let is_big = self.encoding == Encoding::UTF_16BE;
        out.extend_from_slice(&if is_big { unit.to_be_bytes() } else { unit.to_le_bytes() });
    }

    fn encode_text(&mut self, text: &str, out: &mut Vec<u8>) {
        if self.encoding.is_utf16() {
            return text.encode_utf16().for_each(|unit| self.push_unit(unit, out));
        }
        let mut rest = text;
        loop {
            let (result, read, written) =
                self.encoder.encode_from_utf8_without_replacement(rest, &mut self.block, false);
            out.extend_from_slice(&self.block[..written]);
            rest = &rest[read..];
            match result {
                EncoderResult::InputEmpty => return,
                EncoderResult::OutputFull => {}
                EncoderResult::Unmappable(c) => self.encode_rare(c, out),
            }
        }
    }

    /// Encodes a character that encoding_rs decodes but does not encode: some of Big5 and EUC-JP.
    fn encode_rare(&mut self, c: char, out: &mut Vec<u8>) {
        let rare = self.rare.get_or_insert_with(|| characters_of_several_bytes(self.encoding));
        match rare.get(&c) {
            Some(bytes) => out.extend_from_slice(bytes),
            None => out.push(b'?'),
        }
    }

    /// Encodes what begins `rest`, which is no character. Returns its length.
    fn encode_surrogates(&mut self, rest: &[u8], out: &mut Vec<u8>) -> usize {
        match surrogate(rest) {
            Some(HALF_UNIT) if self.encoding.is_utf16() => match surrogate(&rest[3..]) {
                Some(escaped @ 0xDC00..=0xDCFF) => {
                    out.push(escaped as u8);
                    6
                }
                _ => {
                    self.push_unit(HALF_UNIT, out);
                    3
                }
            },
            Some(unit) if self.encoding.is_utf16() => {
                self.push_unit(unit, out);
                3
            }
            Some(escaped @ 0xDC00..=0xDCFF) => {
                out.push(escaped as u8);
                3
            }
            Some(_) => {
                out.push(b'?');
                3
            }
            // Not from a decoder.
            None => {
                out.push(rest[0]);
                1
            }
        }
    }

    /// Some encodings return to ASCII at the end.
    fn end(&mut self, out: &mut Vec<u8>) {
        if !self.encoding.is_utf16() {
            let (result, _, written, _) = self.encoder.encode_from_utf8("", &mut self.block, true);
            debug_assert_eq!(result, CoderResult::InputEmpty);
            out.extend_from_slice(&self.block[..written]);
        }
    }
}

/// The bytes of all characters of two bytes, and of those of three that EUC-JP has.
fn characters_of_several_bytes(encoding: Encoding) -> HashMap<char, Vec<u8>> {
    if encoding.is_single_byte() {
        return HashMap::new();
    }
    let encoding: &encoding_rs::Encoding = encoding.into();
    let pairs = (0x81..=0xFE).flat_map(|first| (0x40..=0xFE).map(move |second| [first, second]));
    let candidates = pairs.flat_map(|pair: [u8; 2]| [pair.to_vec(), [&[0x8F], &pair[..]].concat()]);
    let decoded = candidates.filter_map(|bytes| {
        let text = encoding.decode_without_bom_handling_and_without_replacement(&bytes)?;
        let mut chars = text.chars();
        let c = chars.next().filter(|_| chars.next().is_none())?;
        Some((c, bytes))
    });
    decoded.collect()
}

/// Whether more bytes may follow that belong to the front of `rest`, which is not UTF-8.
fn is_cut(rest: &[u8], is_utf16: bool) -> bool {
    let is_half_unit = is_utf16 && surrogate(rest).is_none_or(|unit| unit == HALF_UNIT);
    match rest[0] {
        0xED => rest.len() < if is_half_unit { 6 } else { 3 },
        _ => str::from_utf8(rest).is_err_and(|error| error.error_len().is_none()),
    }
}

fn escape(byte: u8) -> u16 {
    0xDC00 | u16::from(byte)
}

fn push_char(c: char, out: &mut Vec<u8>) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn push_surrogate(unit: u16, out: &mut Vec<u8>) {
    let byte = |first: u16, shift: u32| (first | ((unit >> shift) & 0x3F)) as u8;
    out.extend_from_slice(&[0xED, byte(0x80, 6), byte(0x80, 0)]);
}

/// The surrogate at the front of `text`.
fn surrogate(text: &[u8]) -> Option<u16> {
    match *text {
        [0xED, second @ 0xA0..=0xBF, third @ 0x80..=0xBF, ..] => {
            Some(0xD000 | (u16::from(second & 0x3F) << 6) | u16::from(third & 0x3F))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
