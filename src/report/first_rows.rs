//! The first rows of a file, as the import reads them.

use super::{block::may_be_ours, excerpt::Excerpt, format::grouped};
use crate::{
    csv,
    imports::{ImportState, RunSnapshot, Snapshot},
};

/// The section, which is on the page from the beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstRowsSection<'a> {
    /// None while the rows are unknown.
    pub table: Option<FirstRowsTable<'a>>,
    /// The text in place of the table.
    pub instead: &'static str,
}

/// The table of the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstRowsTable<'a> {
    /// The line numbers of the empty lines before the header, and their description.
    pub before: Option<(String, &'static str)>,
    pub header_line: String,
    pub columns: Vec<ShownColumn<'a>>,
    /// `and 12 more columns`.
    pub more: Option<String>,
    pub rows: Vec<ShownRow<'a>>,
    /// Whether a column shows why rows fail. Otherwise the reason is shown in place of the missing fields.
    pub has_reasons: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownColumn<'a> {
    pub name: Excerpt<'a>,
    /// Whether all values are numbers, which are right-aligned.
    pub is_numeric: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownRow<'a> {
    pub line: String,
    pub cells: Vec<ShownCell<'a>>,
    /// The number of empty cells at the end.
    pub empty: usize,
    pub failure: Option<&'a str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownCell<'a> {
    pub value: Excerpt<'a>,
    pub is_numeric: bool,
    pub is_at_fault: bool,
}

/// Whether our function has read rows of the file, even if its first rows were not kept.
pub fn was_read(snapshot: &Snapshot) -> bool {
    snapshot.runs.iter().any(|run| run.is_ours() && run.bytes() > 0)
}

impl<'a> FirstRowsSection<'a> {
    /// None if only other people's functions read the file.
    #[must_use]
    pub fn of(snapshot: &'a Snapshot, state: ImportState) -> Option<Self> {
        if !snapshot.runs.is_empty() && !snapshot.runs.iter().any(may_be_ours) {
            return None;
        }
        let known = snapshot.runs.iter().find_map(RunSnapshot::first_rows);
        Some(Self {
            table: known.map(FirstRowsTable::new),
            instead: if !state.is_final() {
                "The first rows show here once the import reads them."
            } else if was_read(snapshot) {
                "The first rows of this import were not kept."
            } else {
                "Nothing was read."
            },
        })
    }
}

impl<'a> FirstRowsTable<'a> {
    /// The number of columns after the line numbers.
    #[must_use]
    pub fn width(&self) -> usize {
        (self.columns.len() + usize::from(self.more.is_some()) + usize::from(self.has_reasons)).max(1)
    }

    fn new(first: &'a csv::FirstRows) -> Self {
        let is_numeric: Vec<bool> =
            (0..first.header.len()).map(|column| is_numeric(&first.rows, column)).collect();
        let is_numeric = |column: usize| is_numeric.get(column).copied().unwrap_or(false);
        let before = match first.header_line.saturating_sub(1) {
            0 => None,
            1 => Some(("1".to_owned(), "empty")),
            lines => Some((format!("1–{}", grouped(lines)), "empty")),
        };
        let left_out = first.columns.saturating_sub(first.header.len());
        let columns = first.header.iter().enumerate();
        let empty = |row: &csv::FirstRow| first.header.len().saturating_sub(row.cells.len());
        let has_reasons = first.rows.iter().any(|row| row.failure.is_some() && empty(row) == 0);
        let rows = first.rows.iter().map(|row| ShownRow {
            line: grouped(row.line),
            cells: row
                .cells
                .iter()
                .enumerate()
                .map(|(column, cell)| ShownCell {
                    value: Excerpt::of(cell),
                    is_numeric: is_numeric(column),
                    is_at_fault: row.at_fault == Some(column),
                })
                .collect(),
            empty: empty(row),
            failure: row.failure.as_deref(),
        });
        Self {
            before,
            header_line: grouped(first.header_line),
            columns: columns
                .map(|(column, name)| ShownColumn { name: Excerpt::of(name), is_numeric: is_numeric(column) })
                .collect(),
            more: match left_out {
                0 => None,
                1 => Some("and 1 more column".to_owned()),
                count => Some(format!("and {} more columns", grouped(count as u64))),
            },
            rows: rows.collect(),
            has_reasons,
        }
    }
}

/// Whether all values in a column are numbers. Failed rows are ignored.
fn is_numeric(rows: &[csv::FirstRow], column: usize) -> bool {
    let good = rows.iter().filter(|row| row.failure.is_none());
    let mut cells = good.filter_map(|row| row.cells.get(column)).filter(|cell| !cell.is_empty()).peekable();
    cells.peek().is_some() && cells.all(|cell| is_number(cell))
}

/// Digits with a sign, separators, a per cent sign or a currency sign: amounts, but not dates.
fn is_number(cell: &str) -> bool {
    let bare = cell.trim().trim_start_matches(['+', '-', '−', '$', '€', '£']);
    let bare = bare.trim_end_matches(['%', '€', '$', '£']).trim();
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '\'' | ' ' | '\u{a0}' | '\u{202f}');
    bare.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && bare.ends_with(|c: char| c.is_ascii_digit())
        && bare.chars().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_from_what_only_has_digits() {
        for number in ["1", "-12.50", "1,234.00", "1 240,00", "12 %", "€5", ".5", "+3"] {
            assert!(is_number(number), "{number}");
        }
        for other in ["", "-", "2026-11-02", "14:03", "1a", "12.", "DE", "1;2"] {
            assert!(!is_number(other), "{other}");
        }
    }
}
