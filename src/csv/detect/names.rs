//! The names of the columns, from the rows of a header.

use super::{
    grid::{Grid, ratio},
    scan::Row,
    table::{Table, is_import_id},
};
use crate::csv::{Note, Notes, left_out::without_marks};

/// The columns of a table.
#[derive(Debug, Default)]
pub(super) struct TableNames {
    pub(super) names: Vec<String>,
    /// Up to so many empty fields after them are left out.
    pub(super) left_out_at_end: usize,
}

/// A name for the column at `index`, which has none.
fn column_name(index: usize) -> String {
    format!("column {}", index + 1)
}

impl TableNames {
    /// The names of a table's columns; notes what was done to them.
    pub(super) fn of(grid: &Grid<'_>, table: &Table, notes: &mut Notes) -> Self {
        let line = grid.rows.get(table.top).map_or(grid.front.at.line, |row| row.line);
        let body = grid.rows.get(table.top + table.header_rows..).unwrap_or_default();
        // Of the rows that are no exceptions.
        let used = body.iter().filter(|row| row.width <= grid.width).map(|row| row.last_filled).max();
        if table.header_rows == 0 {
            let width = body.first().map_or(grid.width, |_| grid.width);
            let named = used.unwrap_or(width).clamp(1, width.max(1));
            note_left_out(notes, width - named, line);
            return Self { names: (0..named).map(column_name).collect(), left_out_at_end: width - named };
        }
        let mut names = joined(grid, table);
        let mut cleaned = 0;
        for name in &mut names {
            let clean = without_marks(name);
            if clean.len() < name.len() {
                cleaned += 1;
                *name = clean.to_owned();
            }
        }
        notes.add_several(Note::HeaderMarks, cleaned, line);
        let (Some(used), width) = (used, grid.width) else { return Self { names, left_out_at_end: 0 } };
        let named = names.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
        let mut left_out_at_end = 0;
        let needed = named.max(used).max(1);
        if names.len() > width {
            // A header that is longer than the rows loses the empty names at its end.
            names.truncate(needed.max(width));
        }
        // A row that is wider than all others has no trailing delimiter, but too many fields.
        let are_even =
            ratio(body.iter().filter(|row| row.width == width || row.width == needed).count(), body.len());
        if needed < names.len().max(width) && needed <= names.len() && are_even >= 0.9 {
            // Neither names nor content.
            left_out_at_end = names.len().max(width) - needed;
            names.truncate(needed);
            note_left_out(notes, left_out_at_end, line);
        } else if names.len() < width && needed > names.len() {
            let all_wider =
                ratio(body.iter().filter(|row| row.width > names.len()).count(), body.len()) >= 0.9;
            if all_wider {
                let unnamed = needed - names.len();
                if unnamed == 1 && has_row_names(grid, table) {
                    notes.add_several(Note::UnnamedFirstColumn, 1, line);
                    names.insert(0, column_name(0));
                } else {
                    notes.add_several(Note::UnnamedColumns, unnamed as u64, line);
                    names.extend((names.len()..needed).map(column_name));
                }
                left_out_at_end = width - needed;
                note_left_out(notes, left_out_at_end, line);
            }
        }
        Self { names, left_out_at_end }
    }
}

/// Whether the rows begin with their names, for which R writes no name in the header: they are in quotes, as the
/// header's names are, beside columns that are not; and are numbered, or separated by spaces or tabs.
fn has_row_names(grid: &Grid<'_>, table: &Table) -> bool {
    let quote = grid.dialect.quote.byte();
    let is_quoted = |row: &Row| grid.front.text.get(row.start).copied() == quote;
    let header = &grid.rows[table.top];
    let body = || grid.sample_rows(table.top + table.header_rows);
    let are_numbered = || {
        let numbers = grid.rows[table.top + table.header_rows..].iter().take(MOST_NUMBERED).zip(1_usize..);
        numbers.filter(|(row, number)| grid.cells(row).first() != Some(&number.to_string())).count() == 0
    };
    quote.is_some()
        && header.quoted == header.width
        && body().all(|row| is_quoted(row) && row.quoted < row.width)
        && (matches!(grid.dialect.delimiter.as_str(), " " | "\t") || are_numbered())
}

/// The most rows whose numbers are compared.
const MOST_NUMBERED: usize = 20;

fn note_left_out(notes: &mut Notes, columns: usize, line: u64) {
    let note = if columns == 1 { Note::TrailingDelimiter } else { Note::EmptyColumns };
    notes.add_several(note, columns as u64, line);
}

/// The names of all header rows, joined column by column.
fn joined(grid: &Grid<'_>, table: &Table) -> Vec<String> {
    let rows = &grid.rows[table.top..table.top + table.header_rows];
    let mut cells: Vec<Vec<String>> = rows.iter().map(|row| grid.all_cells(row)).collect();
    if cells.len() == 1 {
        return cells.pop().unwrap_or_default();
    }
    let width = cells.iter().map(Vec::len).max().unwrap_or(0);
    for row in &mut cells {
        row.resize(width, String::new());
        row.iter_mut().for_each(|cell| *cell = without_marks(cell).to_owned());
    }
    // A name over several columns stands in the first of them only.
    for at in 0..cells.len() - 1 {
        let mut group = None;
        for column in 0..width {
            let is_named_below = cells[at + 1..].iter().any(|row| !row[column].is_empty());
            if !cells[at][column].is_empty() {
                group = is_named_below.then(|| cells[at][column].clone());
            } else if let Some(name) = group.clone().filter(|_| is_named_below) {
                cells[at][column] = name;
            }
        }
    }
    let is_part = |part: &str| !part.is_empty() && !is_import_id(part);
    let column = |column: usize| {
        let parts: Vec<&str> =
            cells.iter().map(|row| row[column].as_str()).filter(|part| is_part(part)).collect();
        parts.join(" ")
    };
    (0..width).map(column).collect()
}
