//! Delimiters that are taken only if none of the usual ones fits, and a file with a single column.

use memchr::memmem;

use super::{
    candidates::{Candidate, USUAL, goodness},
    grid::{Grid, Judged},
    kind::Kind,
    quoting::quoting,
    table::Table,
};
use crate::csv::{Choices, Delimiter, Dialect, Quote};

/// The bytes of the front that are judged: such files are regular, or nothing is found.
const MOST_BYTES: usize = 64 << 10;
/// The most delimiters that are tried.
const MOST_TRIED: usize = 12;

/// The best reading with an unusual delimiter: one that is in nearly every record, the header included.
pub(super) fn unusual<'t>(front: Judged<'t>, choices: &Choices) -> Option<Candidate<'t>> {
    if choices.delimiter.is_some() || holds_single_values(front) {
        return None;
    }
    let tried = front.tried();
    let mut best: Option<Candidate<'t>> = None;
    for delimiter in delimiters(tried.text) {
        let plain = Grid::new(Dialect { delimiter, ..Dialect::plain() }, tried);
        if plain.width < 2 || plain.fit() < 0.5 {
            continue;
        }
        let Some(grid) = quoting(tried, delimiter, choices) else { continue };
        let is_even = grid.width > 1 && grid.rows.len() > 1 && (grid.fit() >= 0.9 || has_row_names(&grid));
        if !is_even {
            continue;
        }
        let Some(table) = Table::find(&grid) else { continue };
        if grid.rows[table.top].width < 2 || !is_plausible(&grid, &table) {
            continue;
        }
        let score = grid.fit() * goodness(&grid, table.top);
        if best.as_ref().is_none_or(|best| score > best.score + 0.02) {
            best = Some(Candidate { grid, table, score });
        }
    }
    best?.on_all_of(front, choices)
}

/// Fields in quotes of an unusual kind, separated by `^`, whatever is inside them: `~0100~^~Milk, whole~`. The quotes
/// stay.
pub(super) fn in_unusual_quotes<'t>(front: Judged<'t>, choices: &Choices) -> Option<Candidate<'t>> {
    let first = front.text.split(|byte| matches!(byte, b'\n' | b'\r')).next()?;
    let quote = unusual_quote(&String::from_utf8_lossy(first))?;
    let is_closed = memmem::find(first, format!("{quote}^").as_bytes()).is_some();
    if !is_closed || choices.delimiter.is_some() || choices.quote.is_some_and(|quote| quote != Quote::None) {
        return None;
    }
    let delimiter = "^".parse().ok()?;
    let grid = Grid::new(Dialect { delimiter, quote: Quote::None, ..Dialect::plain() }, front);
    let is_even = grid.width > 1 && grid.fit() >= 0.8;
    let table = Table::find(&grid).filter(|_| is_even)?;
    Some(Candidate { grid, table, score: 1.0 })
}

/// What may be a quote around fields, because the text begins with it.
fn unusual_quote(text: &str) -> Option<char> {
    text.chars().next().filter(|first| is_unusual(*first))
}

/// Whether the rows are even, and the header lacks one name and is in quotes, as R writes it.
fn has_row_names(grid: &Grid<'_>) -> bool {
    let [header, rows @ ..] = grid.rows.as_slice() else { return false };
    let is_short = header.width + 1 == grid.width && header.quoted == header.width;
    is_short && rows.len() > 1 && rows.iter().all(|row| row.width == grid.width && row.quoted > 0)
}

/// Words are separated by spaces everywhere, so that a space needs more evidence than even widths.
fn is_plausible(grid: &Grid<'_>, table: &Table) -> bool {
    let delimiter = grid.dialect.delimiter.as_str();
    if delimiter != " " && delimiter.chars().any(|c| !c.is_ascii_punctuation() || c == ':') {
        return true;
    }
    let has_quotes = grid.rows.iter().any(|row| row.quoted > 0);
    has_quotes || delimiter != " " || table.is_named || grid.width > 2 || {
        let kinds = grid.sample_rows(table.top).flat_map(|row| grid.kinds(row));
        kinds.filter(|kind| kind.is_typed()).count() > grid.rows.len() / 2
    }
}

/// Whether the lines are dates, times, addresses of mail or the web: one value each.
fn holds_single_values(front: Judged<'_>) -> bool {
    let text = String::from_utf8_lossy(&front.text[..front.text.len().min(MOST_BYTES)]);
    let lines = text.lines().filter(|line| !line.trim().is_empty()).skip(1).take(100);
    let (mut single, mut all) = (0, 0);
    for line in lines {
        all += 1;
        let is_address = matches!(Kind::of(line), Kind::Url | Kind::Email) && line.bytes().all(is_in_address);
        single += usize::from(is_address || is_moment(line));
    }
    all > 0 && single * 10 >= all * 9
}

/// A byte that is not encoded in an address (RFC 3986).
fn is_in_address(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'^' | b'|' | b'<' | b'>' | b'"' | b'\\')
}

/// A date, a time or both.
fn is_moment(text: &str) -> bool {
    let text = text.trim();
    let parts: Vec<&str> = text.split([' ', 'T']).collect();
    let is_number = |part: &str, most: usize| {
        !part.is_empty() && part.len() <= most && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_time = |part: &str| {
        let part = part.trim_end_matches('Z');
        let (clock, fraction) = part.split_once(['.', '+']).unwrap_or((part, "0"));
        let fields: Vec<&str> = clock.split(':').collect();
        (2..=3).contains(&fields.len())
            && fields.iter().all(|field| is_number(field, 2))
            && fraction.bytes().all(|byte| byte.is_ascii_digit() || byte == b':')
    };
    let is_date = |part: &str| {
        let fields: Vec<&str> = part.split(['-', '/', '.']).collect();
        fields.len() == 3 && fields.iter().all(|field| is_number(field, 4))
    };
    match parts.as_slice() {
        [one] => is_time(one) || is_date(one),
        [date, time] => is_date(date) && is_time(time),
        [date, time, half] => is_date(date) && is_time(time) && matches!(*half, "AM" | "PM" | "am" | "pm"),
        _ => false,
    }
}

/// The delimiters that the first record may have.
fn delimiters(text: &[u8]) -> Vec<Delimiter> {
    let first = text.split(|byte| matches!(byte, b'\n' | b'\r')).find(|line| !line.is_empty());
    let first = String::from_utf8_lossy(first.unwrap_or_default());
    let mut found: Vec<Delimiter> = Vec::new();
    let mut push = |text: &str| {
        if let Ok(delimiter) = text.parse()
            && !found.contains(&delimiter)
            && found.len() < MOST_TRIED
        {
            found.push(delimiter);
        }
    };
    // Several characters that stand together.
    let is_part = |c: char| is_unusual(c) || matches!(c, ',' | ';' | '\t' | '|' | ':' | '^' | '-' | '>');
    for run in first.split(|c: char| !is_part(c)) {
        // Quotes of an unusual kind around fields are no part of the delimiter: `~1~^~2~`, `~1~^2`.
        let is_around_fields =
            unusual_quote(&first).is_some_and(|quote| run.starts_with(quote) || run.ends_with(quote));
        if run.chars().count() > 1 && run.len() <= Delimiter::LONGEST && !is_around_fields {
            push(run);
        }
    }
    for text in [" ", ":", "^"] {
        if first.contains(text) {
            push(text);
        }
    }
    for c in first.chars().filter(|c| is_unusual(*c)) {
        push(c.encode_utf8(&mut [0; 4]));
    }
    found
}

/// A character that can be a delimiter and is rare in text.
fn is_unusual(c: char) -> bool {
    matches!(c, '~' | '#' | '$' | '*' | '!' | '&' | '=' | '\\' | '¦' | '§' | '¬' | '¶' | '·' | '•' | '\u{fe}')
        || (c.is_ascii_control() && !matches!(c, '\t' | '\r' | '\n' | '\0' | '\u{1a}' | '\u{7f}'))
}

/// A delimiter of several characters that explains the text better than the usual one that it contains:
/// `||` is no pair of columns of which the second is always empty.
pub(super) fn longer<'t>(usual: &Candidate<'t>, choices: &Choices) -> Option<Candidate<'t>> {
    if choices.delimiter.is_some() {
        return None;
    }
    let front = usual.grid.front;
    let own = usual.grid.dialect.delimiter;
    let top = &usual.grid.rows[usual.table.top];
    let first = String::from_utf8_lossy(&front.text[top.start..top.end]);
    let is_part = |c: char| {
        c.is_ascii_punctuation() && !matches!(c, '"' | '\'' | '_' | '(' | ')' | '[' | ']' | '.' | '/' | '%')
            || c == '\t'
    };
    let mut runs: Vec<&str> = first.split(|c: char| !is_part(c)).collect();
    runs.retain(|run| {
        run.contains(own.as_str()) && run.len() > own.as_bytes().len() && run.len() <= Delimiter::LONGEST
    });
    let run = runs.first()?;
    // All delimiters of the first record are like this.
    if !runs.iter().all(|other| other == run) {
        return None;
    }
    let in_run = run.matches(own.as_str()).count();
    if top.width - 1 != runs.len() * in_run {
        return None;
    }
    let grid = quoting(front, run.parse().ok()?, choices)?;
    let is_pair_of_usual = *run == format!("{own}{own}") && USUAL[..3].contains(&own.as_str());
    let is_even = grid.width > 1 + usize::from(is_pair_of_usual)
        && grid.fit() >= usual.grid.fit()
        && grid.width == runs.len() + 1;
    if !is_even {
        return None;
    }
    let table = Table::find(&grid)?;
    Some(Candidate { grid, table, score: usual.score })
}

/// The reading as one column.
pub(super) fn one_column<'t>(front: Judged<'t>, choices: &Choices) -> Option<Candidate<'t>> {
    let plain = Grid::new(Dialect::plain(), front);
    let has_comma = plain.rows.iter().any(|row| row.width > 1);
    let delimiter = if has_comma { Delimiter::NONE } else { Delimiter::COMMA };
    let grid = quoting(front, choices.delimiter.unwrap_or(delimiter), choices)?;
    let table = Table::find(&grid)?;
    Some(Candidate { grid, table, score: 0.0 })
}

/// Whether the text has a usual delimiter anywhere, so that one column is only a guess.
pub(super) fn has_usual_delimiter(front: Judged<'_>) -> bool {
    USUAL.iter().any(|text| memmem::find(front.text, text.as_bytes()).is_some())
}
