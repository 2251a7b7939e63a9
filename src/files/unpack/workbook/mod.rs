//! Excel workbooks (ECMA-376, `.xlsx`): the first sheet with content, as CSV.
//!
//! Read here instead of by a library, because the libraries trust a workbook: they reserve as much memory as its
//! counts claim, and keep each element whole. Here all of it but the shared texts is streamed, and those have a limit.

mod cells;
mod number;
mod parts;
mod strings;
mod xml;

pub(super) use self::strings::MOST_MEMORY;
use std::fs::File;

use self::{
    cells::Cells,
    parts::{Package, Sheet},
    strings::Strings,
};
use super::{
    UnpackError,
    sink::{BLOCK, Sink},
    zip::Archive,
};

/// Whether an archive is a workbook of Excel.
pub(super) fn is_workbook(archive: &Archive) -> bool {
    archive.entries.iter().any(|entry| entry.name.starts_with("xl/"))
        && archive.find("xl/workbook.bin").is_none()
}

/// Writes the first sheet with content into `sink`.
pub(super) fn read(file: &File, archive: &Archive, mut sink: Sink) -> Result<(), UnpackError> {
    let package = Package::new(file, archive, &sink);
    let workbook = package.workbook()?;
    let sheets: Vec<&Sheet> = workbook.visible_sheets().collect();
    if sheets.is_empty() {
        return Err(UnpackError::NoSheet);
    }
    let strings = Strings::read(&package, &workbook)?;
    let formats = package.formats(&workbook)?;
    let context = CellContext { strings: &strings, formats: &formats, is_1904: workbook.is_1904 };
    for sheet in sheets {
        let Some(extent) = Extent::of(&mut Cells::open(&package, sheet, &context)?)? else { continue };
        write(&mut Cells::open(&package, sheet, &context)?, extent, &mut sink)?;
        return sink.finish();
    }
    sink.finish()
}

/// What the cells of all sheets refer to.
pub(super) struct CellContext<'w> {
    strings: &'w Strings,
    formats: &'w [number::Format],
    is_1904: bool,
}

/// The columns of a sheet that have content.
#[derive(Clone, Copy, Debug)]
struct Extent {
    first: u32,
    last: u32,
}

impl Extent {
    /// None if no cell has content.
    fn of(cells: &mut Cells) -> Result<Option<Self>, UnpackError> {
        let mut extent: Option<Self> = None;
        let mut text = String::new();
        while let Some(cell) = cells.next(&mut text)? {
            if text.is_empty() {
                continue;
            }
            let (first, last) =
                extent.map_or((cell.column, cell.column), |extent| (extent.first, extent.last));
            extent = Some(Self { first: first.min(cell.column), last: last.max(cell.column) });
        }
        Ok(extent)
    }
}

/// Writes the cells between the columns of `extent`. Each row is a line, also an empty one, so that lines keep the
/// numbers of the rows, as long as no text has line ends.
fn write(cells: &mut Cells, extent: Extent, sink: &mut Sink) -> Result<(), UnpackError> {
    let (mut row, mut column) = (0, extent.first);
    let (mut line, mut text) = (Vec::new(), String::new());
    while let Some(cell) = cells.next(&mut text)? {
        if text.is_empty() {
            continue;
        }
        while row < cell.row {
            end_row(&mut line, column, extent);
            (row, column) = (row + 1, extent.first);
            if line.len() >= BLOCK {
                sink.write(&line, cells.read())?;
                line.clear();
            }
        }
        // Rows and cells are in order in every workbook that Excel opens.
        if cell.row < row || cell.column < column {
            return Err(UnpackError::DamagedWorkbook);
        }
        line.resize(line.len() + (cell.column - column) as usize, b',');
        column = cell.column;
        // A number or an error has no separator, unless the workbook is not Excel's.
        if cell.is_text || text.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n')) {
            quote(&mut line, &text);
        } else {
            line.extend_from_slice(text.as_bytes());
        }
        if column < extent.last {
            line.push(b',');
        }
        column += 1;
        // A row alone may be long: all its cells can have the same long text.
        if line.len() >= BLOCK {
            sink.write(&line, cells.read())?;
            line.clear();
        }
    }
    end_row(&mut line, column, extent);
    sink.write(&line, cells.read())
}

/// Ends a row before `column`. One without cells becomes an empty line.
fn end_row(line: &mut Vec<u8>, column: u32, extent: Extent) {
    if column > extent.first {
        line.resize(line.len() + (extent.last.saturating_sub(column)) as usize, b',');
    }
    line.extend_from_slice(b"\r\n");
}

/// Every text is quoted, so that nothing in it can be taken for a separator.
fn quote(line: &mut Vec<u8>, text: &str) {
    line.push(b'"');
    for (number, part) in text.split('"').enumerate() {
        if number > 0 {
            line.extend_from_slice(b"\"\"");
        }
        line.extend_from_slice(part.as_bytes());
    }
    line.push(b'"');
}
