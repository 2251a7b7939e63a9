//! The front of a file as one dialect splits it.

use memchr::memchr2_iter;

use super::{
    kind::Kind,
    scan::{Row, Scan},
};
use crate::csv::{Cursor, Dialect};

/// The most cells that are examined for what they look like.
const MOST_CELLS: usize = 6_000;
/// The most columns that are.
const MOST_COLUMNS: usize = 1_000;
/// So many rows are examined however wide they are.
const FEWEST_ROWS: usize = 3;
/// The most rows that are.
const MOST_ROWS: usize = 240;
/// The rows that may be a header or stand above it.
pub(super) const MOST_TOP_ROWS: usize = 60;

/// The text that is judged.
#[derive(Clone, Copy)]
pub(super) struct Judged<'t> {
    pub(super) text: &'t [u8],
    /// Where it begins in the file.
    pub(super) at: Cursor,
    /// It reaches the end of the file.
    pub(super) eof: bool,
}

impl Judged<'_> {
    /// Its own front, on which every dialect is tried.
    pub(super) fn tried(self) -> Self {
        let lines = memchr2_iter(b'\r', b'\n', self.text).nth(TRIED_LINES);
        let most = lines.unwrap_or(self.text.len()).max(TRIED);
        if most >= self.text.len() { self } else { Self { text: &self.text[..most], eof: false, ..self } }
    }
}

/// In bytes, unless these are fewer lines than the following.
const TRIED: usize = 32 << 10;
const TRIED_LINES: usize = 60;

/// Rows and cells.
pub(super) struct Grid<'t> {
    pub(super) dialect: Dialect,
    pub(super) front: Judged<'t>,
    pub(super) rows: Vec<Row>,
    /// The width of most rows.
    pub(super) width: usize,
    /// How many rows have it.
    pub(super) fitting: usize,
}

impl<'t> Grid<'t> {
    pub(super) fn new(dialect: Dialect, front: Judged<'t>) -> Self {
        let scan = Scan::new(&dialect);
        let rows = scan.rows(front.text, front.at.line, front.eof, None);
        let (width, fitting) = most_frequent(&rows, front.text);
        let mut grid = Self { front, rows, width, fitting, dialect: dialect.clone() };
        // A quote that closes too late joins lines, and how many fields a row has is known only now.
        if grid.rows.iter().any(|row| row.next_line > row.line + 1 && row.width != width) {
            let rows = scan.rows(front.text, front.at.line, front.eof, Some(width));
            let (width_again, fitting) = most_frequent(&rows, front.text);
            if width_again == width {
                (grid.rows, grid.fitting) = (rows, fitting);
            }
        }
        grid
    }

    /// All cells of a row.
    pub(super) fn all_cells(&self, row: &Row) -> Vec<String> {
        Scan::new(&self.dialect).cells(self.front.text, row, usize::MAX)
    }

    /// The cells of a row that are examined.
    pub(super) fn cells(&self, row: &Row) -> Vec<String> {
        Scan::new(&self.dialect).cells(self.front.text, row, MOST_COLUMNS)
    }

    pub(super) fn examined_columns(&self) -> usize {
        self.width.min(MOST_COLUMNS)
    }

    pub(super) fn kinds(&self, row: &Row) -> Vec<Kind> {
        self.cells(row).iter().map(|cell| Kind::of(cell)).collect()
    }

    /// The share of the rows that have the width of most.
    pub(super) fn fit(&self) -> f64 {
        ratio(self.fitting, self.rows.len())
    }

    /// The rows at the top that may be a header or stand above it; fewer if they are wide.
    pub(super) fn top_rows(&self) -> usize {
        let mut cells = 0;
        let few = |row: &&Row| {
            cells += row.width.min(MOST_COLUMNS);
            cells <= MOST_CELLS
        };
        let rows = self.rows.iter().take(MOST_TOP_ROWS).take_while(few).count();
        rows.max(FEWEST_ROWS).min(self.rows.len())
    }

    /// Rows of the usual width, evenly over the rows from `from` on; a bounded number.
    pub(super) fn sample_rows(&self, from: usize) -> impl Iterator<Item = &Row> {
        let rows = self.rows.get(from..).unwrap_or_default();
        let most = (MOST_CELLS / self.width.clamp(1, MOST_COLUMNS)).clamp(FEWEST_ROWS, MOST_ROWS);
        let step = rows.len().div_ceil(most).max(1);
        rows.iter().step_by(step).filter(|row| row.width == self.width)
    }

    /// Rows that do not split well: text behind a closing quote, or a quote that never closes.
    pub(super) fn odd(&self) -> usize {
        self.rows.iter().filter(|row| row.has_text_behind || row.is_open || row.quotes_are_text).count()
    }
}

/// The most frequent width and its frequency. Of two that are about equally frequent in many rows, the one
/// that comes first, which is that of the first of several tables; in a few rows the wider one.
fn most_frequent(rows: &[Row], text: &[u8]) -> (usize, usize) {
    let mut widths: Vec<usize> = rows.iter().map(|row| row.width).collect();
    widths.sort_unstable();
    let groups = widths.chunk_by(|one, other| one == other).map(|group| (group[0], group.len()));
    let Some((width, most)) = groups.clone().max_by_key(|(width, count)| (*count, *width)) else {
        return (1, 0);
    };
    let is_frequent = |count: usize| count >= MANY_ROWS && count * 10 >= most * 9;
    let frequent: Vec<(usize, usize)> = groups.filter(|(_, count)| is_frequent(*count)).collect();
    let first = rows.iter().find_map(|row| frequent.iter().find(|(width, _)| *width == row.width));
    if let Some(first) = first {
        return *first;
    }
    if (width == 1 || ratio(most, rows.len()) < 0.6)
        && let Some(width) = table_below(rows, text)
    {
        return (width, rows.iter().filter(|row| row.width == width).count());
    }
    // Where rows differ, the first line tells, unless a table begins below it.
    let top = rows.first().map_or(width, |row| row.width);
    let is_table_below =
        most > 1 && rows.iter().rev().take(most.min(MANY_ROWS)).all(|row| row.width == width);
    if rows.len() > 2 && top > 1 && !is_table_below && ratio(most, rows.len()) < 0.6 {
        return (top, rows.iter().filter(|row| row.width == top).count());
    }
    (width, most)
}

/// The width of the first rows that are even, below lines that are narrower: a short table below a long preamble.
/// Drawn lines between its rows do not count.
fn table_below(rows: &[Row], text: &[u8]) -> Option<usize> {
    let rows: Vec<&Row> = rows.iter().filter(|row| !is_drawn(&text[row.start..row.end])).collect();
    let mut widest = 0;
    for block in rows.chunk_by(|one, other| one.width == other.width) {
        let (width, length) = (block.first()?.width, block.len());
        let is_table = width > 2 && (length > 2 || length > 1 && width > 4) && length * 4 >= rows.len();
        if is_table && width > widest && widest > 0 {
            return Some(width);
        }
        widest = widest.max(width);
    }
    None
}

/// Whether a line is drawn, as around the names of a printed table: `----+------`.
pub(super) fn is_drawn(line: &[u8]) -> bool {
    let is_part = |byte: &u8| matches!(byte, b'-' | b'=' | b'+' | b'|' | b':' | b' ');
    line.iter().all(is_part) && line.windows(3).any(|part| part == b"---" || part == b"===")
}

/// So many rows are a table, not lines above one.
const MANY_ROWS: usize = 10;

pub(super) fn ratio(part: usize, whole: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of rows in a front of a few hundred kilobytes")]
    let ratio = part as f64 / whole.max(1) as f64;
    ratio
}
