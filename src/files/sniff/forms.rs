//! Binary files whose first bytes text may have too. They are told by several fields of their headers, most of which
//! have bytes that no text has there.

use memchr::memmem;

use super::BinaryKind;

type HasForm = fn(&[u8]) -> bool;

/// The kind of a file by the form of `head`, its first bytes.
pub(super) fn sniff(head: &[u8]) -> Option<BinaryKind> {
    let forms: [(HasForm, BinaryKind); 7] = [
        (is_bitmap, BinaryKind::Bitmap),
        (is_icon, BinaryKind::Icon),
        (is_windows_program, BinaryKind::Program),
        (is_dbase, BinaryKind::Dbase),
        (is_old_stata, BinaryKind::Stata),
        (is_avro, BinaryKind::Avro),
        (is_lzma, BinaryKind::Lzma),
    ];
    forms.into_iter().find(|(is_of, _)| is_of(head)).map(|(_, kind)| kind)
}

/// `BM`, the file's size, four zero bytes, where the picture begins, the size of one of the known headers.
fn is_bitmap(head: &[u8]) -> bool {
    let is_known = |size: u32| matches!(size, 12 | 40 | 52 | 56 | 64 | 108 | 124);
    head.starts_with(b"BM") && head.get(6..10) == Some(&[0; 4]) && number(head, 14).is_some_and(is_known)
}

/// An icon or a cursor: one to 255 pictures. The first has a zero byte behind its size.
fn is_icon(head: &[u8]) -> bool {
    matches!(head, [0, 0, 1 | 2, 0, 1..=255, 0, _, _, _, 0, ..])
}

/// `MZ`, and `PE` where byte 60 says.
fn is_windows_program(head: &[u8]) -> bool {
    let at = number(head, 60).and_then(|at| usize::try_from(at).ok());
    let rest = at.and_then(|at| head.get(at..)).unwrap_or_default();
    head.starts_with(b"MZ") && rest.starts_with(b"PE\0\0")
}

/// A version, the date of the last change, the length of the header, and a column with a name and a type.
fn is_dbase(head: &[u8]) -> bool {
    const VERSIONS: &[u8] = b"\x02\x03\x30\x31\x32\x43\x63\x83\x8b\x8c\xcb\xf5\xfb";
    let (Some([version, _, month, day]), Some(column)) = (head.get(..4), head.get(32..64)) else {
        return false;
    };
    let header = u16::from_le_bytes([head[8], head[9]]);
    let name = column[..11].split(|byte| *byte == 0).next().unwrap_or_default();
    VERSIONS.contains(version)
        && *month <= 12
        && *day <= 31
        && header > 64
        // Reserved.
        && head[30..32] == [0, 0]
        && !name.is_empty()
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        && b"CNDLMFBGPQTVWIYX@O+0".contains(&column[11])
}

/// A version before 13 (format 102 to 115), the order of bytes, and that it is data.
fn is_old_stata(head: &[u8]) -> bool {
    matches!(head, [102..=115, 1 | 2, 1, 0, ..])
}

/// Metadata, among them the schema.
fn is_avro(head: &[u8]) -> bool {
    head.starts_with(b"Obj\x01") && memmem::find(head, b"avro.").is_some()
}

/// What most programs write: the usual properties, the size of the dictionary, and that of the content or that it is
/// unknown.
fn is_lzma(head: &[u8]) -> bool {
    let size = head.get(5..13);
    head.starts_with(b"\x5d\0\0")
        && number(head, 1).is_some_and(u32::is_power_of_two)
        && size.is_some_and(|size| size.iter().all(|byte| *byte == 0xff) || size.ends_with(&[0; 3]))
}

/// The number of four bytes at `at`, the lowest byte first.
fn number(head: &[u8], at: usize) -> Option<u32> {
    head.get(at..)?.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `front` and zero bytes, with `bytes` at `at`.
    fn head(front: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut head = front.to_vec();
        head.resize(512, 0);
        head[at..at + bytes.len()].copy_from_slice(bytes);
        head
    }

    #[test]
    fn several_fields_tell_a_form() {
        let dbase = head(b"\x03\x7c\x01\x0f\x02\0\0\0\x41\0\x0b\0", 32, b"NAME\0\0\0\0\0\0\0C");
        let mut program = head(b"MZ\x90\0\x03", 60, b"\x80");
        program[128..132].copy_from_slice(b"PE\0\0");
        for (head, name) in [
            (head(b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28", 18, b"\x02"), "a BMP image"),
            (head(b"\0\0\x01\0\x01\0\x10\x10\0\0\x01\0\x20", 14, b"\x68"), "an icon"),
            (program, "a program"),
            (dbase, "a dBASE table (.dbf)"),
            (head(b"\x72\x02\x01\0", 4, b"\x02"), "a Stata file"),
            (head(b"Obj\x01\x04\x16", 6, b"avro.schema"), "an Avro file"),
            (head(b"\x5d\0\0\x80\0", 5, &[0xff; 8]), "an LZMA archive"),
            (head(b"\x5d\0\0\x80\0", 5, b"\x10\x27"), "an LZMA archive"),
        ] {
            assert_eq!(BinaryKind::sniff(&head).map(|kind| kind.to_string()).as_deref(), Some(name));
        }
    }

    #[test]
    fn text_has_none_of_these_forms() {
        for head in [
            b"".as_slice(),
            b"BM",
            b"BMI,age,height,weight,name\n1,2,3,4,5\n",
            b"MZ,name\n1,this is a long line of text so that byte sixty is in the file\n",
            b"s\x01\x01\n1\x012\x013\n",
            b"Obj\x01name\n1\x012\n",
            b"]\0\0,name\0\0\0\0\0\n",
            b"\0\0\0,name\n",
        ] {
            assert_eq!(sniff(head), None, "{head:?}");
        }
    }
}
