//! The cells of a sheet, in the order of its rows, as text.

use quick_xml::events::{BytesStart, Event};

use super::{
    super::UnpackError,
    CellContext, number,
    parts::{Package, SheetPart},
    strings::rich_text,
    xml::{LONGEST_TEXT, Xml, XmlError, attribute},
};

/// The size of a sheet.
const ROWS: u32 = 1 << 20;
const COLUMNS: u32 = 1 << 14;

/// Reads the cells of a sheet.
pub(super) struct Cells<'w> {
    package: &'w Package<'w>,
    xml: Xml<'w>,
    /// Of the whole sheet.
    packed_bytes: u64,
    context: &'w CellContext<'w>,
    /// Where the next cell without a place of its own is.
    row: u32,
    column: u32,
    value: String,
}

/// The place of a cell, from 0, and what is known of its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SheetCell {
    pub(super) row: u32,
    pub(super) column: u32,
    pub(super) is_text: bool,
    /// Its text is not empty.
    pub(super) is_filled: bool,
    cell_type: CellType,
    style: usize,
}

/// What a cell's element says besides its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CellType {
    Number,
    Shared,
    Inline,
    Bool,
    /// The result of a formula, an error or a date as text.
    Plain {
        is_text: bool,
    },
}

impl<'w> Cells<'w> {
    pub(super) fn open(
        package: &'w Package<'w>,
        sheet: &SheetPart,
        context: &'w CellContext<'w>,
    ) -> Result<Self, UnpackError> {
        let xml = package.open_sheet(sheet)?;
        let packed_bytes = package.packed_bytes_of(sheet);
        Ok(Self { package, xml, packed_bytes, context, row: 0, column: 0, value: String::new() })
    }

    /// Reads the next cell, and its text into `text`. None at the end.
    pub(super) fn next(&mut self, text: &mut String) -> Result<Option<SheetCell>, UnpackError> {
        text.clear();
        let Some(cell) = self.next_place()? else { return Ok(None) };
        self.show(cell, text).map_err(|error| self.package.explain(error))?;
        Ok(Some(cell))
    }

    /// Reads the next cell without making its text, which may be much longer than what the sheet says of it. None at
    /// the end.
    pub(super) fn next_place(&mut self) -> Result<Option<SheetCell>, UnpackError> {
        self.advance().map_err(|error| self.package.explain(error))
    }

    /// The packed bytes read so far.
    pub(super) fn read(&self) -> u64 {
        self.package.read()
    }

    /// The bytes of the sheet's XML read so far.
    pub(super) fn unpacked(&self) -> u64 {
        self.xml.consumed()
    }

    /// The packed bytes of the whole sheet.
    pub(super) fn packed_bytes(&self) -> u64 {
        self.packed_bytes
    }

    fn advance(&mut self) -> Result<Option<SheetCell>, XmlError> {
        loop {
            let Some(event) = self.xml.next()? else { return Ok(None) };
            match event {
                Event::Start(element) => match element.local_name().as_ref() {
                    "row" => {
                        if let Some(number) = attribute(&element, "r")? {
                            let number = number.parse::<u32>().map_err(|_| XmlError)?;
                            self.row = number.checked_sub(1).filter(|row| *row < ROWS).ok_or(XmlError)?;
                        }
                        self.column = 0;
                    }
                    "c" => {
                        let place = attribute(&element, "r")?;
                        let (row, column) = match &place {
                            Some(place) => place_of(place).ok_or(XmlError)?,
                            None => (self.row, self.column),
                        };
                        if row >= ROWS || column >= COLUMNS {
                            return Err(XmlError);
                        }
                        let (cell_type, style) = (CellType::of(&element)?, style_of(&element)?);
                        (self.row, self.column) = (row, column + 1);
                        self.read_value(cell_type)?;
                        let is_text = cell_type.is_text();
                        let is_filled = self.is_filled(cell_type)?;
                        return Ok(Some(SheetCell { row, column, is_text, is_filled, cell_type, style }));
                    }
                    _ => {}
                },
                Event::End(element) => match element.local_name().as_ref() {
                    "row" => self.row = self.row.saturating_add(1),
                    "sheetData" => return Ok(None),
                    _ => {}
                },
                _ => {}
            }
        }
    }

    /// Reads the value up to the end of the cell.
    fn read_value(&mut self, cell_type: CellType) -> Result<(), XmlError> {
        let outside = self.xml.depth().saturating_sub(1);
        self.value.clear();
        while self.xml.depth() > outside {
            let Some(event) = self.xml.next()? else { return Err(XmlError) };
            let Event::Start(element) = event else { continue };
            let is_inline = match element.local_name().as_ref() {
                "v" => false,
                "is" => true,
                _ => continue,
            };
            match (is_inline, cell_type) {
                (true, CellType::Inline) => rich_text(&mut self.xml, &mut self.value)?,
                (false, cell_type) if cell_type != CellType::Inline => self.xml.text_into(&mut self.value)?,
                _ => {}
            }
            // A cell may have several values, which have a limit each.
            if self.value.len() > LONGEST_TEXT {
                return Err(XmlError);
            }
        }
        Ok(())
    }

    /// Whether the value that was read has a text.
    fn is_filled(&self, cell_type: CellType) -> Result<bool, XmlError> {
        Ok(match cell_type {
            CellType::Shared if !self.value.is_empty() => !self.shared()?.is_empty(),
            CellType::Bool | CellType::Number => !self.value.trim().is_empty(),
            CellType::Shared | CellType::Inline | CellType::Plain { .. } => !self.value.is_empty(),
        })
    }

    /// The shared text whose number is the value.
    fn shared(&self) -> Result<&'w str, XmlError> {
        let number = self.value.trim().parse().map_err(|_| XmlError)?;
        self.context.strings.get(number).ok_or(XmlError)
    }

    /// Appends the text of the value that was read last, that of `cell`.
    fn show(&self, cell: SheetCell, text: &mut String) -> Result<(), XmlError> {
        let context = self.context;
        match cell.cell_type {
            CellType::Shared if self.value.is_empty() => {}
            CellType::Shared => text.push_str(self.shared()?),
            CellType::Inline | CellType::Plain { .. } => text.push_str(&self.value),
            CellType::Bool => text.push_str(match self.value.trim() {
                "" => "",
                "0" | "false" => "FALSE",
                _ => "TRUE",
            }),
            CellType::Number => {
                let format = context.formats.get(cell.style).copied().unwrap_or_default();
                number::write(self.value.trim(), format, context.is_1904, text);
            }
        }
        Ok(())
    }
}

impl CellType {
    fn of(element: &BytesStart<'_>) -> Result<Self, XmlError> {
        Ok(match attribute(element, "t")?.as_deref() {
            Some("s") => Self::Shared,
            Some("inlineStr") => Self::Inline,
            Some("b") => Self::Bool,
            Some("str") => Self::Plain { is_text: true },
            Some("e" | "d") => Self::Plain { is_text: false },
            _ => Self::Number,
        })
    }

    fn is_text(self) -> bool {
        matches!(self, Self::Shared | Self::Inline | Self::Plain { is_text: true })
    }
}

fn style_of(element: &BytesStart<'_>) -> Result<usize, XmlError> {
    Ok(attribute(element, "s")?.and_then(|style| style.parse().ok()).unwrap_or(0))
}

/// The row and column of a place such as `AB12`, from 0.
fn place_of(place: &str) -> Option<(u32, u32)> {
    let letters = place.bytes().take_while(u8::is_ascii_alphabetic).count();
    let (letters, digits) = place.split_at_checked(letters)?;
    if letters.is_empty() || letters.len() > 3 {
        return None;
    }
    let digit = |letter: u8| u32::from(letter.to_ascii_uppercase() - b'A') + 1;
    let column = letters.bytes().fold(0, |column, letter| column * 26 + digit(letter));
    let row: u32 = digits.parse().ok()?;
    Some((row.checked_sub(1)?, column - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        for (place, row_and_column) in [
            ("A1", Some((0, 0))),
            ("Z10", Some((9, 25))),
            ("AA1", Some((0, 26))),
            ("XFD1048576", Some((ROWS - 1, COLUMNS - 1))),
            ("A0", None),
            ("1", None),
            ("A", None),
            ("ABCD1", None),
            ("A-1", None),
            ("é1", None),
        ] {
            assert_eq!(place_of(place), row_and_column, "{place}");
        }
    }
}
