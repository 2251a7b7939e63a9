//! Excel workbooks, from the form to the rows.

use tempfile::tempdir;

use super::{MIB, app_with_limit, book::workbook, files_in, pack::zip};
use crate::support::{
    binary::{Binary, runboard},
    spawn_app,
    visitor::Visitor,
};

pub const SHARED: &str = "<si><t>id</t></si><si><t>name, first</t></si><si><r><t>da</t></r><r><t>y</t></r>\
                      <rPh><t>furigana</t></rPh></si><si><t>Ann &amp; &quot;Bo&quot;</t></si><si><t>two_x000A_lines</t></si>";

pub const ROWS: &str = "<row r=\"2\"><c r=\"B2\" t=\"s\"><v>0</v></c><c r=\"C2\" t=\"s\"><v>1</v></c>\
                    <c r=\"D2\" t=\"s\"><v>2</v></c><c r=\"E2\" t=\"inlineStr\"><is><t>ok</t></is></c></row>\
                    <row r=\"3\"><c r=\"B3\"><v>0.30000000000000004</v></c><c r=\"C3\" t=\"s\"><v>3</v></c>\
                    <c r=\"D3\" s=\"1\"><v>45306</v></c><c r=\"E3\" t=\"b\"><v>1</v></c></row>\
                    <row r=\"5\"><c r=\"B5\"><v>4</v></c><c r=\"C5\" t=\"s\"><v>4</v></c>\
                    <c r=\"D5\" s=\"2\"><v>45306.5625</v></c><c r=\"E5\" t=\"e\"><f>1/0</f><v>#DIV/0!</v></c></row>\
                    <row><c><v>6</v></c><c r=\"C6\" s=\"1\"/></row>";

#[tokio::test]
async fn the_first_sheet_with_content_is_read_as_its_cells_show_it() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let book = workbook(
        &[
            ("Hidden", "hidden", "<row r=\"1\"><c r=\"A1\"><v>1</v></c></row>"),
            ("Empty", "", "<row r=\"1\"><c r=\"A1\" s=\"1\"/></row>"),
            ("Data", "", &ROWS.replace("<row><c><v>6</v></c>", "<row r=\"6\"><c r=\"B6\"><v>6</v></c>")),
            ("More", "", "<row r=\"1\"><c r=\"A1\"><v>1</v></c></row>"),
        ],
        SHARED,
    );
    let import = visitor.upload("book.xlsx", book).await;
    let panel = visitor.wait_for_state(&import, "Completed").await;
    let processed = visitor.download(&format!("{import}/processed.csv")).await;
    assert_eq!(
        String::from_utf8(processed).unwrap(),
        "id,\"name, first\",day,ok\r\n0.3,\"Ann & \"\"Bo\"\"\",2024-01-15,TRUE\r\n\
         4,\"two\nlines\",2024-01-15T13:30:00,#DIV/0!\r\n6,,,\r\n"
    );
    assert_eq!(panel.counts(), (3, 0));
    app.stop().await;
}

/// More text than a cell can have, in pieces with `between` between them.
fn pieces(between: &str) -> String {
    ["x".repeat(400_000).as_str(); 4].join(between)
}

/// A workbook whose sheets are all the same part: a megabyte without a cell.
fn same_part_as(sheets: usize) -> Vec<u8> {
    let listed: String = (0..sheets).map(|number| format!("<sheet r:id=\"s{number}\"/>")).collect();
    let related: String = (0..sheets)
        .map(|number| format!("<Relationship Id=\"s{number}\" Type=\"x/worksheet\" Target=\"s.xml\"/>"))
        .collect();
    zip(&[
        ("[Content_Types].xml", b"<Types/>"),
        ("xl/workbook.xml", format!("<workbook><sheets>{listed}</sheets></workbook>").as_bytes()),
        ("xl/_rels/workbook.xml.rels", format!("<Relationships>{related}</Relationships>").as_bytes()),
        ("xl/s.xml", format!("<worksheet><!--{}--></worksheet>", " ".repeat(1_000_000)).as_bytes()),
    ])
}

#[tokio::test]
async fn numbers_and_errors_with_separators_stay_one_cell() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let rows = "<row r=\"1\"><c r=\"A1\" t=\"s\"><v>0</v></c><c r=\"B1\" t=\"s\"><v>2</v></c></row>\
                <row r=\"2\"><c r=\"A2\"><v>1,5</v></c><c r=\"B2\" t=\"e\"><v>#N/A, \"x\"</v></c></row>";
    let import = visitor.upload("book.xlsx", workbook(&[("S", "", rows)], SHARED)).await;
    assert_eq!(visitor.wait_for_state(&import, "Completed").await.counts(), (1, 0));
    let processed = visitor.download(&format!("{import}/processed.csv")).await;
    assert_eq!(String::from_utf8(processed).unwrap(), "id,day\r\n\"1,5\",\"#N/A, \"\"x\"\"\"\r\n");
    app.stop().await;
}

/// Uses the real program, whose memory can be measured.
#[tokio::test]
async fn a_row_whose_cells_share_a_long_text_takes_little_memory() {
    let data = tempdir().unwrap();
    let server = Binary::start(runboard(data.path()).env("RUNBOARD_MAX_UPLOAD_BYTES", "200000000"));
    let mut visitor = Visitor::new(&server.origin);
    visitor.sign_up("mira@example.org").await;
    let before = server.most_resident();
    // 16,000 cells of 30,000 characters.
    let cells = "<c t=\"s\"><v>0</v></c>".repeat(16_000);
    let shared = format!("<si><t>{}</t></si>", "x".repeat(30_000));
    let book = workbook(&[("S", "", &format!("<row r=\"1\">{cells}</row>"))], &shared);
    let import = visitor.upload("book.xlsx", book).await;
    let panel = visitor.wait_for_state(&import, "Failed").await;
    assert!(panel.html.contains("The zip archive holds more than 190.7 MiB"), "{}", panel.html);
    let more = server.most_resident() - before;
    assert!(more < 32 * MIB, "{} MiB more than before", more / MIB);
}

/// Uses the real program, whose memory can be measured.
#[tokio::test]
async fn the_texts_of_several_workbooks_at_once_take_the_memory_of_one() {
    let data = tempdir().unwrap();
    let server = Binary::start(&mut runboard(data.path()));
    let mut visitor = Visitor::new(&server.origin);
    visitor.sign_up("mira@example.org").await;
    let before = server.most_resident();
    let texts = format!("<si><t>{}</t></si>", "x".repeat(32_000)).repeat(1_400);
    let rows = "<row r=\"1\"><c r=\"A1\" t=\"inlineStr\"><is><t>id</t></is></c></row>\
                <row r=\"2\"><c r=\"A2\" t=\"s\"><v>1399</v></c></row>";
    let book = workbook(&[("S", "", rows)], &texts);
    let imports = [visitor.upload("one.xlsx", &book).await, visitor.upload("two.xlsx", &book).await];
    for import in imports {
        assert_eq!(visitor.wait_for_state(&import, "Completed").await.counts(), (1, 0));
        let processed = visitor.download(&format!("{import}/processed.csv")).await;
        assert_eq!(processed.len(), "id\r\n".len() + 32_000 + "\r\n".len());
    }
    let more = (server.most_resident() - before) / MIB;
    assert!(more < 80, "{more} MiB more than before");
}

#[tokio::test]
async fn a_workbook_that_cannot_be_read_fails_with_its_reason() {
    let (app, visitor) = app_with_limit(64 * MIB).await;
    let one = |rows: &str| workbook(&[("S", "", rows)], SHARED);
    let text = format!("<si><t>{}</t></si>", "x".repeat(32_000));
    let wide: String =
        (2..=5_000).map(|row| format!("<row r=\"{row}\"><c r=\"A{row}\"><v>1</v></c></row>")).collect();
    let damaged = "This is a damaged Excel workbook. Open it in Excel, save it as CSV and import that.";
    for (name, book, sentence) in [
        (
            "no sheet",
            zip(&[("[Content_Types].xml", b"<Types/>"), ("xl/workbook.xml", b"<workbook/>")]),
            "This is a damaged Excel workbook: it has no sheet. Save it as CSV and import that.",
        ),
        ("no rows", one(""), "The file has no text: no header and no rows."),
        ("no such text", one("<row r=\"1\"><c r=\"A1\" t=\"s\"><v>99</v></c></row>"), damaged),
        ("beyond the sheet", one("<row r=\"1\"><c r=\"XFE1\"><v>1</v></c></row>"), damaged),
        ("out of order", one("<row r=\"1\"><c r=\"B1\"><v>1</v></c><c r=\"A1\"><v>2</v></c></row>"), damaged),
        ("cut off", one("<row r=\"1\"><c r=\"A1\"><v>1</v></c>"), damaged),
        ("an entity", one("<row r=\"1\"><c r=\"A1\" t=\"str\"><v>&bomb;</v></c></row>"), damaged),
        (
            "an endless element",
            one(&format!("<row r=\"1\"><c r=\"A1\" t=\"str\"><v>{}</v></c></row>", "x".repeat(2 << 20))),
            damaged,
        ),
        (
            "an endless value in pieces",
            one(&format!("<row r=\"1\"><c r=\"A1\" t=\"str\"><v>{}</v></c></row>", pieces("<!-- -->"))),
            damaged,
        ),
        (
            "an endless text in pieces",
            one(&format!(
                "<row r=\"1\"><c r=\"A1\" t=\"inlineStr\"><is><t>{}</t></is></c></row>",
                pieces("</t><t>")
            )),
            damaged,
        ),
        (
            "an endless shared text in pieces",
            workbook(&[("S", "", ROWS)], &format!("<si><t>{}</t></si>", pieces("</t><t>"))),
            damaged,
        ),
        (
            "one part as many sheets",
            same_part_as(2_000),
            "The zip archive grows to more than 2000 times its size when it is unpacked. Unpack it and import the file inside.",
        ),
        ("deep", one(&"<x>".repeat(100_000)), damaged),
        (
            "many texts",
            workbook(&[("S", "", ROWS)], &text.repeat(2_200)),
            "The Excel workbook is too large: its texts need more than 48 MiB of memory. Save it as CSV and import that.",
        ),
        (
            "wide",
            one(&format!("<row r=\"1\"><c r=\"A1\"><v>1</v></c><c r=\"XFD1\"><v>1</v></c></row>{wide}")),
            "The zip archive holds more than 64 MiB, which is the limit here. Split the file and import its parts.",
        ),
        (
            "binary",
            zip(&[("xl/workbook.bin", b"")]),
            "The file is a binary Excel workbook (.xlsb), not a CSV.",
        ),
    ] {
        let import = visitor.upload("book.xlsx", book).await;
        let panel = visitor.wait_for_state(&import, "Failed").await;
        assert!(panel.html.contains(&format!(">{sentence}")), "{name}: {}", panel.html);
        assert!(!panel.html.contains("attempt 2"), "{name}: no further attempt helps");
    }
    assert_eq!(files_in(app.data.path(), "incoming"), 0);
    app.stop().await;
}
