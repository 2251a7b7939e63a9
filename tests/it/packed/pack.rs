//! Packs bytes for the tests.

use std::io::{self, Read, Write};

use flate2::{Compression, Crc, write::GzEncoder};
use lzma_rust2::{XzOptions, XzWriter};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

/// A packing without a list of files.
#[derive(Clone, Copy, Debug)]
pub enum Packed {
    Gzip,
    Zstandard,
    Bzip2,
    Xz,
}

impl Packed {
    pub const ALL: [Self; 4] = [Self::Gzip, Self::Zstandard, Self::Bzip2, Self::Xz];

    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip archive",
            Self::Zstandard => "Zstandard archive",
            Self::Bzip2 => "bzip2 archive",
            Self::Xz => "xz archive",
        }
    }

    pub fn extension(self) -> &'static str {
        match self {
            Self::Gzip => "gz",
            Self::Zstandard => "zst",
            Self::Bzip2 => "bz2",
            Self::Xz => "xz",
        }
    }

    pub fn pack(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Gzip => gzip(bytes),
            Self::Zstandard => compress_to_vec(bytes, CompressionLevel::Fastest),
            Self::Bzip2 => {
                let mut packed = Vec::new();
                let mut encoder = bzip2::read::BzEncoder::new(bytes, bzip2::Compression::fast());
                encoder.read_to_end(&mut packed).unwrap();
                packed
            }
            Self::Xz => {
                let mut encoder = XzWriter::new(Vec::new(), XzOptions::with_preset(1)).unwrap();
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
        }
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// So many times 64 MiB of zeros, each a member that is packed as well as gzip can. Packing them all would take a minute.
pub fn zeros_gzip(members: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    io::copy(&mut io::repeat(0).take(64 << 20), &mut encoder).unwrap();
    encoder.finish().unwrap().repeat(members)
}

/// A zip archive of `files`; those of more than 100 bytes are compressed.
pub fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut archive, mut list) = (Vec::new(), Vec::new());
    for (name, bytes) in files {
        let mut crc = Crc::new();
        crc.update(bytes);
        let (method, packed) = if bytes.len() > 100 {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(bytes).unwrap();
            (8_u16, encoder.finish().unwrap())
        } else {
            (0, bytes.to_vec())
        };
        let at = archive.len() as u32;
        let mut fields = Vec::new();
        for number in [20, 0x800, method, 0, 0] {
            fields.extend(number.to_le_bytes());
        }
        for number in [crc.sum(), packed.len() as u32, bytes.len() as u32] {
            fields.extend(number.to_le_bytes());
        }
        fields.extend((name.len() as u16).to_le_bytes());
        fields.extend([0, 0]);
        archive.extend(b"PK\x03\x04");
        archive.extend(&fields);
        archive.extend(name.as_bytes());
        archive.extend(packed);
        list.extend(b"PK\x01\x02\x14\0");
        list.extend(&fields);
        list.extend([0; 10]);
        list.extend(at.to_le_bytes());
        list.extend(name.as_bytes());
    }
    let at = archive.len() as u32;
    let count = files.len() as u16;
    archive.extend(&list);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    archive.extend((list.len() as u32).to_le_bytes());
    archive.extend(at.to_le_bytes());
    archive.extend([0, 0]);
    archive
}
