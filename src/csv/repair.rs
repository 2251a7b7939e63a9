//! Finds out whether a quote that opens a field was meant to.
//!
//! A quote that stands alone would make one field of everything up to the next quote, or of the rest of the
//! file. The evidence against it is the line that follows the one where it opens: it is a record by itself. Where it
//! is not, most lines behind it may be; the closing quote may be another field's opening one; and quotes that lead
//! from line to line through more fields than the table has columns are no pairs.

use memchr::{memchr2, memchr2_iter};

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
    /// Its closing quote, or the end of the window.
    end: usize,
    is_closed: bool,
    /// Its closing quote stands where a field begins, and text follows: it opens a field of a later line.
    closes_where_another_opens: bool,
}

/// The quoted fields of a record that have several lines.
struct Suspects {
    examined: Vec<Suspect>,
    /// How many there are in all.
    count: usize,
    /// How many of them do not close, or have text behind the closing quote.
    unpaired: usize,
    /// The end of the record.
    end: usize,
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
    let Suspects { examined, count, unpaired, end: mut looked_at } =
        suspects(splitter.grammar(), window, fits);
    let is_chain = unpaired > 1 || count > layout.columns_in_file().max(MOST_SUSPECTS);
    for Suspect { open, line_end: length, end, is_closed, closes_where_another_opens } in examined {
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
        let is_torn = is_record
            || is_line_with_open_quote(splitter, layout, following)
            || !fits
                && (is_chain
                    || closes_where_another_opens
                    || are_records(splitter, layout, &window[length..end])
                    || layout.reader_4
                        && !is_closed
                        && are_records(splitter, layout, last_lines(&window[length..end])));
        if !is_torn {
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

/// Of how many lines most must be records, and within how many bytes.
const MOST_LINES: usize = 16;
const MOST_BYTES: usize = 64 << 10;

/// Whether most of the first whole lines of `lines` are records of the right width: several of them, because a line of
/// text can look like one.
fn are_records(splitter: &mut Splitter, layout: &Layout, lines: &[u8]) -> bool {
    let (mut records, mut all) = (0_usize, 0_usize);
    let mut rest = &lines[..lines.len().min(MOST_BYTES)];
    while all < MOST_LINES
        && let Some(end) = memchr2(b'\r', b'\n', rest)
    {
        if end > 0 {
            let line = &rest[..end];
            splitter.split(line, true);
            let (record, fields) = splitter.record(line);
            records += usize::from(is_clean(record.quotes) && layout.fits(&fields));
            all += 1;
        }
        rest = &rest[end + line_end(&rest[end..])..];
    }
    records > 1 && records * 2 > all
}

/// The last lines of what a quote that closes nowhere would swallow. A text that was cut at the end of a file has none
/// that are records.
fn last_lines(lines: &[u8]) -> &[u8] {
    let last = &lines[lines.len().saturating_sub(MOST_BYTES)..];
    // Two for each CRLF.
    let ends: Vec<usize> = memchr2_iter(b'\r', b'\n', last).collect();
    let before = ends.len().saturating_sub(2 * MOST_LINES + 1);
    ends.get(before).map_or(&[], |end| &last[end + 1..])
}

/// The most closed fields of a record that are examined.
const MOST_SUSPECTS: usize = 4;

/// The fields that may have swallowed other records: those that contain a line end. If the record fits, only those
/// with text behind the closing quote, which may be another field's opening quote.
fn suspects(grammar: &FieldGrammar, window: &[u8], fits: bool) -> Suspects {
    let (mut examined, mut count, mut unpaired) = (Vec::new(), 0, 0);
    let end = for_each_quoted(grammar, window, |open, close, has_text_after| {
        let is_closed = close.is_some();
        if is_closed && fits && !has_text_after {
            return;
        }
        let end = close.unwrap_or(window.len());
        let Some(at) = memchr2(b'\r', b'\n', &window[open..end]) else { return };
        count += 1;
        unpaired += usize::from(!is_closed || has_text_after);
        if is_closed && examined.len() >= MOST_SUSPECTS {
            return;
        }
        let closes_where_another_opens = has_text_after && grammar.begins_field(window, end);
        examined.push(Suspect { open, line_end: open + at, end, is_closed, closes_where_another_opens });
    });
    Suspects { examined, count, unpaired, end }
}

/// The quote that the record in `line` leaves open.
pub(super) fn open_quote(grammar: &FieldGrammar, line: &[u8]) -> Option<usize> {
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
    grammar.for_each(input, 0, |_, quoting| {
        if let Quoting::Quoted { open, close, has_text_after } = quoting {
            each(open, close, has_text_after);
        }
        true
    })
}
