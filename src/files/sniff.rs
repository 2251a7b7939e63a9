//! Recognises binary files by the signature in their first bytes.

mod forms;

use std::fmt;

/// A kind of file that is certainly not a CSV, though it may hold one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryKind {
    Png,
    Jpeg,
    Gif,
    WebP,
    Pdf,
    /// Also the container of .xlsx, .ods and .docx.
    Zip,
    /// The container of .xls and .doc.
    OldOffice,
    Gzip,
    Bzip2,
    Xz,
    Zstandard,
    Lz4,
    Compress,
    SevenZip,
    Rar,
    Tar,
    Parquet,
    Sqlite,
    Bitmap,
    Tiff,
    Icon,
    Dbase,
    Access,
    Stata,
    Spss,
    Sas,
    NumPy,
    RData,
    Matlab,
    Hdf5,
    Avro,
    Arrow,
    Lzma,
    /// For any system.
    Program,
    Audio,
    Video,
    /// The file that macOS keeps beside another one, with its attributes; named as it with `._` before.
    AppleDouble,
    /// Text, in an encoding that hardly any program writes.
    Utf32,
}

/// Offset, bytes, kind. Contains only signatures that text cannot start with. Those of a few letters, which a header
/// may begin with (`BM`, `MZ`), are told by what follows, in `forms`.
const SIGNATURES: &[(usize, &[u8], BinaryKind)] = &[
    (0, b"\x89PNG\r\n\x1a\n", BinaryKind::Png),
    (0, b"\xff\xd8\xff", BinaryKind::Jpeg),
    (0, b"GIF87a", BinaryKind::Gif),
    (0, b"GIF89a", BinaryKind::Gif),
    (8, b"WEBPVP8", BinaryKind::WebP),
    (0, b"%PDF-", BinaryKind::Pdf),
    (0, b"PK\x03\x04", BinaryKind::Zip),
    (0, b"PK\x05\x06", BinaryKind::Zip),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", BinaryKind::OldOffice),
    (0, b"\x1f\x8b\x08", BinaryKind::Gzip),
    (4, b"1AY&SY", BinaryKind::Bzip2),
    // The end of a stream, which comes at once if it is empty; others may follow.
    (4, b"\x17rE8P\x90", BinaryKind::Bzip2),
    (0, b"\xfd7zXZ\x00", BinaryKind::Xz),
    (0, b"\x28\xb5\x2f\xfd", BinaryKind::Zstandard),
    (0, b"\x04\x22\x4d\x18", BinaryKind::Lz4),
    (0, b"\x1f\x9d", BinaryKind::Compress),
    (0, b"7z\xbc\xaf\x27\x1c", BinaryKind::SevenZip),
    (0, b"Rar!\x1a\x07", BinaryKind::Rar),
    (257, b"ustar\x00", BinaryKind::Tar),
    (257, b"ustar  \x00", BinaryKind::Tar),
    (0, b"PAR1\x15", BinaryKind::Parquet),
    (0, b"SQLite format 3\x00", BinaryKind::Sqlite),
    (0, b"II*\x00", BinaryKind::Tiff),
    (0, b"MM\x00*", BinaryKind::Tiff),
    (0, b"II+\x00\x08\x00", BinaryKind::Tiff),
    (0, b"MM\x00+\x00\x08", BinaryKind::Tiff),
    (4, b"Standard Jet DB\x00", BinaryKind::Access),
    (4, b"Standard ACE DB\x00", BinaryKind::Access),
    (0, b"<stata_dta><header>", BinaryKind::Stata),
    (0, b"$FL2@(#)", BinaryKind::Spss),
    (0, b"$FL3@(#)", BinaryKind::Spss),
    (12, b"\xc2\xea\x81\x60\xb3\x14\x11\xcf\xbd\x92\x08\x00", BinaryKind::Sas),
    (0, b"HEADER RECORD*******LIB", BinaryKind::Sas),
    (0, b"\x93NUMPY", BinaryKind::NumPy),
    (0, b"X\n\x00\x00\x00\x02", BinaryKind::RData),
    (0, b"X\n\x00\x00\x00\x03", BinaryKind::RData),
    (0, b"RDX2\nX\n\x00\x00\x00\x02", BinaryKind::RData),
    (0, b"RDX3\nX\n\x00\x00\x00\x03", BinaryKind::RData),
    (0, b"MATLAB 5.0 MAT-file", BinaryKind::Matlab),
    (0, b"MATLAB 7.3 MAT-file", BinaryKind::Matlab),
    (0, b"\x89HDF\r\n\x1a\n", BinaryKind::Hdf5),
    (0, b"ARROW1\x00\x00", BinaryKind::Arrow),
    (0, b"\x7fELF", BinaryKind::Program),
    (0, b"\xcf\xfa\xed\xfe\x07\x00\x00\x01", BinaryKind::Program),
    (0, b"\xcf\xfa\xed\xfe\x0c\x00\x00\x01", BinaryKind::Program),
    (0, b"\xca\xfe\xba\xbe\x00\x00\x00", BinaryKind::Program),
    (0, b"ID3\x03\x00", BinaryKind::Audio),
    (0, b"ID3\x04\x00", BinaryKind::Audio),
    (8, b"WAVEfmt ", BinaryKind::Audio),
    (0, b"\x1a\x45\xdf\xa3", BinaryKind::Video),
    (8, b"AVI LIST", BinaryKind::Video),
    (0, b"\x00\x05\x16\x07", BinaryKind::AppleDouble),
    // The first begins with the mark of UTF-16 too, but no text goes on with a NUL.
    (0, b"\xff\xfe\x00\x00", BinaryKind::Utf32),
    (0, b"\x00\x00\xfe\xff", BinaryKind::Utf32),
];

impl BinaryKind {
    /// How many of a file's first bytes [`BinaryKind::sniff`] examines.
    pub const HEAD_BYTES: usize = 512;

    /// The kind of a file by `head`, its first bytes; None if the file may be text.
    #[must_use]
    pub fn sniff(head: &[u8]) -> Option<Self> {
        let begins = |(at, bytes, _): &&(usize, &[u8], Self)| {
            head.get(*at..).is_some_and(|rest| rest.starts_with(bytes))
        };
        if let Some((_, _, kind)) = SIGNATURES.iter().find(begins) {
            return Some(*kind);
        }
        // A Zstandard file may begin with a frame that is skipped (RFC 8878, 3.1.2).
        if matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]) {
            return Some(Self::Zstandard);
        }
        if let Some(kind) = forms::sniff(head) {
            return Some(kind);
        }
        if is_utf32(head) {
            return Some(Self::Utf32);
        }
        // An MP4 begins with the length of its first box, which is small: a zero byte.
        (head.first() == Some(&0) && head.get(4..8) == Some(b"ftyp")).then_some(Self::Video)
    }

    /// What the file is not, behind its kind in a sentence.
    #[must_use]
    pub fn instead_of(self) -> &'static str {
        if self == Self::Utf32 { "not in UTF-8" } else { "not a CSV" }
    }

    /// What a person can do, as the beginning of a sentence.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::Utf32 => "Save it as UTF-8",
            Self::AppleDouble => "Take the file that has the same name without ._ before it",
            _ => "Save or export it as CSV",
        }
    }
}

/// Whether `head` is text in UTF-32 without a mark: every four bytes are a character, and most are ASCII.
fn is_utf32(head: &[u8]) -> bool {
    let units = head.as_chunks::<4>().0;
    let is_text = |character: fn([u8; 4]) -> u32| {
        let mut ascii = 0;
        let are_characters = units.iter().all(|unit| {
            let code = character(*unit);
            ascii += usize::from(matches!(code, 0x20..=0x7e | 0x9 | 0xa | 0xd));
            code != 0 && char::from_u32(code).is_some()
        });
        are_characters && ascii >= 2 && ascii * 2 > units.len()
    };
    is_text(u32::from_le_bytes) || is_text(u32::from_be_bytes)
}

/// The kind as part of a sentence: "This is a PNG image."
impl fmt::Display for BinaryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Png => "a PNG image",
            Self::Jpeg => "a JPEG image",
            Self::Gif => "a GIF image",
            Self::WebP => "a WebP image",
            Self::Pdf => "a PDF document",
            Self::Zip => "an Excel workbook or zip archive",
            Self::OldOffice => "an old Excel or Word document",
            Self::Gzip => "a gzip archive",
            Self::Bzip2 => "a bzip2 archive",
            Self::Xz => "an xz archive",
            Self::Zstandard => "a Zstandard archive",
            Self::Lz4 => "an LZ4 archive",
            Self::Compress => "a compress archive (.Z)",
            Self::SevenZip => "a 7-Zip archive",
            Self::Rar => "a RAR archive",
            Self::Tar => "a tar archive",
            Self::Parquet => "a Parquet file",
            Self::Sqlite => "a SQLite database",
            Self::Bitmap => "a BMP image",
            Self::Tiff => "a TIFF image",
            Self::Icon => "an icon",
            Self::Dbase => "a dBASE table (.dbf)",
            Self::Access => "an Access database",
            Self::Stata => "a Stata file",
            Self::Spss => "an SPSS file",
            Self::Sas => "a SAS file",
            Self::NumPy => "a NumPy array",
            Self::RData => "R data",
            Self::Matlab => "a MATLAB file",
            Self::Hdf5 => "an HDF5 file",
            Self::Avro => "an Avro file",
            Self::Arrow => "an Arrow file",
            Self::Lzma => "an LZMA archive",
            Self::Program => "a program",
            Self::Audio => "a sound file",
            Self::Video => "a video",
            Self::AppleDouble => "what macOS keeps beside a file (AppleDouble)",
            Self::Utf32 => "text in UTF-32",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_files_are_known_by_their_signature() {
        let sas = [[0_u8; 12].as_slice(), b"\xc2\xea\x81\x60\xb3\x14\x11\xcf\xbd\x92\x08\0\x09"].concat();
        for (head, name) in [
            (b"II*\0\x08\0\0\0".as_slice(), "a TIFF image"),
            (b"MM\0*\0\0\0\x08", "a TIFF image"),
            (b"\0\x01\0\0Standard Jet DB\0", "an Access database"),
            (b"<stata_dta><header><release>118</release>", "a Stata file"),
            (b"$FL2@(#) SPSS DATA FILE", "an SPSS file"),
            (&sas, "a SAS file"),
            (b"\x93NUMPY\x01\0", "a NumPy array"),
            (b"X\n\0\0\0\x03\0\x04", "R data"),
            (b"\x7fELF\x02\x01", "a program"),
        ] {
            assert_eq!(BinaryKind::sniff(head).map(|kind| kind.to_string()).as_deref(), Some(name));
        }
        for head in [b"II,MM\n1,2\n".as_slice(), b"X\n\0\0\0\n", b"RDX3\nX\nY\n", b"$FL,x\n"] {
            assert_eq!(BinaryKind::sniff(head), None, "{head:?}");
        }
    }
}
