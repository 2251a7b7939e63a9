//! The quotes of a file.

use memchr::memmem;

use super::{
    grid::{Grid, Judged, ratio},
    scan::Row,
};
use crate::csv::{Choices, Delimiter, Dialect, Escape, Quote};

/// The grid with the quotes that fit best for this delimiter.
pub(super) fn quoting<'t>(front: Judged<'t>, delimiter: Delimiter, choices: &Choices) -> Option<Grid<'t>> {
    let plain = Dialect { delimiter, ..Dialect::plain() };
    let has = |text: &[u8]| memmem::find(front.text, text).is_some();
    let is_behind_delimiter = |text: &[u8]| {
        front.text.starts_with(text)
            || [b"\n", b"\r", delimiter.as_bytes()].iter().any(|before| has(&[*before, text].concat()))
    };
    let mut dialects = vec![plain.clone()];
    let mut push = |dialect: Dialect| dialects.push(dialect);
    if has(b"\\\"") {
        push(Dialect { escape: Escape::Backslash, ..plain.clone() });
    }
    if is_behind_delimiter(b"'") || choices.quote == Some(Quote::Single) {
        push(Dialect { quote: Quote::Single, ..plain.clone() });
        if has(b"\\'") {
            push(Dialect { quote: Quote::Single, escape: Escape::Backslash, ..plain.clone() });
        }
        push(Dialect { quote: Quote::Single, inner_quotes_are_text: true, ..plain.clone() });
    }
    if has(b"\"") {
        push(Dialect { quote: Quote::None, ..plain.clone() });
        push(Dialect { inner_quotes_are_text: true, ..plain.clone() });
    }
    if has(&[b"\\", delimiter.as_bytes()].concat()) {
        push(Dialect { quote: Quote::None, escape: Escape::Backslash, ..plain.clone() });
    }
    if is_behind_delimiter(b" \"") || has(b"\" ") || is_behind_delimiter(b"\t\"") || has(b"\"\t") {
        push(Dialect { spaces_around_quotes: true, ..plain.clone() });
    }
    if choices.escape == Some(Escape::Backslash) {
        push(Dialect { escape: Escape::Backslash, ..plain.clone() });
    }
    if choices.quote == Some(Quote::None) {
        push(Dialect { quote: Quote::None, ..plain.clone() });
    }
    let allowed = |dialect: &Dialect| {
        choices.quote.is_none_or(|quote| quote == dialect.quote)
            && choices.escape.is_none_or(|escape| escape == dialect.escape)
    };
    dialects.retain(allowed);
    if dialects.is_empty() {
        let quote = choices.quote.unwrap_or(Quote::Double);
        let escape = choices.escape.unwrap_or(Escape::Doubled);
        dialects.push(Dialect { quote, escape, ..plain.clone() });
    }
    let mut dialects = dialects.into_iter();
    let mut best = Grid::new(dialects.next()?, front);
    // Without the delimiter in most rows the quotes do not matter, unless they are around whole lines.
    let is_split = best.width > 1 || best.fit() < 0.6;
    for dialect in dialects.filter(|_| is_split) {
        let may_be_better = bad(&best) > 0 || dialect.quote == Quote::Single || dialect.spaces_around_quotes;
        if !may_be_better {
            continue;
        }
        let other = Grid::new(dialect, front);
        if is_better(&other, &best) {
            best = other;
        }
    }
    if best.width == 1
        && best.rows.iter().filter(|row| row.quoted == 1).count() == best.rows.len()
        && best.dialect.quote == Quote::Double
    {
        let inside = Grid::new(Dialect { lines_are_quoted: true, ..best.dialect.clone() }, front);
        if inside.width > 1 && inside.fit() >= 0.95 {
            best = inside;
        }
    }
    Some(with_space(best))
}

/// Rows that do not come out right.
fn bad(grid: &Grid<'_>) -> usize {
    grid.rows.iter().filter(|row| row.has_text_behind || is_uneven(grid, row)).count()
}

/// Rows that have another width than most, or a quote that does not close as it should.
fn uneven(grid: &Grid<'_>) -> usize {
    grid.rows.iter().filter(|row| is_uneven(grid, row)).count()
}

fn is_uneven(grid: &Grid<'_>, row: &Row) -> bool {
    row.width != grid.width || row.is_open || row.quotes_are_text
}

/// Whether the quotes of `other` explain the text better than those of `best`.
fn is_better(other: &Grid<'_>, best: &Grid<'_>) -> bool {
    // Text behind a closing quote is kept, and alone is no reason for another quote.
    let is_same_quote = other.dialect.quote == best.dialect.quote;
    let (bad_now, bad_then) = (if is_same_quote { bad(best) } else { uneven(best) }, bad(other));
    match other.dialect.quote {
        Quote::Single if other.dialect.inner_quotes_are_text => bad_then == 0 && bad_now > 0,
        Quote::Single => {
            let quoted = other.rows.iter().filter(|row| row.quoted > 0).count();
            let was_quoted = best.rows.iter().any(|row| row.quoted > 0);
            let is_even = other.odd() == 0 && quoted > 0;
            is_even
                && (bad_then < bad_now
                    || bad_then == bad_now && !was_quoted && ratio(quoted, other.rows.len()) >= 0.8)
        }
        // Quotes are used as quotes somewhere.
        Quote::None if best.rows.iter().any(|row| row.quoted > 0 && !row.has_text_behind && !row.is_open) => {
            false
        }
        // A backslash before every separator that would make a row wider.
        Quote::None if other.dialect.escape == Escape::Backslash => bad_then == 0 && bad_now > 0,
        // A quote that opens the header and never closes is no text.
        // The reader knows what to do with a few stray quotes.
        Quote::None => bad_then == 0 && bad_now >= 3 && !best.rows.first().is_some_and(|row| row.is_open),
        _ if other.dialect.inner_quotes_are_text => bad_then == 0 && bad_now > 0,
        _ if other.dialect.spaces_around_quotes => {
            let quoted = |grid: &Grid<'_>| grid.rows.iter().map(|row| row.quoted).sum::<usize>();
            bad_then < bad_now || bad_then == bad_now && other.odd() == 0 && quoted(other) > quoted(best)
        }
        _ => bad_then < bad_now,
    }
}

/// The same with the space that follows every delimiter as a part of the delimiter.
fn with_space(grid: Grid<'_>) -> Grid<'_> {
    let delimiter = grid.dialect.delimiter;
    if !matches!(delimiter.as_str(), "," | ";" | "|") || grid.rows.len() < 2 {
        return grid;
    }
    let Ok(spaced) = format!("{delimiter} ").parse() else { return grid };
    let is_unspaced = |window: &[u8]| window[0] == delimiter.as_bytes()[0] && window[1] != b' ';
    // Cheap and nearly always decisive: somewhere in the first line no space follows.
    let first = &grid.front.text[grid.rows[0].start..grid.rows[0].end];
    if first.windows(2).any(is_unspaced) && grid.rows[0].quoted == 0 {
        return grid;
    }
    let dialect = Dialect { delimiter: spaced, spaces_around_quotes: false, ..grid.dialect.clone() };
    let other = Grid::new(dialect, grid.front);
    // As many fields as without the space: one follows every delimiter.
    let has_quotes = other.rows.iter().any(|row| row.quoted > 0);
    let is_right = other.width > 1
        && other.fit() >= 0.8
        && other.odd() <= grid.odd()
        && (other.fitting > grid.fitting && has_quotes
            || other.fitting == grid.fitting && other.width == grid.width);
    if is_right { other } else { grid }
}
