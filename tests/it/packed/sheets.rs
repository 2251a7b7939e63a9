//! Which sheet of a workbook is read, and that its cells are never split.

use reqwest::{Response, StatusCode};
use runboard::{csv::SheetName, store::Store};

use super::{
    app_with_limit,
    book::{rows, workbook},
    pack::gzip,
    workbook::SHARED,
};
use crate::support::{
    TestApp, database,
    host::{Host, Reply, with_body},
    spawn_app, spawn_app_on,
    visitor::Visitor,
};

/// A workbook of a cover, two sheets of orders, and sheets that are hidden, empty or charts.
fn orders() -> Vec<u8> {
    let first = rows(&[&["id", "price"], &["1", "2.5"], &["2", "3"]]);
    let second = rows(&[&["id", "price"], &["7", "9"]]);
    let old = rows(&[&["id"], &["99"]]);
    workbook(
        &[
            ("Notes", "", ""),
            ("Chart", "chart", ""),
            ("January", "", &first),
            ("Februar &amp; März", "", &second),
            ("Old", "hidden", &old),
            ("detect", "veryHidden", "<row><c s=\"1\"/></row>"),
        ],
        SHARED,
    )
}

async fn text(answer: Response) -> (StatusCode, String) {
    (answer.status(), answer.text().await.unwrap())
}

async fn processed(visitor: &Visitor, import: &str) -> String {
    visitor.wait_for_state(import, "Completed").await;
    String::from_utf8(visitor.download(&format!("{import}/processed.csv")).await).unwrap()
}

async fn retry(visitor: &Visitor, import: &str, fields: &[(&str, &str)]) -> Response {
    visitor.post_form(&format!("{import}/retry"), fields).await
}

/// The options of the form's list of sheets: their values and what people read.
fn options(page: &str) -> Vec<(String, String)> {
    let Some((_, list)) = page.split_once("id=\"change-sheet\"") else { return Vec::new() };
    let list = list.split("</select>").next().unwrap();
    let options = list.split("<option value=\"").skip(1).map(|option| {
        let (value, rest) = option.split_once('"').unwrap();
        let label = rest.split_once('>').unwrap().1.split('<').next().unwrap();
        (value.to_owned(), label.to_owned())
    });
    options.collect()
}

async fn chosen_sheet(app: &TestApp, import: &str) -> Option<SheetName> {
    let database = database::url(app.data.path());
    let store = Store::open(&database).await.unwrap();
    let id = import.rsplit('/').next().unwrap().parse().unwrap();
    let choices = store.import(id).await.unwrap().unwrap().choices;
    store.close().await;
    choices.sheet
}

#[tokio::test]
async fn the_page_says_which_sheet_was_read_and_offers_the_others() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let import = visitor.upload("orders.xlsx", orders()).await;
    let panel = visitor.wait_for_state(&import, "Completed").await;
    let line = "Sheet &#34;January&#34;, the first of 2 with rows (1 more is hidden), header in line 1.";
    assert!(panel.html.contains(line), "{}", panel.html);
    let page = visitor.get(&import).await.text().await.unwrap();
    for html in [&panel.html, &page] {
        let offered = [
            ("detect", "Detect"),
            ("Notes", "Notes (empty)"),
            ("January", "January"),
            ("Februar &#38; März", "Februar &#38; März"),
            ("Old", "Old (hidden)"),
            ("Detect", "detect (hidden, empty)"),
        ];
        let offered = offered.map(|(value, label)| (value.to_owned(), label.to_owned()));
        assert_eq!(options(html), offered, "{html}");
        assert!(html.contains("Now January"), "{html}");
        assert!(!html.contains("id=\"change-encoding\""), "cells have no encoding: {html}");
    }
    let other = visitor.upload("orders.csv", "id,price\n1,2\n").await;
    let panel = visitor.wait_for_state(&other, "Completed").await;
    assert!(!panel.html.contains("heet") && panel.html.contains("id=\"change-encoding\""), "{}", panel.html);
    app.stop().await;
}

#[tokio::test]
async fn each_sheet_makes_one_import_whatever_the_case_of_its_name() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let parent = visitor.upload("orders.xlsx", orders()).await;
    assert_eq!(processed(&visitor, &parent).await, "id,price\r\n1,2.5\r\n2,3\r\n");
    let mut made = Vec::new();
    for name in ["Februar & März", "februar & märz ", "Old", "January"] {
        let answer = retry(&visitor, &parent, &[("sheet", name), ("delimiter", "detect")]).await;
        made.push(Visitor::import_in(answer).await);
    }
    assert_eq!(made[0], made[1]);
    assert_eq!(processed(&visitor, &made[0]).await, "id,price\r\n7,9\r\n");
    assert_eq!(processed(&visitor, &made[2]).await, "id\r\n99\r\n");
    assert_eq!(processed(&visitor, &made[3]).await, "id,price\r\n1,2.5\r\n2,3\r\n");
    assert_eq!(chosen_sheet(&app, &made[1]).await, Some(SheetName::new("Februar & März")));
    let panel = visitor.panel(&made[0]).await;
    let line = "Sheet &#34;Februar &#38; März&#34; (chosen), one of 2 with rows (1 more is hidden), header";
    assert!(panel.html.contains(line), "{}", panel.html);
    // Running it again keeps the sheet.
    let again = retry(&visitor, &made[0], &[("sheet", "Februar & März")]).await;
    assert_eq!(processed(&visitor, &Visitor::import_in(again).await).await, "id,price\r\n7,9\r\n");
    app.stop().await;
}

#[tokio::test]
async fn a_sheet_that_the_workbook_lacks_is_refused_with_those_that_it_has() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let book = orders();
    let lacks = "The workbook has no sheet &#34;March&#34;. It has the sheets &#34;Notes&#34;, &#34;January&#34;, \
                 &#34;Februar &#38; März&#34;, &#34;Old&#34; and &#34;detect&#34;.";
    let (status, page) =
        text(visitor.post_bytes_with("orders.xlsx", &book, &[("sheet", "March")]).await).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.contains(&format!("orders.xlsx was not imported. {lacks}")), "{page}");
    let no_workbook = "The file is no Excel workbook, so no sheet of it can be chosen.";
    for (name, file) in [("a.csv", b"a,b\n1,2\n".to_vec()), ("a.csv.gz", gzip(b"a,b\n1,2\n"))] {
        let (status, page) = text(visitor.post_bytes_with(name, &file, &[("sheet", "January")]).await).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{name}");
        assert!(page.contains(no_workbook), "{name}: {page}");
    }

    let over = visitor.upload("orders.xlsx", &book).await;
    visitor.wait_for_state(&over, "Completed").await;
    let look = [("look", "1")];
    let held = Visitor::import_in(visitor.post_bytes_with("orders.xlsx", &book, &look).await).await;
    for (import, action) in [(&over, "retry"), (&held, "start")] {
        let answer = visitor.post_form(&format!("{import}/{action}"), &[("sheet", "March")]).await;
        let (status, page) = text(answer).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{action}");
        let said = format!("id=\"error-sheet\" role=\"alert\">{lacks}");
        assert!(page.contains(&said), "{action}: {page}");
        let kept = ("March".to_owned(), "March".to_owned());
        assert_eq!(options(&page).last(), Some(&kept), "what was sent is kept: {page}");
        let (status, rows) = text(visitor.fragment(&format!("{import}/rows?sheet=March")).await).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{action}");
        assert!(rows.contains("data-field=\"sheet\"") && rows.contains(lacks), "{rows}");
    }
    assert_eq!(visitor.panel(&held).await.state, "Held");
    let csv = visitor.upload("a.csv", "a,b\n1,2\n").await;
    visitor.wait_for_state(&csv, "Completed").await;
    let (status, page) = text(retry(&visitor, &csv, &[("sheet", "January")]).await).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.contains(no_workbook), "{page}");
    app.stop().await;
}

#[tokio::test]
async fn the_first_rows_of_a_held_workbook_follow_the_choice_of_its_sheet() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let fields = [("look", "1"), ("sheet", "old")];
    let held = Visitor::import_in(visitor.post_bytes_with("orders.xlsx", &orders(), &fields).await).await;
    let page = visitor.get(&held).await.text().await.unwrap();
    assert!(
        page.contains("Sheet &#34;Old&#34; (chosen), the only hidden one with rows (2 more are visible)"),
        "{page}"
    );
    assert!(page.contains("<option value=\"Old\" selected>"), "chosen with the upload: {page}");
    for (sheet, part) in [("January", ">2.5<"), ("Februar+%26+M%C3%A4rz", ">7<"), ("detect", ">2.5<")] {
        let rows = visitor.fragment(&format!("{held}/rows?sheet={sheet}")).await.text().await.unwrap();
        assert!(rows.contains(part), "{sheet}: {rows}");
        // Without the script the page itself shows them, and keeps the choice.
        let page = visitor.get(&format!("{held}?sheet={sheet}&change=1")).await.text().await.unwrap();
        assert!(page.contains(part) && options(&page).len() == 6, "{sheet}: {page}");
    }
    // The other sheets are offered where the chosen one has nothing to show.
    let page = visitor.get(&format!("{held}?sheet=Notes")).await.text().await.unwrap();
    assert!(page.contains("The sheet &#34;Notes&#34; is empty. Choose another one."), "{page}");
    assert_eq!(options(&page).len(), 6, "{page}");
    let started = visitor.post_form(&format!("{held}/start"), &[("sheet", "Februar & März")]).await;
    assert_eq!(started.status(), StatusCode::SEE_OTHER);
    assert_eq!(processed(&visitor, &held).await, "id,price\r\n7,9\r\n");
    app.stop().await;
}

#[tokio::test]
async fn an_import_that_fails_at_an_empty_sheet_offers_the_others() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let answer = visitor.post_bytes_with("orders.xlsx", &orders(), &[("sheet", "notes")]).await;
    let import = Visitor::import_in(answer).await;
    let panel = visitor.wait_for_state(&import, "Failed").await;
    assert!(panel.html.contains("The sheet &#34;Notes&#34; is empty."), "{}", panel.html);
    assert_eq!(options(&panel.html).len(), 6, "{}", panel.html);
    assert!(panel.html.contains("<option value=\"Notes\" selected>"), "{}", panel.html);
    app.stop().await;
}

#[tokio::test]
async fn the_sheet_of_a_workbook_at_an_address_is_read_or_missed_by_the_run() {
    let book = orders();
    let host = Host::start(move |_, _| Reply::Bytes(with_body("200 OK", "", &book))).await;
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| {
        config.allow_addresses = host.allowed().parse().unwrap();
    })
    .await;
    let visitor = app.signed_in().await;
    for (sheet, state) in [("OLD", "Completed"), ("March", "Failed")] {
        let address = host.url("/orders.xlsx");
        let fields = [("url", address.as_str()), ("sheet", sheet)];
        let import = Visitor::import_in(visitor.post_with(&[], &fields).await).await;
        let panel = visitor.wait_for_state(&import, state).await;
        match state {
            "Completed" => assert_eq!(processed(&visitor, &import).await, "id\r\n99\r\n"),
            _ => assert!(panel.html.contains("The workbook has no sheet &#34;March&#34;."), "{}", panel.html),
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn a_sheet_is_offered_as_last_time_only_to_a_workbook_that_has_it() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let sheets = |second: &str| {
        let (first, other) = (rows(&[&["id"], &["1"]]), rows(&[&["id"], &["2"]]));
        workbook(&[("Cover", "", &first), (second, "", &other)], SHARED)
    };
    let first = visitor.upload("one.xlsx", sheets("Orders")).await;
    visitor.wait_for_state(&first, "Completed").await;
    let chosen = retry(&visitor, &first, &[("sheet", "Orders")]).await;
    assert_eq!(chosen.status(), StatusCode::SEE_OTHER);
    let offer = "Last time you chose for a file with this header: sheet &#34;Orders&#34;.";
    for (name, file, is_offered) in [
        ("two.xlsx", sheets("Orders"), true),
        ("three.xlsx", sheets("Invoices"), false),
        ("four.csv", b"id\n1\n2\n".to_vec(), false),
    ] {
        let import = visitor.upload(name, &file).await;
        let panel = visitor.wait_for_state(&import, "Completed").await;
        let page = visitor.get(&import).await.text().await.unwrap();
        let held = visitor.post_bytes_with(name, &file, &[("look", "1")]).await;
        let held = visitor.get(&Visitor::import_in(held).await).await.text().await.unwrap();
        for html in [&panel.html, &page, &held] {
            assert_eq!(html.contains(offer), is_offered, "{name}: {html}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn the_cells_of_a_sheet_are_never_split() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let quoted = |rows: &[&[&str]]| -> String {
        let field = |text: &&str| {
            if text.contains([',', '"', '\n']) {
                format!("\"{}\"", text.replace('"', "\"\""))
            } else {
                (*text).to_owned()
            }
        };
        let line = |cells: &&[&str]| cells.iter().map(field).collect::<Vec<_>>().join(",") + "\r\n";
        rows.iter().map(line).collect()
    };
    let sheets: [&[&[&str]]; 12] = [
        &[&["name"], &["Last, First"], &["Doe, Jane"], &["Roe, Rich"]],
        &[&["last, first"], &["Doe, Jane"], &["Roe, Rich"], &["Poe, Ed"]],
        &[&["a;b"], &["1;2"], &["3;4"], &["5;6"]],
        &[&["a\tb"], &["1\t2"], &["3\t4"]],
        &[&["sep=;"], &["a;b"], &["1;2"]],
        &[&["# of rows"], &["1"], &["2"]],
        &[&["say"], &["\"a\", she said"], &["'b', he said"], &["c\" and d"]],
        &[&["a", "b"], &["x\\\"y", "1"], &["z\\", "2"], &["'q", "3"]],
        &[&["a, b", "c, d"], &["1, 2", "3, 4"], &["5, 6", "7, 8"]],
        &[&["text"], &["Dear all."], &["This is a sentence, and it goes on."], &["Yours, me."]],
        &[&["page"], &["<html><body>x</body></html>"], &["{\"a\": 1}"], &["[1, 2]"]],
        &[&["two\nlines", "b"], &["\n\"", "1"], &["x\n,\n", "2"]],
    ];
    for sheet in sheets {
        let book = workbook(&[("S", "", &rows(sheet))], SHARED);
        let import = visitor.upload("book.xlsx", book).await;
        assert_eq!(processed(&visitor, &import).await, quoted(sheet));
        let panel = visitor.panel(&import).await;
        assert!(!panel.html.contains("a guess: the header has no separator"), "{}", panel.html);
    }
    // Values that should be plain and are not, as a stranger may write them.
    let odd = "<row><c t=\"str\"><v>a</v></c><c t=\"str\"><v>b</v></c></row>\
               <row><c t=\"e\"><v>1,2\n\"</v></c><c><v>3,\"4</v></c></row>\
               <row><c t=\"d\"><v>5,6</v></c><c><v>7</v></c></row>";
    let import = visitor.upload("odd.xlsx", workbook(&[("S", "", odd)], SHARED)).await;
    // Texts above numbers may be a second header row, which is not what this is about.
    visitor.wait_for_state(&import, "Completed").await;
    let one_row = retry(&visitor, &import, &[("header", "1"), ("header_rows", "1")]).await;
    let import = Visitor::import_in(one_row).await;
    assert_eq!(processed(&visitor, &import).await, "a,b\r\n\"1,2\n\"\"\",\"3,\"\"4\"\r\n\"5,6\",7\r\n");
    // A person may say that the cells hold lines of a CSV.
    let pasted = rows(&[&["a;b"], &["1;2"], &["3;4"]]);
    let import = visitor.upload("pasted.xlsx", workbook(&[("S", "", &pasted)], SHARED)).await;
    assert_eq!(processed(&visitor, &import).await, "a;b\r\n1;2\r\n3;4\r\n");
    let split = retry(&visitor, &import, &[("delimiter", "semicolon")]).await;
    assert_eq!(processed(&visitor, &Visitor::import_in(split).await).await, "a,b\r\n1,2\r\n3,4\r\n");
    app.stop().await;
}

#[tokio::test]
async fn the_header_of_a_sheet_is_still_found() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let below: &[&[&str]] = &[
        &["Report, 2026", "", ""],
        &["", "", ""],
        &["day", "amount", "who"],
        &["2026-01-02", "3.5", "Doe, Jane"],
        &["2026-01-03", "4.5", "Roe, Rich"],
        &["2026-01-04", "5.5", "Poe, Ed"],
    ];
    let import = visitor.upload("below.xlsx", workbook(&[("S", "", &rows(below))], SHARED)).await;
    let expected = "day,amount,who\r\n2026-01-02,3.5,\"Doe, Jane\"\r\n2026-01-03,4.5,\"Roe, Rich\"\r\n\
                    2026-01-04,5.5,\"Poe, Ed\"\r\n";
    assert_eq!(processed(&visitor, &import).await, expected);
    let panel = visitor.panel(&import).await;
    assert!(panel.html.contains("Sheet &#34;S&#34;, header in line 3"), "{}", panel.html);
    // A corrected failed.csv that a spreadsheet has saved is known as one.
    let failed: &[&[&str]] =
        &[&["_line", "_column", "_reason", "a", "b"], &["3", "", "1 field, expected 2", "x", "y"]];
    let import = visitor.upload("failed.xlsx", workbook(&[("S", "", &rows(failed))], SHARED)).await;
    assert_eq!(processed(&visitor, &import).await, "a,b\r\nx,y\r\n");
    app.stop().await;
}

#[tokio::test]
async fn a_strangers_workbook_has_as_many_sheets_as_are_listed_and_the_others_can_be_named() {
    let (app, visitor) = app_with_limit(64 << 20).await;
    let names: Vec<String> = (0..20_000).map(|number| format!("{number} {}", "x".repeat(300))).collect();
    let mut sheets: Vec<(&str, &str, &str)> = names.iter().map(|name| (name.as_str(), "", "")).collect();
    let last = rows(&[&["a"], &["1"]]);
    sheets.last_mut().unwrap().2 = &last;
    let book = workbook(&sheets, SHARED);
    let import = visitor.upload("many.xlsx", &book).await;
    assert_eq!(processed(&visitor, &import).await, "a\r\n1\r\n");
    let page = visitor.get(&import).await.text().await.unwrap();
    assert_eq!(options(&page).len(), 101);
    assert!(page.contains("the first with rows of 20,000 sheets"), "{page}");
    assert!(page.contains("id=\"other-sheet\"") && page.len() < 200_000, "{}", page.len());
    let (status, page) = text(retry(&visitor, &import, &[("sheet", "none")]).await).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.contains("and 19990 more."), "{page}");
    // By the part of its name that is kept.
    let named = format!("19999 {}", "X".repeat(194));
    let again = Visitor::import_in(retry(&visitor, &import, &[("sheet", &named)]).await).await;
    assert_eq!(processed(&visitor, &again).await, "a\r\n1\r\n");
    app.stop().await;
}
