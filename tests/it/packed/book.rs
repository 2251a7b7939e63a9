//! Makes workbooks for the tests.

use std::fmt::Write;

use super::pack::zip;

/// A workbook with these sheets, each its name, its state and its rows. One in the state `chart` is a chart.
pub fn workbook(sheets: &[(&str, &str, &str)], shared: &str) -> Vec<u8> {
    let (mut listed, mut related) = (String::new(), String::new());
    for (number, (name, state, _)) in sheets.iter().enumerate() {
        let is_chart = *state == "chart";
        let part = if is_chart { "chartsheet" } else { "worksheet" };
        let state = if is_chart || state.is_empty() { String::new() } else { format!(" state=\"{state}\"") };
        write!(listed, "<sheet name=\"{name}\" sheetId=\"{number}\"{state} r:id=\"s{number}\"/>").unwrap();
        let kind = format!("http://schemas.openxmlformats.org/officeDocument/2006/relationships/{part}");
        write!(
            related,
            "<Relationship Id=\"s{number}\" Type=\"{kind}\" Target=\"worksheets/s{number}.xml\"/>"
        )
        .unwrap();
    }
    for (part, target) in [("styles", "styles.xml"), ("sharedStrings", "/xl/sharedStrings.xml")] {
        write!(related, "<Relationship Id=\"{part}\" Type=\"x/{part}\" Target=\"{target}\"/>").unwrap();
    }
    let mut files = vec![
        ("[Content_Types].xml".to_owned(), "<Types/>".to_owned()),
        (
            "_rels/.rels".to_owned(),
            "<Relationships><Relationship Id=\"r\" Type=\"x/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
                .to_owned(),
        ),
        (
            "xl/workbook.xml".to_owned(),
            format!("<?xml version=\"1.0\"?><workbook xmlns:r=\"r\"><sheets>{listed}</sheets></workbook>"),
        ),
        ("xl/_rels/workbook.xml.rels".to_owned(), format!("<Relationships>{related}</Relationships>")),
        (
            "xl/styles.xml".to_owned(),
            "<styleSheet><numFmts><numFmt numFmtId=\"164\" formatCode=\"dd.mm.yyyy\"/></numFmts>\
             <cellStyleXfs><xf numFmtId=\"14\"/></cellStyleXfs>\
             <cellXfs><xf numFmtId=\"0\"/><xf numFmtId=\"164\"/><xf numFmtId=\"22\"/></cellXfs></styleSheet>"
                .to_owned(),
        ),
        (
            "xl/sharedStrings.xml".to_owned(),
            // A count that no memory can hold.
            format!("<sst uniqueCount=\"99999999999999\">{shared}</sst>"),
        ),
    ];
    for (number, (.., rows)) in sheets.iter().enumerate() {
        let sheet =
            format!("<worksheet><dimension ref=\"A1:XFD1048576\"/><sheetData>{rows}</sheetData></worksheet>");
        files.push((format!("xl/worksheets/s{number}.xml"), sheet));
    }
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    zip(&files)
}

/// Rows of cells from A1 on. What is a number is one, and all else a text.
pub fn rows(rows: &[&[&str]]) -> String {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    let cell = |text: &&str| match text.parse::<f64>() {
        Ok(_) => format!("<c><v>{text}</v></c>"),
        Err(_) => format!("<c t=\"inlineStr\"><is><t>{}</t></is></c>", escaped(text)),
    };
    let row = |cells: &&[&str]| format!("<row>{}</row>", cells.iter().map(cell).collect::<String>());
    rows.iter().map(row).collect()
}
