//! Workbooks that are made for one test each.

use std::io::Write;

use flate2::Crc;
use tokio::sync::mpsc;

use super::*;

/// A zip archive of `files`, as they are.
fn zip(files: &[(&str, &str)]) -> File {
    let (mut archive, mut list): (Vec<u8>, Vec<u8>) = (Vec::new(), Vec::new());
    for (name, text) in files {
        let mut crc = Crc::new();
        crc.update(text.as_bytes());
        let mut fields: Vec<u8> = Vec::new();
        for number in [20_u16, 0, 0, 0, 0] {
            fields.extend(number.to_le_bytes());
        }
        for number in [crc.sum(), text.len() as u32, text.len() as u32] {
            fields.extend(number.to_le_bytes());
        }
        fields.extend((name.len() as u16).to_le_bytes());
        fields.extend([0, 0]);
        let at = archive.len() as u32;
        archive.extend([&b"PK\x03\x04"[..], &fields, name.as_bytes(), text.as_bytes()].concat());
        let listed = [&b"PK\x01\x02\x14\0"[..], &fields, &[0; 10], &at.to_le_bytes(), name.as_bytes()];
        list.extend(listed.concat());
    }
    let (at, length, count) = (archive.len() as u32, list.len() as u32, files.len() as u16);
    archive.extend(list);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    archive.extend([length.to_le_bytes(), at.to_le_bytes()].concat());
    archive.extend([0, 0]);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&archive).unwrap();
    file
}

fn relationships(listed: &str) -> String {
    format!("<Relationships>{listed}</Relationships>")
}

#[test]
fn a_list_of_too_many_sheets_or_parts_is_not_kept() {
    let listed = |sheets: usize, related: usize| {
        let sheets = "<sheet id=\"s\"/>".repeat(sheets);
        let related: String = (0..related)
            .map(|number| format!("<Relationship Id=\"{number}\" Type=\"worksheet\" Target=\"s.xml\"/>"))
            .collect();
        let file = zip(&[
            ("xl/workbook.xml", &format!("<workbook><sheets>{sheets}</sheets></workbook>")),
            ("xl/_rels/workbook.xml.rels", &relationships(&related)),
        ]);
        let archive = Archive::read(&file).unwrap();
        let (send, _receive) = mpsc::channel(1);
        let package = Package::new(&file, &archive, PackedSource::new(send), u64::MAX).unwrap();
        package.workbook().map(|_| ())
    };
    assert!(listed(MOST_LISTED, MOST_LISTED).is_ok());
    assert!(matches!(listed(MOST_LISTED + 1, 1), Err(UnpackError::WorkbookParts)));
    assert!(matches!(listed(1, MOST_LISTED + 1), Err(UnpackError::WorkbookParts)));
}

#[test]
fn a_cell_has_content_if_its_text_is_not_empty() {
    let cells = "<c t=\"s\"><v>0</v></c><c t=\"s\"><v>1</v></c><c t=\"s\"/><c t=\"b\"><v>1</v></c><c t=\"b\"><v> </v></c>\
                 <c t=\"inlineStr\"><is><t>a</t></is></c><c t=\"inlineStr\"><is/></c><c t=\"str\"><v>b</v></c>\
                 <c t=\"str\"/><c t=\"e\"><v>#N/A</v></c><c><v>1</v></c><c><v> </v></c><c><v>-</v></c><c/>";
    let texts = ["shared", "", "", "TRUE", "", "a", "", "b", "", "#N/A", "1", "", "-", ""];
    let file = zip(&[
        ("xl/workbook.xml", "<workbook><sheets><sheet id=\"s\"/></sheets></workbook>"),
        (
            "xl/_rels/workbook.xml.rels",
            &relationships(
                "<Relationship Id=\"s\" Type=\"worksheet\" Target=\"s.xml\"/>\
                 <Relationship Id=\"t\" Type=\"sharedStrings\" Target=\"t.xml\"/>",
            ),
        ),
        ("xl/s.xml", &format!("<worksheet><sheetData><row>{cells}</row></sheetData></worksheet>")),
        ("xl/t.xml", "<sst><si><t>shared</t></si><si><t/></si></sst>"),
    ]);
    let archive = Archive::read(&file).unwrap();
    let (send, _receive) = mpsc::channel(1);
    let package = Package::new(&file, &archive, PackedSource::new(send), u64::MAX).unwrap();
    let workbook = package.workbook().unwrap();
    let strings = Strings::read(&package, &workbook, || Err(UnpackError::Stopped)).unwrap();
    let context = CellContext { strings: &strings, formats: &[], is_1904: false };
    let mut read = Cells::open(&package, &workbook.sheets[0], &context).unwrap();
    let mut text = String::new();
    for expected in texts {
        let cell = read.next(&mut text).unwrap().unwrap();
        assert_eq!((text.as_str(), cell.is_filled), (expected, !expected.is_empty()));
    }
    assert!(read.next(&mut text).unwrap().is_none());
}
