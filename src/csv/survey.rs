//! A look at every byte of a file while it streams by, from which its character encoding is determined.

mod legacy;
mod words;

use serde::{Deserialize, Serialize};

use super::{Encoding, Part};
use words::Words;

/// How many of a file's first bytes show its byte-order mark, the pattern of UTF-16, and the line ends.
const FRONT: usize = 16 << 10;

/// The longest word that is kept whole from one chunk to the next. Longer ones are taken in pieces.
const LONGEST_OPEN: usize = 4 << 10;

/// How many characters of another encoding may be UTF-8 by chance for each line that is not.
const MOST_BY_CHANCE: u64 = 16;

/// What all bytes of a file say about its encoding. It is stored with the file, and has some KB at most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    bytes: u64,
    /// By the file's first bytes.
    mark: Option<Encoding>,
    /// Without a mark, by the pattern of its zero bytes.
    utf16: Option<Encoding>,
    /// Sequences of several bytes that are UTF-8, and those that are not.
    valid: u64,
    invalid: u64,
    /// The valid ones in lines that have no other, and the lines that have others. Both are 0 in surveys of version 0.1.
    #[serde(default)]
    in_good_lines: u64,
    #[serde(default)]
    bad_lines: u64,
    /// Where the first byte above 0x7F is.
    first_high: Option<u64>,
    /// Lines end in CR alone, as on an old Macintosh.
    lone_crs: bool,
    /// Some of the words that are not UTF-8, from the whole file.
    words: Words,
}

/// Takes a file's bytes in order, in chunks of any size, and some KB of memory.
#[derive(Clone, Debug, Default)]
pub struct Surveyor {
    bytes: u64,
    front: Vec<u8>,
    /// The beginning of a word whose end has not come yet.
    open: Vec<u8>,
    valid: u64,
    invalid: u64,
    in_good_lines: u64,
    bad_lines: u64,
    line: Line,
    first_high: Option<u64>,
    words: Words,
}

/// A line that has not ended.
#[derive(Clone, Debug, Default)]
struct Line {
    valid: u64,
    is_bad: bool,
}

impl Surveyor {
    pub fn feed(&mut self, chunk: &[u8]) {
        let room = FRONT - self.front.len();
        self.front.extend_from_slice(&chunk[..room.min(chunk.len())]);
        if self.first_high.is_none()
            && let Some(at) = first_high(chunk)
        {
            self.first_high = Some(self.bytes + at as u64);
        }
        self.bytes += chunk.len() as u64;
        self.take(chunk);
    }

    /// Examines the words in `rest` that are whole, and keeps the last.
    fn take(&mut self, mut rest: &[u8]) {
        while !self.open.is_empty() && !rest.is_empty() {
            let room = LONGEST_OPEN.saturating_sub(self.open.len());
            let end = rest.iter().take(room).position(|&byte| is_between_words(byte));
            let taken = end.unwrap_or(room.min(rest.len()));
            self.open.extend_from_slice(&rest[..taken]);
            rest = &rest[taken..];
            if end.is_none() && self.open.len() < LONGEST_OPEN {
                return;
            }
            let mut open = std::mem::take(&mut self.open);
            let whole = if end.is_some() { open.len() } else { whole_sequences(&open) };
            self.examine(&open[..whole]);
            open.drain(..whole);
            self.open = open;
        }
        let closed = rest.iter().rposition(|&byte| is_between_words(byte)).map_or(0, |at| at + 1);
        let cut = if rest.len() - closed > LONGEST_OPEN { whole_sequences(rest) } else { closed };
        self.examine(&rest[..cut]);
        self.open.extend_from_slice(&rest[cut..]);
    }

    #[must_use]
    pub fn finish(mut self) -> Survey {
        let open = std::mem::take(&mut self.open);
        self.examine(&open);
        self.end_line();
        let mark = mark(&self.front);
        Survey {
            bytes: self.bytes,
            mark,
            utf16: if mark.is_none() { utf16_by_pattern(&self.front) } else { None },
            valid: self.valid,
            invalid: self.invalid,
            in_good_lines: self.in_good_lines,
            bad_lines: self.bad_lines,
            first_high: self.first_high,
            lone_crs: ends_lines_in_cr(&self.front),
            words: self.words,
        }
    }

    /// Counts the sequences in `text`, which begins and ends between words, or between sequences of a long
    /// one.
    fn examine(&mut self, text: &[u8]) {
        if simdutf8::basic::from_utf8(text).is_ok() {
            return self.count(text);
        }
        let (mut at, mut after_word) = (0, 0);
        while let Err(error) = str::from_utf8(&text[at..]) {
            let odd = at + error.valid_up_to();
            self.count(&text[at..odd]);
            self.invalid += 1;
            self.line.is_bad = true;
            if odd >= after_word {
                after_word = self.words.add_around(text, after_word, odd);
            }
            at = odd + error.error_len().unwrap_or(text.len() - odd);
        }
        self.count(&text[at..]);
    }

    /// Counts the sequences in `text`, which is UTF-8.
    fn count(&mut self, text: &[u8]) {
        let all = sequences(text);
        self.valid += all;
        let is_line_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let first = memchr::memchr2(b'\n', b'\r', text);
        let (Some(first), Some(last)) = (first, text.iter().rposition(is_line_end)) else {
            self.line.valid += all;
            return;
        };
        let (front, back) = (sequences(&text[..first]), sequences(&text[last..]));
        self.line.valid += front;
        self.end_line();
        self.in_good_lines += all - front - back;
        self.line.valid = back;
    }

    fn end_line(&mut self) {
        let Line { valid, is_bad } = std::mem::take(&mut self.line);
        if is_bad { self.bad_lines += 1 } else { self.in_good_lines += valid }
    }
}

impl Survey {
    /// Of a file of which all bytes are at hand.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut surveyor = Surveyor::default();
        surveyor.feed(bytes);
        surveyor.finish()
    }

    /// Of the front of a longer file. A character that its end cuts does not count.
    #[must_use]
    pub fn of_front(front: &[u8]) -> Self {
        Self::of(&front[..whole_sequences(front)])
    }

    /// The number of bytes of the file.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The file's encoding. Certain by a byte-order mark, or if the whole file is UTF-8.
    #[must_use]
    pub fn encoding(&self) -> Part<Encoding> {
        if let Some(mark) = self.mark {
            Part::certain(mark)
        } else if let Some(utf16) = self.utf16 {
            Part::guess(utf16)
        } else if self.invalid == 0 {
            Part::certain(Encoding::UTF_8)
        } else if self.valid >= self.invalid || self.has_good_lines() {
            // Text of another encoding is hardly ever UTF-8 by chance, so these are single broken records.
            Part::guess(Encoding::UTF_8)
        } else {
            Part::guess(legacy::encoding(&self.words, self.lone_crs))
        }
    }

    /// One broken record may have more characters than all others. Where several lines are broken, some characters of
    /// the others may be UTF-8 by chance: in GBK one of two words for a sex is.
    fn has_good_lines(&self) -> bool {
        let by_chance = if self.bad_lines == 1 { 1 } else { MOST_BY_CHANCE };
        self.bad_lines > 0 && self.in_good_lines >= self.bad_lines.saturating_mul(by_chance)
    }

    /// Whether a byte-order mark says the encoding.
    #[must_use]
    pub fn has_mark(&self) -> bool {
        self.mark.is_some()
    }

    /// Whether all bytes are ASCII, so that nothing depends on the encoding.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.first_high.is_none()
    }
}

/// Whether `byte` is part of no character of several bytes in any encoding that extends ASCII, and no letter
/// or digit.
fn is_between_words(byte: u8) -> bool {
    byte < b'0' || (b':'..=b'?').contains(&byte)
}

/// The number of characters of several bytes in UTF-8.
fn sequences(text: &[u8]) -> u64 {
    // In blocks that fit into a byte, which the compiler vectorises.
    let count = |block: &[u8]| block.iter().fold(0_u8, |count, &byte| count + u8::from(byte >= 0xC0));
    text.chunks(255).map(|block| u64::from(count(block))).sum()
}

fn first_high(chunk: &[u8]) -> Option<usize> {
    let mut start = 0;
    for block in chunk.chunks(1 << 10) {
        if !block.is_ascii() {
            return block.iter().position(|byte| !byte.is_ascii()).map(|at| start + at);
        }
        start += block.len();
    }
    None
}

/// The length of `text` without a sequence of UTF-8 that its end cuts.
fn whole_sequences(text: &[u8]) -> usize {
    let tail = text.len().saturating_sub(3);
    for at in (tail..text.len()).rev() {
        let needed = match text[at] {
            0x80..=0xBF => continue,
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => 1,
        };
        return if at + needed > text.len() { at } else { text.len() };
    }
    text.len()
}

fn mark(front: &[u8]) -> Option<Encoding> {
    match front {
        [0xEF, 0xBB, 0xBF, ..] => Some(Encoding::UTF_8),
        [0xFF, 0xFE, ..] => Some(Encoding::UTF_16LE),
        [0xFE, 0xFF, ..] => Some(Encoding::UTF_16BE),
        _ => None,
    }
}

/// UTF-16 without a mark: the zero bytes are nearly all in the same half of the units, and belong to ASCII
/// characters, of which there are several or many. Ideographs may be pairs of ASCII bytes.
fn utf16_by_pattern(front: &[u8]) -> Option<Encoding> {
    memchr::memchr(0, front)?;
    let low_first = Units::count(front, |[low, high]| (low, high));
    let high_first = Units::count(front, |[high, low]| (low, high));
    let (most, least, encoding) = if low_first.ascii >= high_first.ascii {
        (low_first, high_first, Encoding::UTF_16LE)
    } else {
        (high_first, low_first, Encoding::UTF_16BE)
    };
    let is_one_sided = least.ascii <= most.ascii / 50 && most.ascii >= front.len() / 40;
    let are_ideographs = most.rare <= most.pairs / 8;
    let is_text = most.ascii > most.pairs || (most.differ && are_ideographs && most.ascii > most.pairs / 4);
    (is_one_sided && is_text).then_some(encoding)
}

/// What pairs of bytes would be as units of UTF-16.
#[derive(Default)]
struct Units {
    /// ASCII characters.
    ascii: usize,
    /// They are not all the same: a NUL before each line end is no UTF-16.
    differ: bool,
    /// Pairs of two ASCII bytes.
    pairs: usize,
    /// Those of them that would be characters that hardly any text has. In a small file of ASCII text with some NULs,
    /// there are many: nearly all digits and separators before another character are.
    rare: usize,
}

impl Units {
    fn count(front: &[u8], low_and_high: impl Fn([u8; 2]) -> (u8, u8)) -> Self {
        let is_text = |byte: u8| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n');
        let (mut units, mut first) = (Self::default(), None);
        for unit in front.as_chunks().0 {
            match low_and_high(*unit) {
                (low, 0) if is_text(low) => {
                    units.ascii += 1;
                    units.differ |= *first.get_or_insert(low) != low;
                }
                (low, high) if is_text(low) && is_text(high) => {
                    units.pairs += 1;
                    // Signs, and ideographs that were added later. Kana are at 0x30.
                    units.rare += usize::from(matches!(high, b'!'..=b'/' | b'1'..=b'M'));
                }
                _ => {}
            }
        }
        units
    }
}

fn ends_lines_in_cr(front: &[u8]) -> bool {
    let crs = memchr::memchr_iter(b'\r', front).count();
    crs > 0 && memchr::memchr(b'\n', front).is_none()
}

#[cfg(test)]
mod tests;
