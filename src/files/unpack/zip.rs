//! Zip archives (PKWARE's APPNOTE 6.3.10): the list of entries at the end of the file, and the bytes of one.
//!
//! Read here instead of by a library, because the list of an archive from a stranger may be as long as the file,
//! and libraries keep all of it in memory.

use std::{
    fs::File,
    io::{self, BufRead, ErrorKind, Read, Seek, SeekFrom},
};

use flate2::Crc;
use memchr::memmem;

use super::{Packing, UnpackError, decoders};
use crate::files::FileName;

/// The longest list of entries that is read, in bytes: more than 100,000 entries.
const LONGEST_LIST: u64 = 8 << 20;

/// The most names that a sentence has, and the most characters of each.
const MOST_NAMES: usize = 3;
const LONGEST_NAME: usize = 40;

/// The length of the record at the end without its comment, and of the longest comment.
const END_BYTES: u64 = 22;
const LONGEST_COMMENT: u64 = 0xffff;

/// The lengths of the records of Zip64 at the end.
const LOCATOR_BYTES: usize = 20;
const LARGE_END_BYTES: u64 = 56;

const STORED: u16 = 0;
const DEFLATED: u16 = 8;
const BZIP2: u16 = 12;
const ZSTANDARD: u16 = 93;
const XZ: u16 = 95;

/// The list of an archive's entries.
#[derive(Debug)]
pub(super) struct Archive {
    pub(super) entries: Vec<ZipEntry>,
}

#[derive(Clone, Debug)]
pub(super) struct ZipEntry {
    pub(super) name: String,
    pub(super) packed_bytes: u64,
    pub(super) bytes: u64,
    flags: u16,
    method: u16,
    crc: u32,
    /// The position of the entry's own header.
    header_at: u64,
}

/// Reads numbers from the bytes of a record, least byte first. What lies outside reads as 0.
struct ZipRecord<'b>(&'b [u8]);

impl ZipRecord<'_> {
    fn number(&self, at: usize, bytes: usize) -> u64 {
        let bytes = self.0.get(at..at + bytes).unwrap_or_default();
        bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn u16(&self, at: usize) -> u16 {
        self.number(at, 2) as u16
    }
}

const DAMAGED: UnpackError = UnpackError::Damaged(Packing::Zip);

impl Archive {
    /// Reads the list of entries.
    pub(super) fn read(file: &File) -> Result<Self, UnpackError> {
        let size = file.metadata()?.len();
        let tail_bytes = size.min(END_BYTES + LONGEST_COMMENT);
        let tail_at = size - tail_bytes;
        let tail = read_at(file, tail_at, tail_bytes)?;
        let end = memmem::rfind_iter(&tail, b"PK\x05\x06").find(|at| {
            let record = ZipRecord(&tail[*at..]);
            let length = END_BYTES as usize + usize::from(record.u16(20));
            record.0.len() >= length
        });
        // A download that was cut off lacks the list.
        let Some(end) = end else { return Err(UnpackError::CutOff(Packing::Zip)) };
        let record = ZipRecord(&tail[end..]);
        let mut list_ends_at = tail_at + end as u64;
        let (mut count, mut length, mut at) =
            (record.number(10, 2), record.number(12, 4), record.number(16, 4));
        // Zip64: a locator in front of the record says where the larger one is, which stands in front of the locator.
        // Some programs write both for small archives too.
        if let Some(locator) = end.checked_sub(LOCATOR_BYTES).map(|at| ZipRecord(&tail[at..]))
            && locator.0.starts_with(b"PK\x06\x07")
        {
            let before = list_ends_at.checked_sub(LOCATOR_BYTES as u64 + LARGE_END_BYTES);
            for large_at in [Some(locator.number(8, 8)), before].into_iter().flatten() {
                let Ok(large) = read_at(file, large_at, LARGE_END_BYTES) else { continue };
                let large = ZipRecord(&large);
                if large.0.starts_with(b"PK\x06\x06") {
                    (count, length, at) = (large.number(32, 8), large.number(40, 8), large.number(48, 8));
                    list_ends_at = large_at;
                    break;
                }
            }
        }
        if length > LONGEST_LIST {
            return Err(UnpackError::SeveralFiles { count, names: "…".to_owned() });
        }
        // What stands before the archive, such as a program that unpacks it, shifts all positions.
        let shift = list_ends_at.checked_sub(length).and_then(|begins| begins.checked_sub(at));
        let shift = shift.ok_or(DAMAGED)?;
        let list = read_at(file, at.saturating_add(shift), length)?;
        let mut entries = Vec::new();
        let mut rest = list.as_slice();
        while rest.starts_with(b"PK\x01\x02") {
            let Some((entry, behind)) = ZipEntry::read(rest, shift) else { return Err(DAMAGED) };
            entries.push(entry);
            rest = behind;
        }
        // An archive of 65,536 files and more without the larger record has the number's rest.
        if entries.len() as u64 % 0x1_0000 != count % 0x1_0000 {
            return Err(DAMAGED);
        }
        Ok(Self { entries })
    }

    /// The archive's only file. Folders and what macOS and Windows add by themselves do not count.
    pub(super) fn only_file(&self) -> Result<&ZipEntry, UnpackError> {
        if let Some(kind) = self.document() {
            return Err(UnpackError::Document(kind));
        }
        let files: Vec<&ZipEntry> = self.entries.iter().filter(|entry| entry.is_file()).collect();
        match files[..] {
            [] => Err(UnpackError::NoFile),
            [file] => Ok(file),
            _ => {
                let shown = files.iter().take(MOST_NAMES).map(|file| shortened(&file.name));
                let mut names = shown.collect::<Vec<_>>().join(", ");
                if files.len() > MOST_NAMES {
                    names.push_str(", …");
                }
                Err(UnpackError::SeveralFiles { count: files.len() as u64, names })
            }
        }
    }

    pub(super) fn find(&self, name: &str) -> Option<&ZipEntry> {
        self.entries.iter().find(|entry| entry.name.eq_ignore_ascii_case(name))
    }

    /// What the archive is, if it is a document of another program.
    fn document(&self) -> Option<&'static str> {
        let begins = |folder: &str| self.entries.iter().any(|entry| entry.name.starts_with(folder));
        if self.find("xl/workbook.bin").is_some() {
            Some("a binary Excel workbook (.xlsb)")
        } else if begins("word/") {
            Some("a Word document")
        } else if begins("ppt/") {
            Some("a PowerPoint presentation")
        } else if self.find("[Content_Types].xml").is_some() {
            Some("an Office document")
        } else if begins("Index/") && begins("Metadata/") {
            Some("an Apple Numbers, Pages or Keynote document")
        } else if self.find("mimetype").is_some() && self.find("META-INF/manifest.xml").is_some() {
            Some("an OpenDocument file, such as a LibreOffice spreadsheet")
        } else if self.find("META-INF/container.xml").is_some() {
            Some("an e-book")
        } else {
            None
        }
    }
}

impl ZipEntry {
    /// The entry at the front of `list`, and the rest of the list.
    fn read(list: &[u8], shift: u64) -> Option<(Self, &[u8])> {
        let record = ZipRecord(list);
        let [name, extra, comment] = [28, 30, 32].map(|at| usize::from(record.u16(at)));
        let flags = record.u16(8);
        let rest = list.get(46..)?;
        let (name, rest) = rest.split_at_checked(name)?;
        let (extra, rest) = rest.split_at_checked(extra)?;
        let rest = rest.get(comment..)?;
        let mut numbers = [record.number(24, 4), record.number(20, 4), record.number(42, 4)];
        if numbers.contains(&0xffff_ffff) {
            large_numbers(extra, &mut numbers);
        }
        let [bytes, packed_bytes, header_at] = numbers;
        let entry = Self {
            name: String::from_utf8_lossy(name).replace('\\', "/"),
            packed_bytes,
            bytes,
            flags,
            method: record.u16(10),
            crc: record.number(16, 4) as u32,
            header_at: header_at.checked_add(shift)?,
        };
        Some((entry, rest))
    }

    fn is_file(&self) -> bool {
        let last = self.name.rsplit('/').next().unwrap_or_default();
        let is_of_macos = self.name.split('/').any(|part| part == "__MACOSX") || last.starts_with("._");
        let is_of_a_folder = matches!(last, ".DS_Store" | "Thumbs.db" | "desktop.ini");
        !last.is_empty() && !is_of_macos && !is_of_a_folder
    }

    /// The position of the entry's packed bytes, after its own header.
    pub(super) fn data_start(&self, file: &File) -> Result<u64, UnpackError> {
        if self.flags & 1 == 1 {
            return Err(UnpackError::Encrypted);
        }
        let header = read_at(file, self.header_at, 30)?;
        let record = ZipRecord(&header);
        if !record.0.starts_with(b"PK\x03\x04") {
            return Err(DAMAGED);
        }
        let names = u64::from(record.u16(26)) + u64::from(record.u16(28));
        self.header_at.checked_add(30 + names).ok_or(DAMAGED)
    }

    /// Whether it is packed as the parts of Office documents are (ECMA-376, part 2), whose decoder needs little memory.
    pub(super) fn is_part(&self) -> bool {
        matches!(self.method, STORED | DEFLATED)
    }

    /// As [`Packing::remembers_much`].
    pub(super) fn remembers_much(&self) -> bool {
        matches!(self.method, ZSTANDARD | XZ)
    }

    /// Reads the entry's bytes from its packed ones.
    pub(super) fn reader<'r>(&self, packed: impl BufRead + 'r) -> Result<Box<dyn Read + 'r>, UnpackError> {
        let inner: Box<dyn Read> = match self.method {
            STORED => Box::new(packed),
            DEFLATED => decoders::deflate(packed),
            BZIP2 => decoders::reader(Packing::Bzip2, packed),
            ZSTANDARD => decoders::reader(Packing::Zstandard, packed),
            XZ => decoders::reader(Packing::Xz, packed),
            _ => return Err(UnpackError::Method),
        };
        Ok(Box::new(Checked { inner, crc: Crc::new(), expected: self.crc, left: self.bytes }))
    }
}

/// Replaces the numbers that are all ones by those in the Zip64 field, which has only those, in this order.
fn large_numbers(mut extra: &[u8], numbers: &mut [u64; 3]) {
    while extra.len() >= 4 {
        let record = ZipRecord(extra);
        let (kind, length) = (record.u16(0), usize::from(record.u16(2)));
        if kind == 1 {
            let mut at = 4;
            for number in numbers.iter_mut().filter(|number| **number == 0xffff_ffff) {
                *number = record.number(at, 8);
                at += 8;
            }
            return;
        }
        extra = extra.get(4 + length..).unwrap_or_default();
    }
}

/// Checks length and check sum at the end, and reads no byte beyond the length.
struct Checked<R> {
    inner: R,
    crc: Crc,
    expected: u32,
    left: u64,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            let is_right = self.left > 0 || self.crc.sum() == self.expected;
            return if is_right { Ok(0) } else { Err(ErrorKind::InvalidData.into()) };
        }
        let read = self.inner.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.crc.update(&buffer[..read]);
        self.left -= read as u64;
        Ok(read)
    }
}

/// `bytes` of `file` from `at` on. Positions beyond its end mean that the archive is damaged.
fn read_at(mut file: &File, at: u64, bytes: u64) -> Result<Vec<u8>, UnpackError> {
    let mut read = Vec::new();
    file.seek(SeekFrom::Start(at)).map_err(|_| DAMAGED)?;
    file.take(bytes).read_to_end(&mut read)?;
    if read.len() as u64 == bytes { Ok(read) } else { Err(DAMAGED) }
}

/// A file's name for a sentence.
fn shortened(name: &str) -> String {
    let name = FileName::from_client(name).to_string();
    match name.char_indices().nth(LONGEST_NAME) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name,
    }
}
