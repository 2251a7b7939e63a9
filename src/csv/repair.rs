//! Finds out whether a quote that opens a field was meant to.
//!
//! A quote that stands alone would make one field of everything up to the next quote, or of the rest of the
//! file. The evidence against it is the line that follows the one where it opens: it is a record by itself.

use memchr::memchr2;

use super::{
    Layout,
    field::{FieldGrammar, Quoting},
    split::{QuotesSeen, Split, Splitter, line_end},
};

/// What is done with a record whose quotes contain a line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repair {
    /// It stays as it is.
    Keep,
    /// Its first `length` bytes, up to a line end, are the record.
    Cut {
        length: usize,
        /// The quote at this position is text. None: it stays open, and the record fails.
        text_at: Option<usize>,
    },
}

/// The quoted field that may have swallowed other records.
struct Suspect {
    /// Its opening quote.
    open: usize,
    /// The first line end inside it.
    line_end: usize,
    is_closed: bool,
}

/// Decides about the record at the front of `input`, which is suspicious. `fits` says that it is whole and has
/// the right width. Returns the decision and how many bytes were looked at; None if `input` is too short to
/// decide.
pub(super) fn decide(
    splitter: &mut Splitter,
    layout: &Layout,
    input: &[u8],
    eof: bool,
    limit: usize,
    fits: bool,
) -> Option<(Repair, usize)> {
    let is_all = eof && input.len() <= limit;
    let window = &input[..input.len().min(limit.saturating_add(1))];
    let (suspects, mut looked_at) = suspects(splitter.grammar(), window, fits);
    for Suspect { open, line_end: length, is_closed } in suspects {
        let following = &window[behind_empty_lines(window, length)..];
        let (is_record, taken) = match splitter.split(following, is_all) {
            Split::Incomplete if !is_all && window.len() <= limit => return None,
            Split::Incomplete | Split::TooLong => (false, following.len()),
            Split::Record => {
                let (record, fields) = splitter.record(following);
                let is_record = !following.is_empty() && is_clean(record.quotes) && layout.fits(&fields);
                (is_record, record.bytes.len())
            }
        };
        looked_at = looked_at.max(window.len() - following.len() + taken);
        if !is_record && !is_line_with_open_quote(splitter, layout, following) {
            continue;
        }
        let text_at = match (is_closed, fits) {
            (true, false) => None,
            (true, true) if !fits_as_text(splitter, layout, &window[..length], open) => continue,
            (true, true) => None,
            (false, _) => fits_as_text(splitter, layout, &window[..length], open).then_some(open),
        };
        return Some((Repair::Cut { length, text_at }, looked_at));
    }
    Some((Repair::Keep, looked_at))
}

fn behind_empty_lines(input: &[u8], mut at: usize) -> usize {
    while let length @ 1.. = line_end(&input[at..]) {
        at += length;
    }
    at
}

fn is_clean(quotes: QuotesSeen) -> bool {
    !(quotes.open || quotes.inside || quotes.text_after)
}

/// Whether the first line of `input` is a record of the right width if the quote that it leaves open is text.
fn is_line_with_open_quote(splitter: &mut Splitter, layout: &Layout, input: &[u8]) -> bool {
    let line = &input[..memchr2(b'\r', b'\n', input).unwrap_or(input.len())];
    let open = open_quote(splitter.grammar(), line);
    open.is_some_and(|open| fits_as_text(splitter, layout, line, open))
}

/// Whether a line has the right width if the quote at `at` is text.
fn fits_as_text(splitter: &mut Splitter, layout: &Layout, line: &[u8], at: usize) -> bool {
    splitter.set_text_at(Some(at));
    splitter.split(line, true);
    splitter.set_text_at(None);
    let (record, fields) = splitter.record(line);
    is_clean(record.quotes) && layout.fits(&fields)
}

/// The most closed fields of a record that are examined.
const MOST_SUSPECTS: usize = 4;

/// The fields that may have swallowed other records, and the end of the record: those that contain a line end. If
/// the record fits, only those with text behind the closing quote, which may be another field's opening quote.
fn suspects(grammar: &FieldGrammar, window: &[u8], fits: bool) -> (Vec<Suspect>, usize) {
    let mut suspects = Vec::new();
    let end = for_each_quoted(grammar, window, |open, close, has_text_after| {
        let is_closed = close.is_some();
        if is_closed && (suspects.len() >= MOST_SUSPECTS || fits && !has_text_after) {
            return;
        }
        let inside = &window[open..close.unwrap_or(window.len())];
        if let Some(at) = memchr2(b'\r', b'\n', inside) {
            suspects.push(Suspect { open, line_end: open + at, is_closed });
        }
    });
    (suspects, end)
}

/// The quote that the record in `line` leaves open.
fn open_quote(grammar: &FieldGrammar, line: &[u8]) -> Option<usize> {
    let mut unclosed = None;
    for_each_quoted(grammar, line, |open, close, _| {
        if close.is_none() {
            unclosed = Some(open);
        }
    });
    unclosed
}

/// Calls `each` for the quoted fields of the first record, with the positions of their quotes and whether text
/// follows the closing one. Returns the record's end.
fn for_each_quoted(
    grammar: &FieldGrammar,
    input: &[u8],
    mut each: impl FnMut(usize, Option<usize>, bool),
) -> usize {
    let (mut at, mut text) = (0, Vec::new());
    loop {
        text.clear();
        let field = grammar.field(input, at, &mut text);
        if let Quoting::Quoted { open, close, has_text_after } = field.quoting {
            each(open, close, has_text_after);
        }
        let delimiter = grammar.delimiter_at(input, field.end);
        if delimiter == 0 {
            return field.end;
        }
        at = field.end + delimiter;
    }
}
