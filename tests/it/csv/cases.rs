//! Small files with the faults of real ones, uploaded and downloaded again.

use std::{fmt::Write as _, fs, path::PathBuf};

use serde::Deserialize;

use crate::support::{spawn_app, visitor::Visitor};

/// What a file is read as.
#[derive(Deserialize)]
struct Case {
    file: String,
    #[serde(default)]
    header: Vec<String>,
    #[serde(default)]
    rows: Vec<Vec<String>>,
    #[serde(default)]
    failed: u64,
    /// The file is no CSV, and the page or the answer says this.
    refused: Option<String>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cases")
}

/// RFC 4180, with quotes only where they are needed.
fn csv(records: &[&[String]]) -> String {
    let mut text = String::new();
    for record in records {
        let cells = record.iter().map(|cell| {
            let needs_quotes =
                cell.contains([',', '"', '\r', '\n']) || (record.len() == 1 && cell.is_empty());
            if needs_quotes { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.clone() }
        });
        text += &cells.collect::<Vec<_>>().join(",");
        text += "\r\n";
    }
    text
}

/// What is wrong with the import of this file; empty if it is as expected.
async fn faults(visitor: &Visitor, case: &Case, bytes: Vec<u8>) -> String {
    let response = visitor.post_file(&case.file, bytes).await;
    if let Some(said) = &case.refused {
        let page = if response.status() == 422 {
            response.text().await.unwrap()
        } else {
            let import = Visitor::import_in(response).await;
            visitor.wait_for_state(&import, "Failed").await.html
        };
        return if page.contains(said) { String::new() } else { format!("not {said:?}: {page}") };
    }
    let import = Visitor::import_in(response).await;
    let panel =
        visitor.wait_for(&import, "the end", |panel| matches!(&*panel.state, "Completed" | "Failed")).await;
    if panel.state == "Failed" {
        return panel.html;
    }
    let expected = (case.rows.len() as u64, case.failed);
    let processed = visitor.download(&format!("{import}/processed.csv")).await;
    let processed = String::from_utf8_lossy(&processed).into_owned();
    let records: Vec<&[String]> = [&case.header].into_iter().chain(&case.rows).map(Vec::as_slice).collect();
    let mut faults = String::new();
    if panel.counts() != expected {
        write!(faults, "{:?} instead of {expected:?}; ", panel.counts()).unwrap();
    }
    if processed != csv(&records) {
        let processed: String = processed.chars().take(400).collect();
        write!(faults, "read as {processed:?}").unwrap();
    }
    faults
}

#[tokio::test]
async fn every_case_is_read_as_its_line_says() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let expected = fs::read(folder().join("expected.json")).unwrap();
    let cases: Vec<Case> = serde_json::from_slice(&expected).unwrap();
    assert_eq!(cases.len() + 2, fs::read_dir(folder()).unwrap().count(), "a line for each file");
    let mut wrong = Vec::new();
    for case in &cases {
        let bytes = fs::read(folder().join(&case.file)).unwrap();
        let faults = faults(&visitor, case, bytes).await;
        if !faults.is_empty() {
            wrong.push(format!("{}: {faults}", case.file));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    app.stop().await;
}

/// The first letter that is not ASCII is far behind the front that is examined for everything else.
#[tokio::test]
async fn an_encoding_is_found_however_late_it_shows() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let record = |number: usize, text: &str| vec![number.to_string(), text.to_owned()];
    let mut rows: Vec<Vec<String>> =
        (0..60_000).map(|number| record(number, &format!("plain words number {number}"))).collect();
    let mut file = b"id,text\n".to_vec();
    for row in &rows {
        file.extend_from_slice(format!("{}\n", row.join(",")).as_bytes());
    }
    file.extend_from_slice(b"60000,caf\xe9\n60001,na\xefve\n");
    rows.extend([record(60_000, "caf\u{e9}"), record(60_001, "na\u{ef}ve")]);
    let header = vec!["id".to_owned(), "text".to_owned()];
    let case = Case { file: "late.csv".to_owned(), header, rows, failed: 0, refused: None };
    assert_eq!(faults(&visitor, &case, file).await, "");
    app.stop().await;
}
