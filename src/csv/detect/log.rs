//! Logs whose columns are named by a comment: `#Fields: date time` in the W3C's extended format, as IIS and CloudFront
//! write them, and `#fields` in Zeek's. The separator is the one that gives the rows so many columns, because addresses
//! and names of browsers in them are full of the others.

use memchr::memchr2;

use super::{
    Detected, Hows,
    candidates::{Candidate, USUAL},
    comments::{behind, in_sample},
    grid::{Grid, ratio},
    layout,
    quoting::quoting,
    sample::Sample,
    table::Table,
};
use crate::csv::{Choices, Cursor, Delimiter, HeaderAt, How, Layout, LayoutError, Note, Notes};

/// What the comment begins with.
const FIELDS: [&[u8]; 3] = [b"#Fields: ", b"#Fields:\t", b"#fields\t"];

/// The separators of the rows, in the order in which they are tried.
const WHITE_SPACE: [&str; 2] = ["\t", " "];

/// The share of the rows that must have as many fields as there are names.
const FEWEST_FITTING: f64 = 0.5;

/// The comment that names the columns.
struct LogFields {
    /// The names.
    text: String,
    line: u64,
}

impl LogFields {
    /// The names where `delimiter` separates the rows. They are separated by it too, or by white space if the rows are.
    fn names(&self, delimiter: &str) -> Vec<String> {
        let text = self.text.trim();
        if delimiter != " " && text.contains(delimiter) {
            text.split(delimiter).map(|name| name.trim().to_owned()).collect()
        } else if WHITE_SPACE.contains(&delimiter) {
            text.split_whitespace().map(str::to_owned).collect()
        } else {
            Vec::new()
        }
    }
}

/// The table below the comments, if the last that names columns is among the first `lines` from `start` on. None if they
/// name none, or not as many as the rows have, or there is another header.
pub(super) fn table(
    sample: &Sample<'_>,
    start: Cursor,
    lines: u64,
    choices: &Choices,
) -> Result<Option<Detected>, LayoutError> {
    let is_other_header =
        choices.header == Some(HeaderAt::None) || choices.header_rows.is_some_and(|rows| rows != 1);
    let Some(fields) = named(sample, start, lines).filter(|_| !is_other_header) else { return Ok(None) };
    let named_in = behind(sample, start, lines);
    // Those below a comment that was chosen for the header.
    let further = in_sample(sample, named_in).0;
    let below = behind(sample, named_in, further);
    let mut best: Option<(Grid<'_>, Vec<String>, f64)> = None;
    for delimiter in delimiters(choices) {
        let names = fields.names(delimiter.as_str());
        if names.len() < 2 {
            continue;
        }
        let Some(mut grid) = quoting(sample.judged(below), delimiter, choices) else { continue };
        let fit = fit_to(&mut grid, names.len());
        if fit >= FEWEST_FITTING && best.as_ref().is_none_or(|(.., best)| fit > *best) {
            best = Some((grid, names, fit));
        }
    }
    let Some((grid, names, fit)) = best else { return Ok(None) };
    if Table::find(&grid).is_none_or(|table| table.is_named && table.header_rows > 0) {
        return Ok(None);
    }
    let delimiter = grid.dialect.delimiter;
    let is_log = WHITE_SPACE.contains(&delimiter.as_str());
    let is_certain = fit >= 0.95 && delimiter.as_str() != " ";
    let table = Table { top: 0, header_rows: 0, is_named: true };
    let best = Candidate { grid, table, score: 1.0 };
    let found = layout(sample, &best, How::certain_if(is_certain), below.line, Notes::default())?;
    let mut notes = Notes::default();
    notes.add_several(Note::CommentLines, (lines + further).saturating_sub(1), start.line);
    Ok(Some(Detected {
        layout: Layout { header: names, left_out_at_end: 0, ..found.layout },
        header: HeaderAt::at(fields.line),
        header_rows: 1,
        hows: Hows { header: How::certain_if(is_log), ..found.hows },
        notes,
    }))
}

fn delimiters(choices: &Choices) -> Vec<Delimiter> {
    match choices.delimiter {
        Some(chosen) => vec![chosen],
        None => WHITE_SPACE.iter().chain(&USUAL[..2]).filter_map(|text| text.parse().ok()).collect(),
    }
}

/// Takes `width` for that of the table. Returns the share of the rows that have it. Comments between them, which a
/// program writes when it begins again, do not count.
fn fit_to(grid: &mut Grid<'_>, width: usize) -> f64 {
    let rows = || grid.rows.iter().filter(|row| grid.front.text.get(row.start) != Some(&b'#'));
    let (fitting, all) = (rows().filter(|row| row.width == width).count(), rows().count());
    (grid.width, grid.fitting) = (width, fitting);
    if all == 0 { 0.0 } else { ratio(fitting, all) }
}

/// The last comment of this kind.
fn named(sample: &Sample<'_>, start: Cursor, lines: u64) -> Option<LogFields> {
    let (mut at, mut found) = (start, None);
    for _ in 0..lines {
        let text = sample.from(at);
        let line = &text[..memchr2(b'\r', b'\n', text).unwrap_or(text.len())];
        if let Some(names) = FIELDS.iter().find_map(|fields| line.strip_prefix(*fields)) {
            found = Some(LogFields { text: String::from_utf8_lossy(names).into_owned(), line: at.line });
        }
        at = behind(sample, at, 1);
    }
    found
}
