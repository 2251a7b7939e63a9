//! Tells bytes that are no text by the control characters among them. Many formats have no signature that text could
//! not begin with, and encrypted bytes have none at all.

use memchr::{memchr_iter, memchr2};

use super::{BYTE_ORDER_MARK, TextKind};

/// The most bytes that are judged.
const JUDGED: usize = 128 << 10;

/// Fewer bytes are not judged: any control characters may be stray ones.
const FEWEST: usize = 64;

/// The fewest control characters of a binary file, without those that may separate fields.
const FEWEST_CONTROLS: usize = 8;

/// So many kinds of control characters may separate fields, items and records: Hive has three by default, and ASCII
/// has four for it.
const SEPARATORS: usize = 4;

/// A text has at most one stray control character in so many bytes of a line; one in a line is always allowed. In
/// random bytes every eleventh is one.
const BYTES_PER_STRAY: usize = 64;

/// What `front` is, the first bytes of a file in UTF-8, with its undecodable bytes as they are or as escapes. None if
/// it may be text, with some broken rows.
pub(super) fn sniff(front: &[u8]) -> Option<TextKind> {
    let front = front.strip_prefix(BYTE_ORDER_MARK).unwrap_or(front);
    let is_blank = |byte: &u8| *byte == 0 || byte.is_ascii_whitespace();
    let Some(begin) = front.iter().position(|byte| !is_blank(byte)) else {
        let nuls = memchr_iter(0, front).count() as u64;
        return (nuls > 0).then_some(TextKind::Nuls { count: nuls });
    };
    let text = &front[begin..];
    let text = &text[..text.len().min(JUDGED)];
    is_binary(text).then_some(TextKind::Binary)
}

fn is_binary(text: &[u8]) -> bool {
    if text.len() < FEWEST || begins_with_names(text) {
        return false;
    }
    let nuls = memchr_iter(0, text).count();
    if nuls * 4 >= text.len() && memchr2(b'\r', b'\n', text).is_none() {
        // Numbers of several bytes. NULs that fill up short fields of a text stand in lines.
        return true;
    }
    let separators = likely_separators(text);
    let (mut controls, mut readable, mut all) = (0, 0, 0);
    for line in text.split(|byte| matches!(byte, b'\r' | b'\n')) {
        let line = Line::of(line, &separators);
        controls += line.controls;
        all += line.bytes;
        readable += if line.is_readable() { line.bytes } else { 0 };
    }
    // About a fiftieth of random bytes is in readable lines, which are short.
    controls >= FEWEST_CONTROLS && readable * 8 < all
}

/// Whether the first line is plain text with a usual separator: a table whose rows hold pictures or other bytes.
fn begins_with_names(text: &[u8]) -> bool {
    let Some(end) = memchr2(b'\r', b'\n', text) else { return false };
    let line = &text[..end];
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t');
    line.len() > 2
        && line.iter().all(is_plain)
        && line.iter().any(|byte| matches!(byte, b',' | b';' | b'\t' | b'|'))
}

/// A byte that text contains only as a separator or by mistake. A NUL is none: it fills up short fields.
fn is_control(byte: u8) -> bool {
    matches!(byte, 0x01..=0x08 | 0x0e..=0x1f | 0x7f)
}

/// The control characters that are most frequent.
fn likely_separators(text: &[u8]) -> Vec<u8> {
    let mut counts = [0_u32; 128];
    for byte in text.iter().filter(|byte| is_control(**byte)) {
        counts[usize::from(*byte)] += 1;
    }
    let mut found: Vec<u8> = (0..128).filter(|byte| counts[usize::from(*byte)] > 0).collect();
    found.sort_by_key(|byte| std::cmp::Reverse(counts[usize::from(*byte)]));
    found.truncate(SEPARATORS);
    found
}

/// What a line consists of, besides NULs and white space.
#[derive(Default)]
struct Line {
    bytes: usize,
    /// Control characters that separate nothing.
    controls: usize,
    has_text: bool,
}

impl Line {
    fn of(line: &[u8], separators: &[u8]) -> Self {
        let mut of = Self::default();
        for &byte in line.iter().filter(|byte| **byte != 0 && !byte.is_ascii_whitespace()) {
            of.bytes += 1;
            if !is_control(byte) {
                of.has_text = true;
            } else if !separators.contains(&byte) {
                of.controls += 1;
            }
        }
        of
    }

    fn is_readable(&self) -> bool {
        self.has_text && self.controls <= (self.bytes / BYTES_PER_STRAY).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of a linear congruential generator, which look random and are the same in every run.
    fn random(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let next = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..length).map(next).collect()
    }

    /// As every byte is decoded if the file is taken for one of an old encoding.
    fn latin_1(bytes: &[u8]) -> Vec<u8> {
        bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes()
    }

    #[test]
    fn bytes_without_lines_of_text_are_binary() {
        let noise = random(8 << 10);
        let integers: Vec<u8> = (0..2_000_u32).flat_map(|number| (number * 7).to_le_bytes()).collect();
        let floats: Vec<u8> = (1..500_u32).flat_map(|number| f64::from(number).to_le_bytes()).collect();
        let image = [b"P6\n640 480\n255\n", noise.as_slice()].concat();
        let beyond_nuls = [vec![0; 300].as_slice(), &noise].concat();
        for (name, bytes) in [
            ("random bytes", noise.clone()),
            ("random bytes, decoded", latin_1(&noise)),
            ("a few random bytes", noise[..600].to_vec()),
            ("integers", integers),
            ("floating-point numbers", floats),
            ("an image with a line of text", image),
            ("NULs in front", beyond_nuls),
        ] {
            assert_eq!(sniff(&bytes), Some(TextKind::Binary), "{name}");
        }
    }

    #[test]
    fn nothing_but_nuls_is_no_text() {
        assert_eq!(sniff(&[0; 5_120]), Some(TextKind::Nuls { count: 5_120 }));
        assert_eq!(sniff(b"\xef\xbb\xbf\0\0 \n\0\n"), Some(TextKind::Nuls { count: 3 }));
        assert_eq!(sniff(b"\n \n"), None);
        assert_eq!(sniff(b""), None);
        let said = TextKind::Nuls { count: 5_120 }.to_string();
        assert_eq!(said, "a file that begins with 5,120 NUL bytes instead of text");
    }

    #[test]
    fn text_with_control_characters_is_text() {
        let noise = random(4 << 10);
        let with = |row: &[u8]| [b"id,name\n", row.repeat(50).as_slice()].concat();
        let without_names = |row: &[u8]| row.repeat(50);
        let every_control: Vec<u8> =
            (0..0x80_u8).flat_map(|byte| [b"row ", [byte].as_slice(), b" x\n"].concat()).collect();
        let cut_off = [b"1;Ann\n2;Bob\n".repeat(20).as_slice(), &[0; 4 << 10]].concat();
        let pictures = [b"id,photo\n1,\"", noise.as_slice(), b"\"\n"].concat();
        let hashes: Vec<u8> = noise
            .chunks(16)
            .flat_map(|hash| [b"12345|", hash, b"|a name and a town|2024-01-15 10:00:00\n"].concat())
            .collect();
        for (name, bytes) in [
            ("a NUL in each row", with(b"1,a\0b\n")),
            ("several stray bytes", without_names(b"a longer name\x01,\x02,x\x10y\n")),
            ("every control character", every_control),
            ("fields that NULs fill up", without_names(b"1\0\0\0\0\0\0\0\0\0Ann\0\0\0\0\0\0\0\0\0\0\0\n")),
            ("Hive", without_names(b"1\x01Ann\x01a\x02b\x02c\x01k\x03v\x02k\x03v\x01\\N\n")),
            ("Hive with empty fields", without_names(b"1\x01\x01\x01\x01\x01\x01\x01\n")),
            ("deeper lists", without_names(b"1\x01a\x02b\x03c\x04d\x01e\n")),
            ("unit and record separators", without_names(b"1\x1fAnn\x1fx\x1e")),
            ("all four separators", without_names(b"1\x1fAnn\x1e2\x1fBob\x1d3\x1c")),
            ("Concordance", without_names("þ1þ\u{14}þAnnþ\u{14}þx®yþ\r\n".as_bytes())),
            ("ISO-2022-JP", without_names(b"\x1b$B5\\ED\x1b(B,\x1b$BEl5~\x1b(B\n")),
            ("ISO-2022-KR", without_names(b"\x0e1h\x0f,\x0e<-?o\x0f\n")),
            ("an old end mark", without_names(b"1,a\n\x1a")),
            ("UTF-16 read as UTF-8", without_names(b"1\0,\0A\0n\0n\0\n\0")),
            ("rows before NULs", cut_off),
            ("pictures in cells", pictures),
            ("hashes in cells", hashes),
            ("a short file", b"\x02\x03\x05\x06\x07\x08\x0e\x0f\x10\x11\n\x12\x13".to_vec()),
            ("Cyrillic", latin_1(&without_names(b"\xcf\xf0\xe8\xe2\xe5\xf2;\xcc\xe8\xf0\r\n"))),
            ("Shift_JIS", without_names(b"\x96\xbc\x91O,\x8fZ\x8f\x8a\r\n")),
            ("GB18030", without_names(b"\xd0\xd5\xc3\xfb,\x81\x30\x81\x30\r\n")),
        ] {
            assert_eq!(sniff(&bytes), None, "{name}");
        }
    }
}
