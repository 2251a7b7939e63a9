//! Splits the front of a file as a dialect would, to judge the dialect. The reader's grammar finds the fields, and the
//! reader has the last word about each record; this only has to be right about most of them, and cheap.

use memchr::memchr2;

use crate::csv::{
    Dialect, Escape, Quote,
    encode::shown,
    field::{FieldGrammar, Quoting},
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
    /// The line before it is empty.
    pub(super) follows_empty_line: bool,
}

/// Splits text as a dialect says.
pub(super) struct Scan {
    grammar: FieldGrammar,
    /// The same with quotes as text.
    plain: FieldGrammar,
    /// Reads a line as one field, whose content is a row. None: a line is a row itself.
    around_lines: Option<FieldGrammar>,
}

/// How often the text may be read again after a quote that does not close as it should, in total.
const MOST_PASSES: usize = 2;

impl Scan {
    pub(super) fn new(dialect: &Dialect) -> Self {
        let quote = Quote::None;
        let plain = FieldGrammar::new(&Dialect { quote, escape: Escape::Doubled, ..dialect.clone() });
        if dialect.lines_are_quoted {
            let around_lines = Some(FieldGrammar::around_lines(dialect));
            Self { grammar: FieldGrammar::inside_line(dialect), plain, around_lines }
        } else {
            Self { grammar: FieldGrammar::new(dialect), plain, around_lines: None }
        }
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
                let first_line = Row::of(&self.plain, text, at);
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
        match &self.around_lines {
            None => Row::of(&self.grammar, text, at),
            Some(around) => {
                let mut inside = Vec::new();
                let end = line_in(around, text, at, &mut inside);
                Row { start: at, end, ..Row::of(&self.grammar, &inside, 0) }
            }
        }
    }

    /// The first fields of a row of `text`, `most` at most. U+FFFD stands for undecodable bytes and NUL.
    pub(super) fn cells(&self, text: &[u8], row: &Row, most: usize) -> Vec<String> {
        let record = &text[row.start..row.end];
        let mut cells = Vec::with_capacity(row.width.min(most));
        let push = |field: &[u8], _| {
            cells.push(shown(field).into_owned());
            cells.len() < most
        };
        match &self.around_lines {
            _ if row.quotes_are_text => self.plain.for_each(record, 0, push),
            None => self.grammar.for_each(record, 0, push),
            Some(around) => {
                let mut inside = Vec::new();
                line_in(around, record, 0, &mut inside);
                self.grammar.for_each(&inside, 0, push)
            }
        };
        cells
    }
}

/// Writes what is inside the quotes of the line at `at` to `inside`. Returns where the line ends.
fn line_in(around: &FieldGrammar, text: &[u8], at: usize, inside: &mut Vec<u8>) -> usize {
    let line = around.field(text, at, inside);
    if !line.span.is_rewritten {
        inside.extend_from_slice(&text[line.span.start..line.span.end]);
    }
    line.end
}

impl Row {
    /// The record at `at`.
    fn of(grammar: &FieldGrammar, text: &[u8], at: usize) -> Self {
        let mut row = Self { start: at, ..Self::default() };
        row.end = grammar.for_each(text, at, |field, quoting| {
            row.add(field, quoting);
            true
        });
        row
    }

    fn add(&mut self, field: &[u8], quoting: Quoting) {
        self.width += 1;
        self.filled += usize::from(!field.trim_ascii().is_empty());
        if !field.is_empty() {
            self.last_filled = self.width;
        }
        if let Quoting::Quoted { close, has_text_after, .. } = quoting {
            self.quoted += 1;
            self.is_open |= close.is_none();
            self.has_text_behind |= has_text_after;
        }
    }

    /// All fields are empty.
    pub(super) fn is_empty(&self) -> bool {
        self.filled == 0
    }
}

/// The number of line ends inside a record.
fn inner_lines(record: &[u8]) -> u64 {
    if memchr2(b'\n', b'\r', record).is_none() { 0 } else { count_line_ends(record) }
}
