//! Where the table begins: the lines above it, its header, its first record.

use super::{
    grid::{Grid, MOST_TOP_ROWS, ratio},
    kind::{Kind, is_year},
    scan::Row,
};

/// Where a table is in a grid. All indexes are those of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// The first row of the header; the first record if there is no header.
    pub(super) top: usize,
    /// 0 if there is no header.
    pub(super) header_rows: usize,
    /// The header names columns of numbers, dates or codes.
    pub(super) is_named: bool,
}

/// The columns whose cells look alike, each with what they look like.
pub(super) struct ColumnKinds {
    kinds: Vec<Option<Kind>>,
    years: Vec<bool>,
}

/// What the cells of a row say about it, column by column.
#[derive(Clone, Copy, Debug, Default)]
struct Likeness {
    /// Cells that look like their column.
    alike: usize,
    /// Cells that do not, in typed columns.
    unlike: usize,
    filled: usize,
    /// Cells that look like values and not like names, in any column.
    values: usize,
}

impl Likeness {
    /// The same where the cells are names, although they look like values.
    fn as_names(self) -> Self {
        Self { alike: 0, unlike: self.alike + self.unlike, filled: self.filled, values: 0 }
    }
}

impl ColumnKinds {
    /// Examines the lower part of the grid.
    pub(super) fn of(grid: &Grid<'_>) -> Self {
        let n = grid.rows.len();
        let lower = if n < 8 { n - n / 2 } else { (n / 2).min(MOST_TOP_ROWS) };
        let lower = if n == 2 { 1 } else { lower };
        let columns = grid.examined_columns();
        let mut counts: Vec<Vec<(Kind, usize)>> = vec![Vec::new(); columns];
        let mut years = vec![true; columns];
        for row in grid.sample_rows(lower) {
            for (column, cell) in grid.cells(row).iter().enumerate() {
                let kind = Kind::of(cell);
                if kind == Kind::Missing {
                    continue;
                }
                years[column] &= is_year(cell);
                let counts = &mut counts[column];
                match counts.iter().position(|(known, _)| *known == kind) {
                    Some(at) => counts[at].1 += 1,
                    None => counts.push((kind, 1)),
                }
            }
        }
        let kinds = counts.iter().map(|counts| {
            let all: usize = counts.iter().map(|(_, count)| count).sum();
            let (kind, count) = counts.iter().max_by_key(|(_, count)| *count)?;
            let enough = if *kind == Kind::Number { 0.7 } else { 0.8 };
            (kind.is_typed() && ratio(*count, all) >= enough).then_some(*kind)
        });
        Self { kinds: kinds.collect(), years }
    }

    fn typed(&self) -> usize {
        self.kinds.iter().flatten().count()
    }

    fn likeness(&self, cells: &[String]) -> Likeness {
        let mut likeness = Likeness::default();
        for (column, cell) in cells.iter().enumerate() {
            let kind = Kind::of(cell);
            likeness.filled += usize::from(!cell.trim().is_empty());
            likeness.values += usize::from(kind.is_typed());
            let Some(Some(of_column)) = self.kinds.get(column) else { continue };
            match kind {
                Kind::Missing => {}
                Kind::Number if *of_column == Kind::Number && is_year(cell) && !self.years[column] => {
                    likeness.unlike += 1;
                }
                kind if kind == *of_column => likeness.alike += 1,
                Kind::Number | Kind::Shape(_)
                    if matches!(of_column, Kind::Number | Kind::Shape(_)) && kind != Kind::Number =>
                {
                    likeness.unlike += 1
                }
                // A number among codes or dates is data all the same.
                Kind::Number => likeness.alike += 1,
                _ => likeness.unlike += 1,
            }
        }
        likeness
    }
}

impl Table {
    /// The table of a grid whose rows are records. None if its first row has no delimiter, so that the
    /// grid's delimiter stands only inside cells.
    pub(super) fn find(grid: &Grid<'_>) -> Option<Self> {
        let columns = ColumnKinds::of(grid);
        let rows = &grid.rows;
        if rows.is_empty() {
            return None;
        }
        let tops = grid.top_rows();
        let cells: Vec<Vec<String>> = rows[..tops].iter().map(|row| grid.cells(row)).collect();
        let ids = |at: usize| {
            let ids = cells[at].iter().filter(|cell| is_import_id(cell)).count();
            rows[at].width == grid.width && ids == rows[at].filled && ids * 2 > grid.width
        };
        if let Some(ids) = (1..MOST_HEADER_ROWS.min(tops)).find(|&at| ids(at)) {
            return Some(Self { top: 0, header_rows: ids + 1, is_named: true });
        }
        let mut likeness: Vec<Likeness> = cells.iter().map(|cells| columns.likeness(cells)).collect();
        if is_sequence(&cells[0], cells.get(1), &columns) {
            likeness[0] = likeness[0].as_names();
        }
        // A line with many more fields than the rows is none of them.
        let is_as_wide = |row: &Row| row.width >= grid.width && row.width <= grid.width * 2;
        // The first row that looks like the rows of the table.
        let is_data = |at: &usize| is_as_wide(&rows[*at]) && likeness[*at].alike > likeness[*at].unlike;
        let data = (0..tops).find(is_data);
        let found = match data {
            Some(data) if columns.typed() > 0 => Self::above_typed(grid, &cells, &likeness, data),
            _ => Self::untyped(grid, &cells),
        };
        Some(found)
    }

    /// With typed columns: the header is what stands above the first typed row and has names in the typed
    /// columns.
    fn above_typed(grid: &Grid<'_>, cells: &[Vec<String>], likeness: &[Likeness], data: usize) -> Self {
        let rows = &grid.rows;
        let score =
            |at: usize| (likeness[at].unlike + likeness[at].filled).saturating_sub(likeness[at].values);
        let is_name_row = |at: usize| likeness[at].unlike > 0 && rows[at].width == grid.width;
        let names = (0..data).filter(|&at| is_name_row(at));
        let names = names.max_by_key(|&at| (score(at), std::cmp::Reverse(at)));
        let names = names.or_else(|| {
            // A header that is longer or shorter than the rows stands directly above them.
            let above = data.checked_sub(1)?;
            let is_header = rows[above].width > 1 || grid.width == 1;
            (is_header && !rows[above].is_empty() && likeness[above].alike == 0).then_some(above)
        });
        let Some(names) = names else {
            let is_no_data =
                |at: &usize| rows[*at].width != grid.width || rows[*at].filled < 2.min(grid.width);
            let top = (0..data).rev().find(is_no_data).map_or(0, |at| at + 1);
            return Self { top, header_rows: 0, is_named: false };
        };
        let (mut top, mut end) = (names, names + 1);
        let continues =
            |at: usize| continues_header(rows, cells, likeness, at) || fills_gaps(grid, cells, at);
        while end < data && end - top < MOST_HEADER_ROWS && continues(end) {
            end += 1;
        }
        if rows[end - 1].is_empty() {
            end -= 1;
        }
        while top > 0 && end - top < MOST_HEADER_ROWS && is_over_header(grid, cells, likeness, top - 1) {
            top -= 1;
        }
        Self {
            top,
            header_rows: end - top,
            is_named: likeness[names].unlike > 0 && likeness[names].alike == 0,
        }
    }

    /// Without typed columns: the first row that is as full as the others.
    fn untyped(grid: &Grid<'_>, cells: &[Vec<String>]) -> Self {
        let rows = &grid.rows;
        let found = |top: usize| Self { top, header_rows: 1, is_named: false };
        let Some(wide) = (0..cells.len()).find(|&at| rows[at].width >= grid.width) else { return found(0) };
        // A narrower row directly above may be the header, or what stands above the header.
        if let Some(above) = wide.checked_sub(1)
            && rows[above].width > 1
            && above == 0
            && !rows[wide].follows_empty_line
        {
            return found(above);
        }
        // The rows above the header have a title in their first cell, or a few.
        let most =
            rows[wide..].iter().take(12).filter(|row| row.width >= grid.width).map(|row| row.filled).max();
        let most = most.unwrap_or(0);
        let is_sparse = |row: &Row| row.filled <= 1 && most > 1 || row.filled * 3 <= most;
        let top = (wide..cells.len()).find(|&at| rows[at].width >= grid.width && !is_sparse(&rows[at]));
        let top = top.unwrap_or(wide);
        // In a table of two columns every other row may lack one.
        let sparse_below = rows.iter().skip(top).filter(|row| is_sparse(row) && !row.is_empty()).count();
        let top = if most == 2 && ratio(sparse_below, rows.len()) > 0.05 { wide } else { top };
        let mut end = top + 1;
        while end < cells.len() && end - top < MOST_HEADER_ROWS && fills_gaps(grid, cells, end) {
            end += 1;
        }
        if rows[end - 1].is_empty() {
            end -= 1;
        }
        Self { top, header_rows: end - top, is_named: false }
    }
}

/// Whether the row at `at`, below a header row with gaps, has names in these gaps and nothing in the first
/// columns; or is an empty one above such a row.
fn fills_gaps(grid: &Grid<'_>, cells: &[Vec<String>], at: usize) -> bool {
    let rows = &grid.rows;
    let is_empty = |cell: &String| cell.trim().is_empty();
    if rows[at].width != grid.width {
        return false;
    }
    let (at, above) = if rows[at].is_empty() { (at + 1, at - 1) } else { (at, at - 1) };
    let Some(here) = cells.get(at) else { return false };
    let above = if rows[above].is_empty() { above.saturating_sub(1) } else { above };
    let filled =
        cells[above].iter().zip(here).filter(|(above, here)| is_empty(above) && !is_empty(here)).count();
    let has_digits = here.iter().any(|cell| cell.bytes().any(|byte| byte.is_ascii_digit()));
    here.first().is_some_and(is_empty) && filled >= 2 && !has_digits
}

/// Whether a cell is an id that Qualtrics writes below the names of each column.
pub(super) fn is_import_id(cell: &str) -> bool {
    cell.starts_with(r#"{"ImportId":"#)
}

/// The most rows of a header.
const MOST_HEADER_ROWS: usize = 3;

/// Whether the row at `at`, directly below a header row, is one too: it names typed columns and adds to the
/// names above it.
fn continues_header(rows: &[Row], cells: &[Vec<String>], likeness: &[Likeness], at: usize) -> bool {
    let (above, here) = (&cells[at - 1], &cells[at]);
    if rows[at].follows_empty_line
        || rows[at].width != rows[at - 1].width
        || likeness[at].unlike == 0
        || likeness[at].alike > 0
    {
        return false;
    }
    if above == here {
        return false;
    }
    let is_empty = |cell: &String| cell.trim().is_empty();
    let fills = above.iter().zip(here).any(|(above, here)| is_empty(above) && !is_empty(here));
    let leaves = above.iter().zip(here).any(|(above, here)| !is_empty(above) && is_empty(here));
    let repeats = has_repeats(above) && !has_repeats_of_pairs(above, here);
    let are_units = likeness[at].unlike >= 2 && here.iter().all(|cell| cell.chars().count() <= 12);
    let only_typed =
        likeness[at].filled == likeness[at].unlike && here.iter().all(|cell| cell.chars().count() <= 12);
    fills || repeats || (leaves && (likeness[at].unlike >= 2 || only_typed)) || are_units
}

/// Whether the row at `at`, directly above a header row, holds the names of groups of columns.
fn is_over_header(grid: &Grid<'_>, cells: &[Vec<String>], likeness: &[Likeness], at: usize) -> bool {
    let rows = &grid.rows;
    let is_empty = |cell: &String| cell.trim().is_empty();
    let here = &cells[at];
    let filled = rows[at].filled;
    let first_empty = here.iter().position(is_empty).unwrap_or(here.len());
    let has_gaps = here[first_empty..].iter().any(|cell| !is_empty(cell));
    rows[at].width == grid.width
        && filled >= 2
        && !rows[at + 1].follows_empty_line
        && likeness[at].alike == 0
        && has_gaps
        && here
            .iter()
            .zip(&cells[at + 1])
            .any(|(here, below)| !is_empty(here) && is_empty(below) || is_empty(here) && !is_empty(below))
}

fn has_repeats(cells: &[String]) -> bool {
    let mut names: Vec<&str> = cells.iter().map(|cell| cell.trim()).filter(|cell| !cell.is_empty()).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
}

fn has_repeats_of_pairs(above: &[String], below: &[String]) -> bool {
    let pairs: Vec<String> =
        above.iter().zip(below).map(|(above, below)| format!("{above} {below}")).collect();
    has_repeats(&pairs)
}

/// Whether the numbers of a row go up or down in even steps, as those of the row below do not: names such as
/// wavelengths, not values.
fn is_sequence(cells: &[String], below: Option<&Vec<String>>, columns: &ColumnKinds) -> bool {
    let steady = |cells: &[String]| {
        let numbers: Vec<f64> = cells
            .iter()
            .zip(&columns.kinds)
            .filter(|(_, kind)| **kind == Some(Kind::Number))
            .filter_map(|(cell, _)| cell.trim().parse().ok())
            .collect();
        let step = match numbers.as_slice() {
            [first, second, _, ..] => second - first,
            _ => return false,
        };
        step != 0.0 && numbers.windows(2).all(|pair| (pair[1] - pair[0] - step).abs() <= step.abs() * 1e-6)
    };
    steady(cells) && below.is_some_and(|below| !steady(below))
}
