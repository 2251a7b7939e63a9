//! The parts of a workbook besides its sheets: which sheets it has, and how their numbers are formatted.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader, Read, Seek, SeekFrom},
    rc::Rc,
};

use quick_xml::events::Event;

use super::{
    super::{
        Packing, UnpackError,
        decoders::PackedSource,
        zip::{Archive, ZipEntry},
    },
    growth::{Growth, Metered},
    number::Format,
    xml::{Xml, XmlError, attribute},
};
use crate::csv::SheetName;

/// The most bytes of a part other than sheets and texts. Its names and formats are kept in memory.
const LARGEST_PART: u64 = 16 << 20;

/// The most sheets and the most references to parts that are kept. Excel has hardly ever had a thousand.
pub(in crate::files::unpack) const MOST_LISTED: usize = 30_000;

/// How much larger than the limit of a file a sheet may be: its XML says much more than the rows.
const SHEET_GROWTH: u64 = 4;

/// How much larger all parts together may be. The sheet that is imported is read twice.
const WHOLE_GROWTH: u64 = 3 * SHEET_GROWTH;

/// The buffer of a part's decoded bytes.
const BUFFER: usize = 64 << 10;

/// An archive with the parts of a workbook.
pub(super) struct Package<'a> {
    file: &'a File,
    /// By the lower-case paths.
    entries: HashMap<String, &'a ZipEntry>,
    /// The most bytes of the whole file.
    limit: u64,
    /// How many bytes of parts may still be read. A workbook can list the same part any number of times.
    left: Cell<u64>,
    /// How many bytes may really come out of them.
    growth: Rc<Growth>,
    /// Of the part that was opened last.
    source: RefCell<PackedSource>,
}

/// What the main part says.
#[derive(Debug, Default)]
pub(super) struct Workbook {
    /// Those with rows and columns.
    pub(super) sheets: Vec<SheetPart>,
    are_all_hidden: bool,
    pub(super) is_1904: bool,
    /// The paths of the parts by their kind, the last word of the relationship's type.
    parts: HashMap<String, String>,
}

/// The part of the archive that is a sheet.
#[derive(Debug)]
pub(super) struct SheetPart {
    pub(super) name: SheetName,
    pub(super) is_hidden: bool,
    path: String,
}

/// The most names that a sentence has.
const MOST_NAMED: usize = 10;

/// A part that another one refers to.
struct Related {
    kind: String,
    path: String,
}

/// How the reading of a list has ended.
enum Listing {
    Whole,
    /// Only its front was kept.
    TooLong,
}

impl Listing {
    fn check(&self) -> Result<(), UnpackError> {
        match self {
            Self::Whole => Ok(()),
            Self::TooLong => Err(UnpackError::WorkbookParts),
        }
    }
}

impl Workbook {
    /// Whether a person sees sheets that are hidden or not: if all are hidden, it makes no difference.
    pub(super) fn shows(&self, is_hidden: bool) -> bool {
        !is_hidden || self.are_all_hidden
    }

    /// The sheet with this name, else the first that is meant by it.
    pub(super) fn named(&self, name: &SheetName) -> Result<&SheetPart, UnpackError> {
        let exact = self.sheets.iter().find(|sheet| sheet.name == *name);
        exact
            .or_else(|| self.sheets.iter().find(|sheet| sheet.name.is_meant_by(name)))
            .ok_or_else(|| UnpackError::NoSuchSheet { name: name.clone(), listed: self.in_words() })
    }

    /// `the sheet "A"`, `the sheets "A" and "B"`, `12 sheets: "A", "B" and 10 more`.
    fn in_words(&self) -> String {
        let mut names: Vec<String> =
            self.sheets.iter().take(MOST_NAMED).map(|sheet| format!("\"{}\"", sheet.name.as_str())).collect();
        let more = self.sheets.len() - names.len();
        if more > 0 {
            names.push(format!("{more} more"));
        }
        let last = names.pop().unwrap_or_default();
        match names.as_slice() {
            [] => format!("the sheet {last}"),
            names => format!("the sheets {} and {last}", names.join(", ")),
        }
    }

    pub(super) fn part(&self, kind: &str) -> Option<&str> {
        self.parts.get(kind).map(String::as_str)
    }
}

impl<'a> Package<'a> {
    pub(super) fn new(
        file: &'a File,
        archive: &'a Archive,
        source: PackedSource,
        limit: u64,
    ) -> Result<Self, UnpackError> {
        let mut entries = HashMap::new();
        for entry in &archive.entries {
            entries.entry(entry.name.to_ascii_lowercase()).or_insert(entry);
        }
        let left = Cell::new(limit.saturating_mul(WHOLE_GROWTH));
        let growth = Rc::new(Growth::of_packed(file.metadata()?.len()));
        Ok(Self { file, entries, limit, left, growth, source: RefCell::new(source) })
    }

    fn find(&self, path: &str) -> Option<&'a ZipEntry> {
        self.entries.get(&path.to_ascii_lowercase()).copied()
    }

    /// So many bytes of a part that was opened are not read.
    pub(super) fn give_back(&self, bytes: u64) {
        self.left.set(self.left.get().saturating_add(bytes));
    }

    /// Opens the part at `path`; None if the archive has none.
    pub(super) fn open(&self, path: &str, limit: u64) -> Result<Option<Xml<'a>>, UnpackError> {
        let Some(entry) = self.find(path) else { return Ok(None) };
        if entry.bytes > limit {
            return Err(UnpackError::WorkbookMemory);
        }
        let left = self.left.get().checked_sub(entry.bytes);
        self.left.set(left.ok_or(UnpackError::TooLarge { packing: Packing::Zip, limit: self.limit })?);
        if !entry.is_part() {
            return Err(UnpackError::DamagedWorkbook);
        }
        let mut file = self.file;
        file.seek(SeekFrom::Start(entry.data_start(file)?))?;
        let source = self.source.borrow().another();
        let packed = BufReader::with_capacity(BUFFER, source.count(file.take(entry.packed_bytes)));
        let unpacked = Metered::new(entry.reader(packed)?, Rc::clone(&self.growth), source.another());
        *self.source.borrow_mut() = source;
        let part: Box<dyn BufRead + 'a> = Box::new(BufReader::with_capacity(BUFFER, unpacked));
        Ok(Some(Xml::new(part)))
    }

    pub(super) fn open_sheet(&self, sheet: &SheetPart) -> Result<Xml<'a>, UnpackError> {
        self.open(&sheet.path, self.most_sheet_bytes())?.ok_or(UnpackError::NoSheet)
    }

    /// The most bytes of a sheet.
    pub(super) fn most_sheet_bytes(&self) -> u64 {
        self.limit.saturating_mul(SHEET_GROWTH)
    }

    /// The bytes of a sheet.
    pub(super) fn bytes_of(&self, sheet: &SheetPart) -> u64 {
        self.find(&sheet.path).map_or(0, |entry| entry.bytes)
    }

    /// The packed bytes of a sheet.
    pub(super) fn packed_bytes_of(&self, sheet: &SheetPart) -> u64 {
        self.find(&sheet.path).map_or(0, |entry| entry.packed_bytes)
    }

    /// The packed bytes that were read of the part that was opened last.
    pub(super) fn read(&self) -> u64 {
        self.source.borrow().bytes()
    }

    /// What an error in the part that was opened last means.
    pub(super) fn explain(&self, _: XmlError) -> UnpackError {
        let failure = self.source.borrow().failure().or_else(|| self.growth.failure());
        failure.unwrap_or(UnpackError::DamagedWorkbook)
    }

    pub(super) fn workbook(&self) -> Result<Workbook, UnpackError> {
        let main = self.related("")?.into_values().find(|part| part.kind == "officeDocument");
        let path = main.map_or("xl/workbook.xml".to_owned(), |part| part.path);
        let Some(mut xml) = self.open(&path, LARGEST_PART)? else { return Err(UnpackError::NoSheet) };
        let mut listed = Vec::new();
        let mut workbook = Workbook::default();
        let read = |xml: &mut Xml<'_>| -> Result<Listing, XmlError> {
            while let Some(event) = xml.next()? {
                let Event::Start(element) = event else { continue };
                match element.local_name().as_ref() {
                    "workbookPr" => {
                        let is_1904 = attribute(&element, "date1904")?;
                        workbook.is_1904 |= is_1904.is_some_and(|value| matches!(&*value, "1" | "true"));
                    }
                    "sheet" => {
                        let id = attribute(&element, "id")?.unwrap_or_default().into_owned();
                        let name = attribute(&element, "name")?.unwrap_or_default();
                        let name = match name.trim() {
                            "" => SheetName::new(&format!("Sheet {}", listed.len() + 1)),
                            _ => SheetName::new(&name),
                        };
                        let is_hidden = attribute(&element, "state")?.is_some_and(|state| state != "visible");
                        if listed.len() >= MOST_LISTED {
                            return Ok(Listing::TooLong);
                        }
                        listed.push((id, name, is_hidden));
                    }
                    _ => {}
                }
            }
            Ok(Listing::Whole)
        };
        let ended = { read }(&mut xml);
        ended.map_err(|error| self.explain(error))?.check()?;
        let mut related = self.related(&path)?;
        for (id, name, is_hidden) in listed {
            // Charts on sheets of their own have no cells.
            if let Some(part) = related.remove(&id).filter(|part| part.kind == "worksheet") {
                workbook.sheets.push(SheetPart { name, is_hidden, path: part.path });
            }
        }
        workbook.are_all_hidden = workbook.sheets.iter().all(|sheet| sheet.is_hidden);
        workbook.parts = related.into_values().map(|part| (part.kind, part.path)).collect();
        Ok(workbook)
    }

    /// The parts that the part at `path` refers to, by the names of the references.
    fn related(&self, path: &str) -> Result<HashMap<String, Related>, UnpackError> {
        let (folder, name) = path.rsplit_once('/').map_or(("", path), |(folder, name)| (folder, name));
        let list = join(folder, &format!("_rels/{name}.rels"));
        let mut related = HashMap::new();
        let Some(mut xml) = self.open(&list, LARGEST_PART)? else { return Ok(related) };
        let mut read = || -> Result<Listing, XmlError> {
            while let Some(event) = xml.next()? {
                let Event::Start(element) = event else { continue };
                if element.local_name().as_ref() != "Relationship" {
                    continue;
                }
                let [id, kind, target] = ["Id", "Type", "Target"].map(|name| attribute(&element, name));
                let (Some(id), Some(kind), Some(target)) = (id?, kind?, target?) else { continue };
                if related.len() >= MOST_LISTED {
                    return Ok(Listing::TooLong);
                }
                let kind = kind.rsplit('/').next().unwrap_or_default().to_owned();
                related.insert(id.into_owned(), Related { kind, path: join(folder, &target) });
            }
            Ok(Listing::Whole)
        };
        read().map_err(|error| self.explain(error))?.check()?;
        Ok(related)
    }

    /// The formats of the cells, by the number that a cell has.
    pub(super) fn formats(&self, workbook: &Workbook) -> Result<Vec<Format>, UnpackError> {
        let mut formats = Vec::new();
        let Some(path) = workbook.part("styles") else { return Ok(formats) };
        let Some(mut xml) = self.open(path, LARGEST_PART)? else { return Ok(formats) };
        let mut custom = HashMap::new();
        let mut is_of_cells = false;
        let mut read = || -> Result<(), XmlError> {
            while let Some(event) = xml.next()? {
                match event {
                    Event::Start(element) => match element.local_name().as_ref() {
                        "numFmt" => {
                            let id = attribute(&element, "numFmtId")?.and_then(|id| id.parse::<u32>().ok());
                            let code = attribute(&element, "formatCode")?;
                            if let (Some(id), Some(code)) = (id, code) {
                                custom.insert(id, Format::of_code(&code));
                            }
                        }
                        "cellXfs" => is_of_cells = true,
                        "xf" if is_of_cells => {
                            let id =
                                attribute(&element, "numFmtId")?.and_then(|id| id.parse().ok()).unwrap_or(0);
                            formats.push(custom.get(&id).copied().unwrap_or_else(|| Format::built_in(id)));
                        }
                        _ => {}
                    },
                    Event::End(element) if element.local_name().as_ref() == "cellXfs" => is_of_cells = false,
                    _ => {}
                }
            }
            Ok(())
        };
        read().map_err(|error| self.explain(error))?;
        Ok(formats)
    }
}

/// The path of `target`, which is relative to `folder` unless it begins with a slash.
fn join(folder: &str, target: &str) -> String {
    let whole = if target.starts_with('/') { target.to_owned() } else { format!("{folder}/{target}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_found_from_their_folder() {
        assert_eq!(join("xl", "worksheets/sheet1.xml"), "xl/worksheets/sheet1.xml");
        assert_eq!(join("xl", "/xl/worksheets/sheet1.xml"), "xl/worksheets/sheet1.xml");
        assert_eq!(join("xl/a", "../styles.xml"), "xl/styles.xml");
        assert_eq!(join("", "xl/workbook.xml"), "xl/workbook.xml");
        assert_eq!(join("", "../../etc/passwd"), "etc/passwd");
    }
}
