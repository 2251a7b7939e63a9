//! The first rows of a file, as the import reads them.

use super::{block::may_be_ours, excerpt::Excerpt, format::grouped};
use crate::{
    csv::{self, HeaderAt, Note, Reading},
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
    /// The line numbers of the lines above the header, and their description.
    pub before: Option<(String, &'static str)>,
    /// The line numbers of the header; empty if the file has none.
    pub header_lines: String,
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
        let read_as = snapshot.runs.iter().find_map(RunSnapshot::read_as);
        let known = snapshot.runs.iter().find_map(RunSnapshot::first_rows);
        Some(Self {
            table: known.map(|first| FirstRowsTable::new(first, read_as.map(|read_as| &read_as.reading))),
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

    /// `reading` is how the file is read; None if an earlier version read it, which left out only empty lines.
    #[must_use]
    pub fn new(first: &'a csv::FirstRows, reading: Option<&Reading>) -> Self {
        let is_numeric: Vec<bool> =
            (0..first.header.len()).map(|column| is_numeric(&first.rows, column)).collect();
        let is_numeric = |column: usize| is_numeric.get(column).copied().unwrap_or(false);
        let header = HeaderLines::of(first, reading);
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
            before: header.above().map(|lines| (lines, what_is_above(reading))),
            header_lines: header.shown(),
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

/// The lines of a file in which its columns are named.
struct HeaderLines {
    /// The header's first line, or that of the first row if there is no header.
    first: u64,
    /// 0 if there is no header.
    rows: u64,
}

impl HeaderLines {
    fn of(rows: &csv::FirstRows, reading: Option<&Reading>) -> Self {
        match reading.map(|reading| (reading.header.value, reading.header_rows.value)) {
            None => Self { first: rows.header_line, rows: 1 },
            Some((HeaderAt::Line(line), rows)) => Self { first: line.get(), rows: rows.max(1).into() },
            Some((HeaderAt::None, _)) => Self { first: rows.rows.first().map_or(1, |row| row.line), rows: 0 },
        }
    }

    /// The numbers of the lines above.
    fn above(&self) -> Option<String> {
        let last = self.first.saturating_sub(1);
        (last > 0).then(|| lines(1, last))
    }

    fn shown(&self) -> String {
        match self.rows {
            0 => String::new(),
            rows => lines(self.first, self.first.saturating_add(rows - 1)),
        }
    }
}

/// `3`, `1–12`.
fn lines(first: u64, last: u64) -> String {
    if first == last { grouped(first) } else { format!("{}–{}", grouped(first), grouped(last)) }
}

fn what_is_above(reading: Option<&Reading>) -> &'static str {
    let is_noted = |note| reading.is_some_and(|reading| reading.notes.of(note).is_some());
    if [Note::SeparatorLine, Note::LinesAboveHeader, Note::CommentLines].into_iter().any(is_noted) {
        "left out"
    } else {
        "empty"
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
