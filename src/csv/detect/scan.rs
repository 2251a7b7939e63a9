//! Splits the front of a file as a dialect would, to judge the dialect. The reader has the last word about
//! each record; this only has to be right about most of them, and cheap.

use memchr::{memchr, memchr2, memchr3};

use crate::csv::{
    Dialect, Escape,
    encode::shown,
    split::{count_line_ends, line_end},
};

/// How a record looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    /// Where it begins and ends (without its line end) in the text that was scanned.
    pub(super) start: usize,
    pub(super) end: usize,
    /// The physical line on which it begins, from 1.
    pub(super) line: u64,
    /// The line after it.
    pub(super) next_line: u64,
    /// The number of fields.
    pub(super) width: usize,
    /// The number of fields that have other characters than white space.
    pub(super) filled: usize,
    /// The fields up to the last one that is not empty.
    pub(super) last_filled: usize,
    /// Fields in quotes.
    pub(super) quoted: usize,
    /// A closing quote is missing up to the end of the text.
    pub(super) is_open: bool,
    /// A closing quote is followed by text.
    pub(super) has_text_behind: bool,
    /// A quote of this row opens a field and does not close as it should. The row is its first line, in which
    /// quotes are text.
    pub(super) quotes_are_text: bool,
    /// An unquoted field contains the quote.
    pub(super) has_inner_quote: bool,
    /// The line before it is empty.
    pub(super) follows_empty_line: bool,
}

/// A field as it is in the file.
#[derive(Clone, Copy, Debug, Default)]
struct RawField<'a> {
    /// Its text, without the quotes around it.
    text: &'a [u8],
    is_quoted: bool,
    /// Text after the closing quote.
    behind: &'a [u8],
    is_open: bool,
}

/// Splits text as a dialect says.
#[derive(Clone, Copy)]
pub(super) struct Scan<'d> {
    dialect: &'d Dialect,
    delimiter: &'d [u8],
    quote: Option<u8>,
}

/// How often the text may be read again after a quote that does not close as it should, in total.
const MOST_PASSES: usize = 2;

impl<'d> Scan<'d> {
    pub(super) fn new(dialect: &'d Dialect) -> Self {
        Self { dialect, delimiter: dialect.delimiter.as_bytes(), quote: dialect.quote.byte() }
    }

    /// All records of `text`, which begins on `line`. With `expected`, a record of several lines that has
    /// another width is one record a line. Without `eof` the last record may be cut off and is left out.
    pub(super) fn rows(&self, text: &[u8], line: u64, eof: bool, expected: Option<usize>) -> Vec<Row> {
        let mut rows = Vec::new();
        let (mut at, mut line) = (0, line);
        let mut follows_empty_line = false;
        let mut budget = text.len().saturating_mul(MOST_PASSES);
        while at < text.len() {
            if let length @ 1.. = line_end(&text[at..]) {
                (at, line, follows_empty_line) = (at + length, line + 1, true);
                continue;
            }
            let mut row = Row { line, follows_empty_line, ..self.row(text, at) };
            budget = budget.saturating_sub(row.end - at);
            row.next_line = line + 1 + inner_lines(&text[at..row.end]);
            let reaches_end = row.end == text.len();
            let is_unexpected = expected.map_or(row.is_open, |width| width != row.width || row.is_open);
            if row.next_line > line + 1 && is_unexpected && budget > 0 {
                // Its quote is text, or closes only at a later line's quote: the next line stands for itself.
                let plain = Self { quote: None, ..*self };
                let first_line = plain.row(text, at);
                let next_line = line + 1;
                let is_open = row.is_open;
                row =
                    Row { line, next_line, follows_empty_line, is_open, quotes_are_text: true, ..first_line };
            } else if reaches_end && !eof {
                break;
            }
            (at, line) = (row.end + line_end(&text[row.end..]), row.next_line);
            follows_empty_line = false;
            rows.push(row);
        }
        rows
    }

    /// The first record of `text`, its length with its line end, and the line behind it. None if it may
    /// continue after the text.
    pub(super) fn first(&self, text: &[u8], line: u64, eof: bool) -> Option<(Row, usize, u64)> {
        let row = Row { line, ..self.row(text, 0) };
        if !eof && row.end == text.len() {
            return None;
        }
        let next_line = line + 1 + inner_lines(&text[..row.end]);
        Some((Row { next_line, ..row }, row.end + line_end(&text[row.end..]), next_line))
    }

    /// The record at `at`.
    fn row(&self, text: &[u8], at: usize) -> Row {
        let mut row = Row { start: at, ..Row::default() };
        row.end = match self.quoted_line(text, at) {
            Some((inside, end)) => {
                self.each(&inside, 0, |field| row.add(&field, self.quote));
                end
            }
            None => self.each(text, at, |field| row.add(&field, self.quote)),
        };
        row
    }

    /// The first fields of a row of `text`, `most` at most. U+FFFD stands for undecodable bytes and NUL.
    pub(super) fn cells(&self, text: &[u8], row: &Row, most: usize) -> Vec<String> {
        let scan = if row.quotes_are_text { Self { quote: None, ..*self } } else { *self };
        let record = &text[row.start..row.end];
        let mut cells = Vec::with_capacity(row.width.min(most));
        let mut push = |field: RawField<'_>| {
            if field.is_quoted {
                let text = [&scan.unquoted(field.text), field.behind].concat();
                cells.push(shown(&text).into_owned());
            } else {
                cells.push(shown(field.text).into_owned());
            }
            cells.len() < most
        };
        match scan.quoted_line(record, 0) {
            Some((inside, _)) => scan.each(&inside, 0, &mut push),
            None => scan.each(record, 0, &mut push),
        };
        cells
    }

    /// What is inside the quotes of the line at `at`, and where the line ends, if whole lines are quoted.
    fn quoted_line(&self, text: &[u8], at: usize) -> Option<(Vec<u8>, usize)> {
        if !self.dialect.lines_are_quoted {
            return None;
        }
        let (field, end) = self.field(text, at, b"\n");
        let is_line = field.is_quoted && field.behind.is_empty() && !field.is_open;
        is_line.then(|| (self.unquoted(field.text), end))
    }

    /// Calls `each` with the fields of the record at `at` until it returns false. Returns where the last one
    /// ends.
    fn each<'a>(&self, text: &'a [u8], mut at: usize, mut each: impl FnMut(RawField<'a>) -> bool) -> usize {
        loop {
            let (field, end) = self.field(text, at, self.delimiter);
            if !each(field) || !text[end..].starts_with(self.delimiter) {
                return end;
            }
            at = end + self.delimiter.len();
        }
    }

    /// The field at `at`, and where it ends.
    fn field<'a>(&self, text: &'a [u8], at: usize, delimiter: &[u8]) -> (RawField<'a>, usize) {
        let spaces = |from: usize| {
            let rest = text.get(from..).unwrap_or_default();
            let is_space = |byte: &u8| matches!(byte, b' ' | b'\t') && !delimiter.starts_with(&[*byte]);
            rest.iter().take_while(|byte| is_space(byte)).count()
        };
        let around = self.dialect.spaces_around_quotes;
        let open = at + if around { spaces(at) } else { 0 };
        if let Some(quote) = self.quote.filter(|quote| text.get(open) == Some(quote)) {
            let start = open + 1;
            let close = self.closing(text, start, quote, delimiter);
            let Some(close) = close else {
                let text = &text[start..];
                return (RawField { text, is_quoted: true, is_open: true, behind: b"" }, start + text.len());
            };
            let after = close + 1;
            let end = unquoted_end(text, after, delimiter);
            let mut behind = &text[after..end];
            if around && spaces(after) == behind.len() {
                behind = b"";
            }
            (RawField { text: &text[start..close], is_quoted: true, behind, is_open: false }, end)
        } else {
            let end = unquoted_end(text, at, delimiter);
            (RawField { text: &text[at..end], ..RawField::default() }, end)
        }
    }

    /// Where the quote is that closes the field whose text begins at `at`.
    fn closing(&self, text: &[u8], mut at: usize, quote: u8, delimiter: &[u8]) -> Option<usize> {
        loop {
            let found = if self.dialect.escape == Escape::Backslash {
                memchr2(quote, b'\\', &text[at..])
            } else {
                memchr(quote, &text[at..])
            };
            let here = at + found?;
            let behind = text.get(here + 1..).unwrap_or_default();
            let next = behind.first();
            if text[here] == b'\\' {
                at = here + if next == Some(&quote) || next == Some(&b'\\') { 2 } else { 1 };
            } else if next == Some(&quote) {
                at = here + 2;
            } else if self.dialect.inner_quotes_are_text && !ends(behind, delimiter) {
                at = here + 1;
            } else {
                return Some(here);
            }
        }
    }

    /// The text of a quoted field without its escapes.
    fn unquoted(&self, text: &[u8]) -> Vec<u8> {
        let Some(quote) = self.quote else { return text.to_vec() };
        let mut out = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((&byte, behind)) = rest.split_first() {
            let next = behind.first();
            let is_escape = (byte == quote && next == Some(&quote))
                || (byte == b'\\'
                    && self.dialect.escape == Escape::Backslash
                    && matches!(next, Some(&next) if next == quote || next == b'\\'));
            match (is_escape, next) {
                (true, Some(&next)) => {
                    out.push(next);
                    rest = &behind[1..];
                }
                _ => {
                    out.push(byte);
                    rest = behind;
                }
            }
        }
        out
    }
}

impl Row {
    /// Adds a field; true, because all fields count.
    fn add(&mut self, field: &RawField<'_>, quote: Option<u8>) -> bool {
        self.width += 1;
        if !field.text.trim_ascii().is_empty() || !field.behind.is_empty() {
            self.filled += 1;
        }
        if !field.text.is_empty() || !field.behind.is_empty() {
            self.last_filled = self.width;
        }
        self.quoted += usize::from(field.is_quoted);
        self.is_open |= field.is_open;
        self.has_text_behind |= !field.behind.is_empty();
        self.has_inner_quote |=
            !field.is_quoted && quote.is_some_and(|quote| memchr(quote, field.text).is_some());
        true
    }

    /// All fields are empty.
    pub(super) fn is_empty(&self) -> bool {
        self.filled == 0
    }
}

/// Whether a field ends here.
fn ends(rest: &[u8], delimiter: &[u8]) -> bool {
    rest.is_empty() || line_end(rest) > 0 || rest.starts_with(delimiter)
}

/// Where the unquoted text at `at` ends.
fn unquoted_end(text: &[u8], mut at: usize, delimiter: &[u8]) -> usize {
    let Some(&first) = delimiter.first() else { return text.len() };
    loop {
        let Some(found) = memchr3(first, b'\n', b'\r', text.get(at..).unwrap_or_default()) else {
            return text.len();
        };
        at += found;
        if ends(&text[at..], delimiter) {
            return at;
        }
        at += 1;
    }
}

/// The number of line ends inside a record.
fn inner_lines(record: &[u8]) -> u64 {
    if memchr2(b'\n', b'\r', record).is_none() { 0 } else { count_line_ends(record) }
}
