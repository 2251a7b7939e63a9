//! The dialects that a file may have, and which of them fits best.

use memchr::memmem;

use super::{
    grid::{Grid, Judged, ratio},
    kind::{Kind, is_year},
    quoting::quoting,
    table::Table,
};
use crate::csv::{Choices, Delimiter, Dialect};

/// The delimiters that are expected, in this order.
pub(super) const USUAL: [&str; 4] = [",", ";", "\t", "|"];

/// A dialect with what it makes of the front.
pub(super) struct Candidate<'t> {
    pub(super) grid: Grid<'t>,
    pub(super) table: Table,
    pub(super) score: f64,
}

/// The best reading with one of the usual delimiters, and whether another one would do as well. None if the
/// text has none of them, or only inside cells.
pub(super) fn usual<'t>(front: Judged<'t>, choices: &Choices) -> Option<(Candidate<'t>, bool)> {
    let tried = front.tried();
    let mut candidates: Vec<Candidate<'t>> = Vec::new();
    for delimiter in delimiters(tried, choices) {
        let Some(grid) = quoting(tried, delimiter, choices) else { continue };
        let Some(table) = Table::find(&grid) else { continue };
        let is_chosen = choices.delimiter.is_some();
        if !is_chosen && (grid.width < 2 || has_no_delimiter_on_top(&grid, &table)) {
            continue;
        }
        let mut candidate = Candidate { grid, table, score: 0.0 };
        candidate.score = candidate.evenness() * goodness(&candidate.grid, candidate.table.top);
        // Uneven rows without a header below lines that the delimiter does not split are no table.
        let is_stray = table.header_rows == 0 && table.top > 0 && candidate.body_fit() < 0.9;
        if is_chosen || !is_stray {
            candidates.push(candidate);
        }
    }
    let fitting = candidates.iter().filter(|candidate| candidate.fits()).count();
    let best =
        candidates.into_iter().reduce(|best, other| if other.score > best.score { other } else { best })?;
    let has_rival = fitting > usize::from(best.fits());
    Some((best.on_all_of(front, choices)?, has_rival))
}

/// The reading with the delimiter that the first line has most often, if it looks like names; the rows below
/// do not have it.
pub(super) fn of_first_line<'t>(front: Judged<'t>, choices: &Choices) -> Option<Candidate<'t>> {
    let tried = front.tried();
    let mut best: Option<(Delimiter, usize)> = None;
    for delimiter in delimiters(tried, choices) {
        let grid = Grid::new(Dialect { delimiter, ..Dialect::plain() }, tried);
        let Some(first) = grid.rows.first() else { continue };
        let are_names = || {
            let cells = grid.cells(first);
            cells.iter().all(|cell| may_be_name(cell)) && !cells.iter().all(|cell| is_year(cell))
        };
        if first.width > best.map_or(1, |(_, width)| width) && are_names() {
            best = Some((delimiter, first.width));
        }
    }
    let mut grid = quoting(front, best?.0, choices)?;
    let width = grid.rows.first()?.width;
    (grid.width, grid.fitting) = (width, grid.rows.iter().filter(|row| row.width == width).count());
    Some(Candidate { grid, table: Table { top: 0, header_rows: 1, is_named: false }, score: 0.0 })
}

/// Whether `cell` can name a column: as a word, a year, or letters before digits as in `q1`.
fn may_be_name(cell: &str) -> bool {
    let cell = cell.trim();
    match Kind::of(cell) {
        Kind::Word | Kind::Missing => true,
        Kind::Shape(_) => {
            cell.starts_with(char::is_alphabetic) && cell.chars().all(|c| c.is_alphanumeric() || c == '_')
        }
        _ => is_year(cell),
    }
}

impl<'t> Candidate<'t> {
    /// RFC 4180, whatever else would fit.
    pub(super) fn plain(front: Judged<'t>) -> Option<Self> {
        let grid = Grid::new(Dialect::plain(), front);
        let table = Table::find(&grid)?;
        Some(Self { grid, table, score: 0.0 })
    }

    /// The same delimiter for all of a front of which only the beginning was tried.
    pub(super) fn on_all_of(self, front: Judged<'t>, choices: &Choices) -> Option<Self> {
        if self.grid.front.text.len() == front.text.len() {
            return Some(self);
        }
        let grid = quoting(front, self.grid.dialect.delimiter, choices)?;
        let table = Table::find(&grid)?;
        Some(Self { grid, table, ..self })
    }

    /// The same dialect for another front.
    pub(super) fn from(self, front: Judged<'t>) -> Self {
        Self { grid: Grid::new(self.grid.dialect, front), ..self }
    }

    /// The share of the rows below the header that have the usual width; of all if there is only the header.
    pub(super) fn body_fit(&self) -> f64 {
        let body = self.table.top + self.table.header_rows;
        let rows = self.grid.rows.get(body..).filter(|rows| !rows.is_empty()).unwrap_or(&self.grid.rows);
        ratio(rows.iter().filter(|row| row.width == self.grid.width).count(), rows.len())
    }

    /// How even the rows are, above the header and below it. A wrong delimiter leaves text behind closing quotes.
    fn evenness(&self) -> f64 {
        let odd = ratio(self.grid.odd(), self.grid.rows.len());
        (self.grid.fit() + self.body_fit()) / 2.0 * (1.0 - odd / 4.0)
    }

    pub(super) fn fits(&self) -> bool {
        self.body_fit() >= 0.95
    }
}

/// Whether the delimiter is missing in the first row of the table, so that it only stands inside cells.
fn has_no_delimiter_on_top(grid: &Grid<'_>, table: &Table) -> bool {
    let rows = &grid.rows;
    if rows[table.top].width < 2 {
        return true;
    }
    if grid.dialect.delimiter.as_str() == "\t" {
        // The cells of a single column contain no tabs.
        return false;
    }
    // One line above a table without names may be the name of its only column: "price" above "1,50".
    let above = &rows[..table.top];
    let is_below_a_name =
        above.len() == 1 && above[0].width == 1 && rows[table.top].line == above[0].next_line;
    if !is_below_a_name {
        return false;
    }
    let has_digit = |cell: &String| cell.bytes().any(|byte| byte.is_ascii_digit());
    let names = grid.cells(&rows[table.top]);
    let with_digits = names.iter().filter(|cell| has_digit(cell)).count();
    if table.header_rows == 0 || with_digits * 2 >= names.len() {
        return true;
    }
    // Nothing tells whether the second line has names.
    !table.is_named && (grid.width == 2 || has_spaces_behind(grid))
}

/// Whether a space follows nearly every delimiter, as in a sentence.
pub(super) fn has_spaces_behind(grid: &Grid<'_>) -> bool {
    let (mut spaced, mut all) = (0, 0);
    for row in grid.rows.iter().take(grid.top_rows()) {
        for cell in grid.cells(row).iter().skip(1).filter(|cell| !cell.is_empty()) {
            all += 1;
            spaced += usize::from(cell.starts_with(' '));
        }
    }
    spaced * 10 >= all * 9
}

/// The delimiters to try.
fn delimiters(front: Judged<'_>, choices: &Choices) -> Vec<Delimiter> {
    if let Some(chosen) = choices.delimiter {
        return vec![chosen];
    }
    let present = USUAL.iter().filter(|text| memmem::find(front.text, text.as_bytes()).is_some());
    present.filter_map(|text| text.parse().ok()).collect()
}

/// How much the cells look like values of their own: 0 to 1.
pub(super) fn goodness(grid: &Grid<'_>, from: usize) -> f64 {
    let (mut sum, mut count) = (0.0, 0_u32);
    let own = grid.dialect.delimiter.as_str();
    for row in grid.sample_rows(from) {
        for cell in grid.cells(row) {
            let worth = match Kind::of(&cell) {
                Kind::Missing => continue,
                Kind::Word | Kind::Shape(_) if has_other_delimiter(&cell, own) => 0.5,
                Kind::Word => 0.95,
                _ => 1.0,
            };
            sum += worth;
            count += 1;
        }
    }
    if count == 0 { 0.5 } else { sum / f64::from(count) }
}

/// Whether a cell contains what may be a delimiter in another reading.
fn has_other_delimiter(cell: &str, own: &str) -> bool {
    USUAL.iter().filter(|other| !own.contains(**other)).any(|other| {
        cell.match_indices(other).any(|(at, _)| {
            // In a sentence a space follows.
            let next = cell[at + other.len()..].chars().next();
            next.is_some_and(|c| !c.is_whitespace()) || *other == "\t"
        })
    })
}
