//! A zip (PKWARE's APPNOTE 6.3.10) that is sent while it is written, so that it takes no disk space, and memory only
//! for the list of its files.
//!
//! Written here like the zips that we read (`unpack/zip.rs`): flate2, which is here already, does the compression and
//! the checksum, and the libraries for the few records around them bring many others.

use std::{
    io::{self, Write},
    mem,
};

use bytes::Bytes;
use flate2::{Compression, Crc, write::DeflateEncoder};
use jiff::{Timestamp, Zoned, tz::TimeZone};

use crate::base::time::UnixMillis;

/// The version of the format that readers need: 4.5, for Zip64.
const VERSION: u16 = 45;
/// Made on Unix, whose file modes the list has.
const MADE_BY: u16 = (3 << 8) | VERSION;
/// Checksum and sizes follow the bytes (bit 3), and names are UTF-8 (bit 11).
const FLAGS: u16 = (1 << 3) | (1 << 11);
const DEFLATED: u16 = 8;
/// A regular file that its owner may write and everybody may read.
const MODE: u32 = 0o100_644 << 16;
/// In a field of 32 or 16 bits: the number is in a field of Zip64.
const ELSEWHERE: u32 = u32::MAX;
const ELSEWHERE_16: u16 = u16::MAX;

/// A zip of any size, whose bytes are taken while it is written.
#[derive(Debug, Default)]
pub struct ZipStream {
    /// The written bytes that were not taken yet.
    untaken: Vec<u8>,
    /// How many bytes were written.
    written: u64,
    open: Option<OpenFile>,
    list: Vec<Listed>,
}

/// The file that is being written.
#[derive(Debug)]
struct OpenFile {
    listed: Listed,
    encoder: DeflateEncoder<Vec<u8>>,
    crc: Crc,
}

/// A file in the list at the end.
#[derive(Debug)]
struct Listed {
    name: String,
    time: u16,
    date: u16,
    crc: u32,
    packed_bytes: u64,
    bytes: u64,
    header_at: u64,
}

impl ZipStream {
    /// Begins a file, and ends the one before. `name` has `/` between folders, and at most 65,535 bytes.
    pub fn begin(&mut self, name: &str, modified_at: UnixMillis) -> io::Result<()> {
        self.end_file()?;
        let length = u16::try_from(name.len()).map_err(io::Error::other)?;
        let (date, time) = dos_time(modified_at);
        let header_at = self.written;
        self.put(b"PK\x03\x04");
        self.numbers(&[VERSION, FLAGS, DEFLATED, time, date]);
        // Checksum and sizes come later; the field of Zip64 announces sizes of 64 bits.
        self.put(&[[0; 4], ELSEWHERE.to_le_bytes(), ELSEWHERE.to_le_bytes()].concat());
        self.numbers(&[length, 4 + 16]);
        self.put(name.as_bytes());
        self.numbers(&[1, 16]);
        self.put(&[0; 16]);
        let listed =
            Listed { name: name.to_owned(), time, date, crc: 0, packed_bytes: 0, bytes: 0, header_at };
        // The fastest level: a CSV becomes several times smaller, and is packed about as fast as it is sent.
        let encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        self.open = Some(OpenFile { listed, encoder, crc: Crc::new() });
        Ok(())
    }

    /// Adds bytes to the file that began last. Compresses them, which blocks.
    pub fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Err(io::Error::other("no file has begun")) };
        open.encoder.write_all(bytes)?;
        open.crc.update(bytes);
        open.listed.bytes += bytes.len() as u64;
        let packed = mem::take(open.encoder.get_mut());
        open.listed.packed_bytes += packed.len() as u64;
        self.put(&packed);
        Ok(())
    }

    /// The bytes of the zip that were written since the last call.
    #[must_use]
    pub fn take(&mut self) -> Bytes {
        mem::take(&mut self.untaken).into()
    }

    /// Ends the zip, and returns its last bytes.
    pub fn finish(mut self) -> io::Result<Bytes> {
        self.end_file()?;
        let list_at = self.written;
        let list = mem::take(&mut self.list);
        let is_large = |listed: &Listed| {
            [listed.packed_bytes, listed.bytes, listed.header_at].iter().any(|it| *it >= ELSEWHERE.into())
        };
        for listed in &list {
            self.put(b"PK\x01\x02");
            self.numbers(&[MADE_BY, VERSION, FLAGS, DEFLATED, listed.time, listed.date]);
            self.put(&listed.crc.to_le_bytes());
            let large = is_large(listed).then_some([listed.bytes, listed.packed_bytes, listed.header_at]);
            let short = |number: u64| if large.is_some() { ELSEWHERE } else { number as u32 };
            let [packed_bytes, bytes, header_at] =
                [listed.packed_bytes, listed.bytes, listed.header_at].map(|it| short(it).to_le_bytes());
            self.put(&[packed_bytes, bytes].concat());
            // The name's length was checked when the file began.
            self.numbers(&[listed.name.len() as u16, if large.is_some() { 4 + 24 } else { 0 }, 0, 0, 0]);
            self.put(&[MODE.to_le_bytes(), header_at].concat());
            self.put(listed.name.as_bytes());
            if let Some(large) = large {
                self.numbers(&[1, 24]);
                self.put(&large.map(u64::to_le_bytes).concat());
            }
        }
        let list_bytes = self.written - list_at;
        self.end(list.len() as u64, list_bytes, list_at);
        Ok(self.take())
    }

    /// The records behind the list.
    fn end(&mut self, files: u64, list_bytes: u64, list_at: u64) {
        let is_large =
            files >= ELSEWHERE_16.into() || [list_bytes, list_at].iter().any(|it| *it >= ELSEWHERE.into());
        if is_large {
            let end_at = self.written;
            self.put(b"PK\x06\x06");
            // The length of the rest of this record.
            self.put(&44_u64.to_le_bytes());
            self.numbers(&[MADE_BY, VERSION]);
            self.put(&[0; 8]);
            self.put(&[files, files, list_bytes, list_at].map(u64::to_le_bytes).concat());
            self.put(b"PK\x06\x07");
            self.put(&[0; 4]);
            self.put(&end_at.to_le_bytes());
            self.put(&1_u32.to_le_bytes());
        }
        let files = if is_large { ELSEWHERE_16 } else { files as u16 };
        let short = |number: u64| if is_large { ELSEWHERE } else { number as u32 };
        self.put(b"PK\x05\x06");
        self.numbers(&[0, 0, files, files]);
        self.put(&[short(list_bytes).to_le_bytes(), short(list_at).to_le_bytes()].concat());
        self.numbers(&[0]);
    }

    fn end_file(&mut self) -> io::Result<()> {
        let Some(OpenFile { mut listed, encoder, crc }) = self.open.take() else { return Ok(()) };
        let rest = encoder.finish()?;
        listed.packed_bytes += rest.len() as u64;
        listed.crc = crc.sum();
        self.put(&rest);
        self.put(b"PK\x07\x08");
        self.put(&listed.crc.to_le_bytes());
        self.put(&[listed.packed_bytes, listed.bytes].map(u64::to_le_bytes).concat());
        self.list.push(listed);
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) {
        self.untaken.extend_from_slice(bytes);
        self.written += bytes.len() as u64;
    }

    fn numbers(&mut self, numbers: &[u16]) {
        for number in numbers {
            self.put(&number.to_le_bytes());
        }
    }
}

/// Date and time in UTC, to two seconds. A zip has no time zone, and begins in 1980.
fn dos_time(at: UnixMillis) -> (u16, u16) {
    let at: Zoned = Timestamp::from_millisecond(at.0).unwrap_or_default().to_zoned(TimeZone::UTC);
    let number = |part: i8| u16::try_from(part).unwrap_or(0);
    let year = u16::try_from(at.year()).unwrap_or(0).saturating_sub(1980).min(127);
    (
        (year << 9) | (number(at.month()) << 5) | number(at.day()),
        (number(at.hour()) << 11) | (number(at.minute()) << 5) | (number(at.second()) / 2),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_bytes_are_taken_once_and_compressed() {
        let (mut zip, block) = (ZipStream::default(), "1,two,3\r\n".repeat(10_000));
        let mut sent = 0;
        zip.begin("orders.csv", UnixMillis(0)).unwrap();
        for _ in 0..50 {
            zip.add(block.as_bytes()).unwrap();
            sent += zip.take().len();
            assert!(zip.untaken.is_empty());
        }
        sent += zip.finish().unwrap().len();
        assert!((1_000..500_000).contains(&sent), "{sent} bytes");
    }

    #[test]
    fn times_are_those_of_dos() {
        let at = UnixMillis::from_rfc3339("2026-11-23T20:43:26Z").unwrap();
        assert_eq!(dos_time(at), ((46 << 9) | (11 << 5) | 23, (20 << 11) | (43 << 5) | 13));
        assert_eq!(dos_time(UnixMillis(0)).0 >> 9, 0, "before 1980");
    }
}
