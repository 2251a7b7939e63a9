//! Finds one field after the other. This is the definition of how bytes form fields in every dialect.
//!
//! A quote opens a field only as its first byte, and is text elsewhere. What follows a closing quote, up to the
//! delimiter, is kept as text.

use memchr::{memchr, memchr2, memchr3};

use super::{Delimiter, Dialect, Escape, Quote};

/// The bytes of input whose text gets its memory at once: one that grows is copied, and is in memory twice meanwhile.
const LONG: usize = 4 << 20;

/// How fields are written.
#[derive(Clone, Debug)]
pub(super) struct FieldGrammar {
    /// None: a field ends only at a line end.
    delimiter: Option<Delimiter>,
    quote: Option<u8>,
    backslash: bool,
    /// Without quotes a backslash stands before a delimiter, a quote or a backslash that is text.
    escapes_text: bool,
    spaces_around_quotes: bool,
    inner_quotes_are_text: bool,
    /// Line ends outside quotes are text too.
    line_ends_are_text: bool,
    /// The quote at this position is text, although it would open a field.
    pub(super) text_at: Option<usize>,
}

/// One field and where it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) span: Span,
    /// The position behind it, where a delimiter, a line end or the end of the input is.
    pub(super) end: usize,
    pub(super) quoting: Quoting,
}

/// Where the text of a field is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
    /// The text was rewritten and is in the buffer; otherwise it is in the record as it is.
    pub(super) is_rewritten: bool,
}

/// What a field has to do with quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quoting {
    None,
    /// A quote that is text, because it is not the first byte.
    Inside,
    /// In quotes from `open` on.
    Quoted {
        open: usize,
        /// The closing quote; None if the input ends before it.
        close: Option<usize>,
        /// Text follows the closing quote.
        has_text_after: bool,
    },
}

impl FieldGrammar {
    pub(super) fn new(dialect: &Dialect) -> Self {
        Self {
            delimiter: Some(dialect.delimiter),
            quote: dialect.quote.byte(),
            backslash: dialect.escape == Escape::Backslash,
            escapes_text: dialect.escape == Escape::Backslash && dialect.quote == Quote::None,
            spaces_around_quotes: dialect.spaces_around_quotes,
            inner_quotes_are_text: dialect.inner_quotes_are_text,
            line_ends_are_text: false,
            text_at: None,
        }
    }

    /// Each line is one field.
    pub(super) fn around_lines(dialect: &Dialect) -> Self {
        Self { delimiter: None, ..Self::new(dialect) }
    }

    /// All of the input is one record.
    pub(super) fn inside_line(dialect: &Dialect) -> Self {
        Self { line_ends_are_text: true, ..Self::new(dialect) }
    }

    /// The bytes of the delimiter at `at`; 0 if there is none.
    pub(super) fn delimiter_at(&self, input: &[u8], at: usize) -> usize {
        match &self.delimiter {
            Some(delimiter) if input.get(at..).is_some_and(|rest| rest.starts_with(delimiter.as_bytes())) => {
                delimiter.as_bytes().len()
            }
            _ => 0,
        }
    }

    /// Whether a field may begin at `at`: at the front of a line, or behind a delimiter.
    pub(super) fn begins_field(&self, input: &[u8], at: usize) -> bool {
        let before = &input[..at];
        let delimiter = self.delimiter.as_ref().map(Delimiter::as_bytes);
        matches!(before.last(), None | Some(b'\r' | b'\n'))
            || delimiter.is_some_and(|delimiter| before.ends_with(delimiter))
    }

    /// The field that begins at `start`. Its text is appended to `text` if it is not in `input` as it is.
    pub(super) fn field(&self, input: &[u8], start: usize, text: &mut Vec<u8>) -> Field {
        match self.opening_quote(input, start) {
            Some((quote, open)) => self.quoted(input, quote, open, text),
            None if self.escapes_text => self.escaped(input, start, text),
            None => {
                let end = self.end_of_text(input, start);
                let from = self.text_at.filter(|at| (start..end).contains(at)).map_or(start, |at| at + 1);
                let has_quote = self.quote.is_some_and(|quote| memchr(quote, &input[from..end]).is_some());
                let quoting = if has_quote { Quoting::Inside } else { Quoting::None };
                Field { span: Span { start, end, is_rewritten: false }, end, quoting }
            }
        }
    }

    /// Calls `each` with every field of the record at `at`, unquoted, until it returns false. Empty input is one empty
    /// field. Returns where the last field ends.
    pub(super) fn for_each(
        &self,
        input: &[u8],
        mut at: usize,
        mut each: impl FnMut(&[u8], Quoting) -> bool,
    ) -> usize {
        // A text is no longer than the input. Memory that nothing is written to is not used.
        let length = input.len() - at;
        let mut text = if length > LONG { Vec::with_capacity(length) } else { Vec::new() };
        loop {
            text.clear();
            let field = self.field(input, at, &mut text);
            let Span { start, end, is_rewritten } = field.span;
            let goes_on =
                each(if is_rewritten { &text[start..end] } else { &input[start..end] }, field.quoting);
            let delimiter = self.delimiter_at(input, field.end);
            if delimiter == 0 || !goes_on {
                return field.end;
            }
            at = field.end + delimiter;
        }
    }

    fn opening_quote(&self, input: &[u8], start: usize) -> Option<(u8, usize)> {
        let quote = self.quote?;
        let open = if self.spaces_around_quotes { self.without_blanks(input, start) } else { start };
        (input.get(open) == Some(&quote) && self.text_at != Some(open)).then_some((quote, open))
    }

    /// The field whose quotes open at `open`.
    fn quoted(&self, input: &[u8], quote: u8, open: usize, text: &mut Vec<u8>) -> Field {
        let text_start = text.len();
        // Everything before `copied` is in `text`.
        let (mut copied, mut at) = (open + 1, open + 1);
        let close = loop {
            let Some(found) = self.next_in_quotes(input, quote, at) else { break None };
            let next = input.get(found + 1).copied();
            if input[found] != quote {
                // A backslash.
                at = found + 1;
                if next == Some(quote) || next == Some(b'\\') {
                    text.extend_from_slice(&input[copied..found]);
                    (copied, at) = (at, at + 1);
                }
            } else if next == Some(quote)
                && !(self.inner_quotes_are_text && self.ends_field(input, found + 2))
            {
                text.extend_from_slice(&input[copied..=found]);
                (copied, at) = (found + 2, found + 2);
            } else if self.inner_quotes_are_text && !self.ends_field(input, found + 1) {
                at = found + 1;
            } else {
                break Some(found);
            }
        };
        let inner_end = close.unwrap_or(input.len());
        let behind = close.map_or(inner_end, |close| close + 1);
        let (has_text_after, end) = match close {
            Some(_) if self.ends_field(input, behind) => {
                (false, if self.spaces_around_quotes { self.without_blanks(input, behind) } else { behind })
            }
            Some(_) => (true, self.end_of_text(input, behind)),
            None => (false, inner_end),
        };
        let is_rewritten = copied > open + 1 || has_text_after;
        let span = if is_rewritten {
            text.extend_from_slice(&input[copied..inner_end]);
            if has_text_after {
                text.extend_from_slice(&input[behind..end]);
            }
            Span { start: text_start, end: text.len(), is_rewritten }
        } else {
            Span { start: open + 1, end: inner_end, is_rewritten }
        };
        Field { span, end, quoting: Quoting::Quoted { open, close, has_text_after } }
    }

    /// The field without quotes that begins at `start`, in which backslashes escape.
    fn escaped(&self, input: &[u8], start: usize, text: &mut Vec<u8>) -> Field {
        let text_start = text.len();
        // Everything before `copied` is in `text`.
        let (mut copied, mut at) = (start, start);
        let end = loop {
            let Some(byte) = input.get(at).copied() else { break at };
            if self.delimiter_at(input, at) > 0 || !self.line_ends_are_text && matches!(byte, b'\r' | b'\n') {
                break at;
            }
            let delimiter = self.delimiter_at(input, at + 1);
            if byte == b'\\' && (delimiter > 0 || matches!(input.get(at + 1), Some(b'\\' | b'"'))) {
                text.extend_from_slice(&input[copied..at]);
                copied = at + 1;
                at += delimiter.max(1);
            }
            at += 1;
        };
        let is_rewritten = copied > start;
        let span = if is_rewritten {
            text.extend_from_slice(&input[copied..end]);
            Span { start: text_start, end: text.len(), is_rewritten }
        } else {
            Span { start, end, is_rewritten }
        };
        Field { span, end, quoting: Quoting::None }
    }

    /// The next quote or escaping backslash at or behind `at`.
    fn next_in_quotes(&self, input: &[u8], quote: u8, at: usize) -> Option<usize> {
        let rest = input.get(at..)?;
        let found = if self.backslash { memchr2(quote, b'\\', rest) } else { memchr(quote, rest) };
        found.map(|found| at + found)
    }

    /// Whether a quoted field may end at `at`.
    fn ends_field(&self, input: &[u8], at: usize) -> bool {
        let at = if self.spaces_around_quotes { self.without_blanks(input, at) } else { at };
        at >= input.len()
            || self.delimiter_at(input, at) > 0
            || !self.line_ends_are_text && matches!(input[at], b'\r' | b'\n')
    }

    /// The first position at or behind `at` that has no space or tab, or has a delimiter.
    fn without_blanks(&self, input: &[u8], mut at: usize) -> usize {
        while matches!(input.get(at), Some(b' ' | b'\t')) && self.delimiter_at(input, at) == 0 {
            at += 1;
        }
        at
    }

    /// The end of a field without quotes, or of the text behind quotes.
    fn end_of_text(&self, input: &[u8], mut at: usize) -> usize {
        let first = self.delimiter.as_ref().map(|delimiter| delimiter.as_bytes()[0]);
        loop {
            let rest = &input[at..];
            let found = match (first, self.line_ends_are_text) {
                (Some(first), false) => memchr3(first, b'\r', b'\n', rest),
                (Some(first), true) => memchr(first, rest),
                (None, false) => memchr2(b'\r', b'\n', rest),
                (None, true) => None,
            };
            let Some(found) = found else { return input.len() };
            at += found;
            if self.delimiter_at(input, at) > 0
                || !self.line_ends_are_text && matches!(input[at], b'\r' | b'\n')
            {
                return at;
            }
            // Only the first byte of a longer delimiter.
            at += 1;
        }
    }
}

impl Default for FieldGrammar {
    /// RFC 4180.
    fn default() -> Self {
        Self::new(&Dialect::plain())
    }
}
