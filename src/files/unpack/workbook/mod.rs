//! Excel workbooks (ECMA-376, `.xlsx`): a sheet as CSV, the chosen one or the first with content.
//!
//! Read here instead of by a library, because the libraries trust a workbook: they reserve as much memory as its
//! counts claim, and keep each element whole. Here all of it but the shared texts is streamed, and those have a limit.

mod cells;
mod growth;
mod number;
mod parts;
mod strings;
#[cfg(test)]
mod tests;
mod xml;

pub(super) use self::{parts::MOST_LISTED, strings::MOST_MEMORY};
use std::fs::File;

use self::{
    cells::Cells,
    parts::{Package, SheetPart, Workbook},
    strings::Strings,
};
use super::{
    UnpackError,
    decoders::PackedSource,
    sink::{BLOCK, Sink},
    zip::Archive,
};
use crate::csv::{How, Sheet, SheetName, Sheets};

/// Whether an archive is a workbook of Excel.
pub(super) fn is_workbook(archive: &Archive) -> bool {
    archive.entries.iter().any(|entry| entry.name.starts_with("xl/"))
        && archive.find("xl/workbook.bin").is_none()
}

/// Writes the chosen sheet, or the first one with content that a person sees, into `sink`.
pub(super) fn read(
    file: &File,
    archive: &Archive,
    chosen: Option<&SheetName>,
    mut sink: Sink,
) -> Result<(), UnpackError> {
    let package = Package::new(file, archive, sink.source(), sink.limit())?;
    let workbook = package.workbook()?;
    if workbook.sheets.is_empty() {
        return Err(UnpackError::NoSheet);
    }
    sink.state().set_sheet_names(names(&workbook));
    let strings = Strings::read(&package, &workbook, || sink.large_memory())?;
    let formats = package.formats(&workbook)?;
    let context = CellContext { strings: &strings, formats: &formats, is_1904: workbook.is_1904 };
    let sheets = examine(&package, &workbook, &context)?;
    let first = sheets
        .listed
        .iter()
        .position(|sheet| sheet.has_rows != Some(false) && workbook.shows(sheet.is_hidden));
    sink.state().set_sheets(Some(sheets));
    let (sheet, how) = match (chosen, first) {
        (Some(name), _) => (workbook.named(name)?, How::Chosen),
        (None, Some(first)) => (&workbook.sheets[first], How::Certain),
        (None, None) => match first_behind(&package, &workbook, &context)? {
            Some(sheet) => (sheet, How::Certain),
            None => return sink.finish(),
        },
    };
    sink.state().set_sheet(sheet.name.clone(), how);
    let mut cells = Cells::open(&package, sheet, &context)?;
    sink.state().set_packed_size(cells.packed_bytes());
    match Extent::of(&mut cells, &sink)? {
        Some(extent) => write(&mut Cells::open(&package, sheet, &context)?, extent, &mut sink)?,
        None if how == How::Chosen => return Err(UnpackError::EmptySheet(sheet.name.clone())),
        None => {}
    }
    sink.finish()
}

/// The sheet that is meant by `name`.
pub(super) fn sheet_named(
    file: &File,
    archive: &Archive,
    source: PackedSource,
    name: &SheetName,
) -> Result<SheetName, UnpackError> {
    let workbook = Package::new(file, archive, source, u64::MAX)?.workbook()?;
    workbook.named(name).map(|sheet| sheet.name.clone())
}

/// The first sheets. None is examined.
fn names(workbook: &Workbook) -> Sheets {
    let first = workbook.sheets.iter().take(Sheets::MOST);
    let listed: Vec<Sheet> = first
        .map(|sheet| Sheet { name: sheet.name.clone(), is_hidden: sheet.is_hidden, has_rows: None })
        .collect();
    Sheets { more: (workbook.sheets.len() - listed.len()) as u64, listed }
}

/// The first sheets, and which of them have content.
fn examine(
    package: &Package<'_>,
    workbook: &Workbook,
    context: &CellContext<'_>,
) -> Result<Sheets, UnpackError> {
    let mut sheets = names(workbook);
    for (listed, sheet) in sheets.listed.iter_mut().zip(&workbook.sheets) {
        listed.has_rows = match has_content(package, sheet, context) {
            Err(UnpackError::TooLarge { .. }) => None,
            has_rows => has_rows?,
        };
    }
    Ok(sheets)
}

/// The first sheet behind those that are listed that may have content.
fn first_behind<'s>(
    package: &Package<'_>,
    workbook: &'s Workbook,
    context: &CellContext<'_>,
) -> Result<Option<&'s SheetPart>, UnpackError> {
    let behind = workbook.sheets.iter().skip(Sheets::MOST);
    for sheet in behind.filter(|sheet| workbook.shows(sheet.is_hidden)) {
        if has_content(package, sheet, context)? != Some(false) {
            return Ok(Some(sheet));
        }
    }
    Ok(None)
}

/// Whether any cell has content. None if the sheet cannot be read, which is said if it is the one to read.
fn has_content(
    package: &Package<'_>,
    sheet: &SheetPart,
    context: &CellContext<'_>,
) -> Result<Option<bool>, UnpackError> {
    let scan = || {
        let mut cells = Cells::open(package, sheet, context)?;
        let scanned = loop {
            match cells.next_place() {
                Ok(Some(cell)) if !cell.is_filled => {}
                Ok(cell) => break Ok(cell.is_some()),
                Err(error) => break Err(error),
            }
        };
        package.give_back(package.bytes_of(sheet).saturating_sub(cells.unpacked()));
        scanned
    };
    use UnpackError::{Bomb, Stopped, Storage, TooLarge};
    match scan() {
        Ok(found) => Ok(Some(found)),
        Err(error @ (Bomb { .. } | Stopped | Storage(_) | TooLarge { .. })) => Err(error),
        Err(_) => Ok(None),
    }
}

/// What the cells of all sheets refer to.
pub(super) struct CellContext<'w> {
    strings: &'w Strings,
    formats: &'w [number::Format],
    is_1904: bool,
}

/// A sheet is read once for its columns and once for its cells.
const PASSES: u64 = 2;

/// The columns of a sheet that have content.
#[derive(Clone, Copy, Debug)]
struct Extent {
    first: u32,
    last: u32,
}

impl Extent {
    /// None if no cell has content. The texts of the cells are not made: each may refer to the same long one.
    fn of(cells: &mut Cells, sink: &Sink) -> Result<Option<Self>, UnpackError> {
        let mut extent: Option<Self> = None;
        while let Some(cell) = cells.next_place()? {
            sink.state().set_packed_bytes(cells.read() / PASSES);
            if !cell.is_filled {
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
                sink.state().set_packed_bytes(cells.packed_bytes() / PASSES + cells.read() / PASSES);
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
        if cell.is_text || !text.bytes().all(is_plain) {
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

/// Whether a value that is no text, such as a number, a date or an error, is written as it is.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-.:#/!?".contains(&byte)
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
