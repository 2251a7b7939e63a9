//! The quick way through clean records: those of the right width, in UTF-8, whose quotes are where RFC 4180 wants
//! them. It finds them with a few operations for 64 bytes, and copies them. Everything else goes the slow way, which
//! defines what is right.

use fearless_simd::{Level, Simd, dispatch};
use memchr::memchr;

use super::{
    Escape, Layout, Output, Quote,
    encode::COMMA,
    masks::{BLOCK, Bytes64, parities},
    records::Taken,
    split::{BYTE_ORDER_MARK, count_line_ends},
};

/// How many bytes are looked at at once. A longer record goes the slow way.
const WINDOW: usize = 32 << 10;

/// Reads clean records in one dialect.
pub(super) struct Quick<'l> {
    layout: &'l Layout,
    /// The most bytes of a record without its line end.
    limit: usize,
    delimiter: u8,
    level: Level,
    checked: Checked,
}

/// How far the file was found to be UTF-8 without NUL.
#[derive(Default)]
struct Checked {
    /// A byte of the file.
    to: u64,
    /// The byte there is not.
    is_bad: bool,
}

/// A record whose quotes are right.
#[derive(Clone, Copy)]
struct CleanRecord<'r> {
    /// Without the line end.
    content: &'r [u8],
    fields: usize,
    has_quotes: bool,
    /// It has several lines.
    has_line_ends: bool,
    /// Of a file whose delimiter is another one.
    has_comma: bool,
}

impl<'l> Quick<'l> {
    /// None: records of this layout are not read the quick way.
    pub(super) fn new(layout: &'l Layout, limit: usize) -> Option<Self> {
        let dialect = &layout.dialect;
        let &[delimiter] = dialect.delimiter.as_bytes() else { return None };
        let is_simple = dialect.escape == Escape::Doubled
            && dialect.quote == Quote::Double
            && !(dialect.spaces_around_quotes || dialect.lines_are_quoted || dialect.inner_quotes_are_text)
            && !layout.is_failed_csv;
        is_simple.then(|| Self { layout, limit, delimiter, level: Level::new(), checked: Checked::default() })
    }

    /// Takes the clean records at the front of `rest`, which is at `byte` of the file, as long as they begin before
    /// `stop` and `out` is not full.
    pub(super) fn take(&mut self, rest: &[u8], byte: u64, stop: u64, out: &mut Output) -> Taken {
        let mut taken = Taken::default();
        while !out.is_full() {
            let (rest, at) = (&rest[taken.bytes..], byte + taken.bytes as u64);
            let checked = self.checked.extend(rest, at);
            let stop = usize::try_from(stop.saturating_sub(at)).unwrap_or(usize::MAX);
            let before = taken.records;
            let all = self.for_each(rest, checked, |record, start, next| {
                let is_taken = start < stop && self.push(record, out);
                if is_taken {
                    let bytes = &rest[start..next];
                    taken.line_ends += if record.has_line_ends { count_line_ends(bytes) } else { 1 };
                    taken.bytes += bytes.len();
                    taken.records += 1;
                    taken.last = bytes.len();
                }
                is_taken
            });
            if !all || taken.records == before {
                break;
            }
        }
        taken
    }

    /// Calls `each` for the records in the first `length` bytes of `rest` with where they and the records after them
    /// begin, until it returns false or a record is not clean. Returns whether all were clean and taken.
    fn for_each<'r>(
        &self,
        rest: &'r [u8],
        length: usize,
        each: impl FnMut(CleanRecord<'r>, usize, usize) -> bool,
    ) -> bool {
        dispatch!(self.level, simd => self.for_each_with(simd, rest, length, each))
    }

    /// The same with the registers of `simd`.
    #[inline(always)]
    fn for_each_with<'r, S: Simd>(
        &self,
        simd: S,
        rest: &'r [u8],
        length: usize,
        mut each: impl FnMut(CleanRecord<'r>, usize, usize) -> bool,
    ) -> bool {
        let is_comma = self.delimiter == COMMA;
        let mut start = 0;
        // Of the current record so far.
        let (mut fields, mut has_quotes, mut has_line_ends) = (1, false, false);
        let (mut has_comma, mut is_wrong) = (false, false);
        // Of the byte before the block: all bits if it is inside quotes, and the lowest bit if a quote may open
        // behind it, and if it closes quotes.
        let (mut inside_before, mut may_open_before, mut closes_before) = (0_u64, 1_u64, 0_u64);
        for base in (0..length).step_by(BLOCK) {
            let block = Bytes64::new(simd, &rest[base..length]);
            let quotes = block.find(b'"');
            let delimiters = block.find(self.delimiter);
            let line_ends = block.find_either(b'\n', b'\r');
            let commas = if is_comma { 0 } else { block.find(COMMA) };
            let (mut inside, mut wrong) = (inside_before, 0);
            let (mut may_open, mut closes) = (0, 0);
            if quotes | inside_before | closes_before != 0 {
                inside ^= parities(quotes);
                let opens = quotes & inside;
                closes = quotes & !inside;
                may_open = (delimiters | line_ends) & !inside | closes;
                let behind_close = closes << 1 | closes_before;
                wrong = opens & !(may_open << 1 | may_open_before)
                    | behind_close & !(delimiters | line_ends | quotes);
            } else {
                may_open |= delimiters | line_ends;
            }
            let delimiters = delimiters & !inside;
            let mut ends = line_ends & !inside;
            let inner_ends = line_ends & inside;
            let mut ahead = u64::MAX;
            while ends != 0 {
                let bit = ends.trailing_zeros();
                let at = base + bit as usize;
                let behind = u64::MAX << bit << 1;
                ends &= behind;
                let of_record = ahead & !behind;
                ahead = behind;
                // Otherwise it is the second half of a CRLF.
                if at >= start {
                    fields += (delimiters & of_record).count_ones() as usize;
                    has_quotes |= quotes & of_record != 0;
                    has_line_ends |= inner_ends & of_record != 0;
                    has_comma |= commas & of_record != 0;
                    if is_wrong || wrong & of_record != 0 {
                        return false;
                    }
                    let is_crlf = rest[at] == b'\r' && rest.get(at + 1) == Some(&b'\n');
                    let next = at + 1 + usize::from(is_crlf);
                    let content = &rest[start..at];
                    if !each(
                        CleanRecord { content, fields, has_quotes, has_line_ends, has_comma },
                        start,
                        next,
                    ) {
                        return false;
                    }
                    start = next;
                }
                (fields, has_quotes, has_line_ends, has_comma) = (1, false, false, false);
            }
            fields += (delimiters & ahead).count_ones() as usize;
            has_quotes |= quotes & ahead != 0;
            has_line_ends |= inner_ends & ahead != 0;
            has_comma |= commas & ahead != 0;
            is_wrong |= wrong & ahead != 0;
            (inside_before, may_open_before, closes_before) =
                ((inside as i64 >> 63) as u64, may_open >> 63, closes >> 63);
        }
        true
    }

    /// Writes a record unless it is one for the slow way.
    fn push(&self, record: CleanRecord<'_>, out: &mut Output) -> bool {
        let layout = self.layout;
        let CleanRecord { content, fields, has_quotes, has_comma, .. } = record;
        let Some(surplus) = fields.checked_sub(layout.header.len()) else { return false };
        if content.is_empty() || content.len() > self.limit || surplus > layout.left_out_at_end {
            return false;
        }
        if layout.repairs
            && (content.len() < fields
                || content.starts_with(BYTE_ORDER_MARK)
                || layout.can_be_header(content))
        {
            return false;
        }
        // Every left out field is a delimiter more at the end.
        let (content, left_out) = content.split_at(content.len() - surplus);
        let is_left_out = || left_out.iter().all(|byte| *byte == self.delimiter);
        if surplus > 0 && (has_quotes || content.is_empty() || !is_left_out()) {
            return false;
        }
        out.push_clean(content, self.delimiter, !has_quotes && !has_comma);
        true
    }
}

/// Counts the records and fields of `rest` that are found the quick way: the part of reading that has no output.
#[must_use]
pub fn count_fields(layout: &Layout, rest: &[u8]) -> (u64, u64) {
    let mut counts = (0, 0);
    if let Some(quick) = Quick::new(layout, usize::MAX) {
        quick.for_each(rest, rest.len(), |record, _, _| {
            counts = (counts.0 + 1, counts.1 + record.fields as u64);
            true
        });
    }
    counts
}

impl Checked {
    /// Checks the front of `rest`, which is at `at`. Returns how much of it is right, at most a window.
    fn extend(&mut self, rest: &[u8], at: u64) -> usize {
        let window = rest.len().min(WINDOW);
        let checked = usize::try_from(self.to.saturating_sub(at)).unwrap_or(usize::MAX);
        if checked >= window || self.is_bad && self.to >= at {
            return checked.min(window);
        }
        let unchecked = &rest[checked..window];
        let without_nul = &unchecked[..memchr(0, unchecked).unwrap_or(unchecked.len())];
        let valid = match simdutf8::compat::from_utf8(without_nul) {
            Ok(_) => without_nul.len(),
            Err(error) => error.valid_up_to(),
        };
        // A character may be cut at the window's end.
        self.is_bad = valid + 4 <= unchecked.len();
        self.to = at + (checked + valid) as u64;
        checked + valid
    }
}
