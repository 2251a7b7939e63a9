//! An import over HTTP: upload, watch, download.

use reqwest::{Method, StatusCode, header};

use crate::support::{files_under, spawn_app, spawn_app_on, visitor::attributes};

const AIRPORTS: &str = include_str!("../fixtures/airports.csv");

#[tokio::test]
async fn a_real_file_is_counted_to_its_end_and_comes_back_whole() {
    let app = spawn_app().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let import = visitor.upload("airports.csv", AIRPORTS).await;
    let panel = visitor.wait_for_state(&import, "Completed").await;
    assert_eq!(panel.counts(), (3_376, 0));
    assert_eq!(panel.runs[0].status, "Completed");
    assert!(!panel.html.contains("hx-trigger=\"every"), "a finished fragment asks no more");

    let processed = String::from_utf8(visitor.download(&format!("{import}/processed.csv")).await).unwrap();
    assert_eq!(processed.replace("\r\n", "\n"), AIRPORTS.replace("\r\n", "\n"));
    let failed = String::from_utf8(visitor.download(&format!("{import}/failed.csv")).await).unwrap();
    assert_eq!(failed, "_line,_column,_reason,iata,name,city,state,country,latitude,longitude,_extra\r\n");
    app.stop().await;
}

#[tokio::test]
async fn failed_rows_come_back_with_line_and_reason() {
    let app = spawn_app().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let import = visitor
        .upload("mixed.csv", "id,name\r\n1,Ann\r\n2\r\n3,Bob,x,\"y,z\"\r\n\r\n4,\"C\nD\"\r\n5,a\0b\r\n")
        .await;
    let panel = visitor.wait_for_state(&import, "Completed").await;
    assert_eq!(panel.counts(), (2, 3));
    let processed = String::from_utf8(visitor.download(&format!("{import}/processed.csv")).await).unwrap();
    assert_eq!(processed, "id,name\r\n1,Ann\r\n4,\"C\nD\"\r\n");
    let failed = String::from_utf8(visitor.download(&format!("{import}/failed.csv")).await).unwrap();
    let lines: Vec<&str> = failed.split("\r\n").collect();
    assert_eq!(lines[1], "3,,\"1 field, expected 2\",2");
    assert!(lines[2].starts_with("4,,\"4 fields, expected 2\",3,Bob,"), "{}", lines[2]);
    assert!(lines[3].starts_with("8,name,contains a NUL byte,5,"), "{}", lines[3]);
    app.stop().await;
}

#[tokio::test]
async fn a_header_alone_is_completed_with_no_rows() {
    let app = spawn_app().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let import = visitor.upload("header.csv", "id,name\n").await;
    assert_eq!(visitor.wait_for_state(&import, "Completed").await.counts(), (0, 0));
    app.stop().await;
}

#[tokio::test]
async fn what_is_no_csv_is_refused_with_a_sentence_and_leaves_nothing() {
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.max_upload_bytes = 1_000).await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice();
    for (name, bytes, status, sentence) in [
        (
            "",
            b"".as_slice(),
            StatusCode::UNPROCESSABLE_ENTITY,
            "Choose a CSV file or paste an address first.",
        ),
        ("empty.csv", b"", StatusCode::UNPROCESSABLE_ENTITY, "0 bytes"),
        ("picture.csv", png, StatusCode::UNPROCESSABLE_ENTITY, "PNG"),
        ("report.csv", b"%PDF-1.7 ...", StatusCode::UNPROCESSABLE_ENTITY, "PDF"),
        ("sheet.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0", StatusCode::UNPROCESSABLE_ENTITY, "Excel"),
        ("large.csv", &[b'a'; 1_001], StatusCode::PAYLOAD_TOO_LARGE, "1,000 bytes"),
    ] {
        let answer = visitor.post_file(name, bytes).await;
        assert_eq!(answer.status(), status, "{name}");
        let page = answer.text().await.unwrap();
        assert!(page.contains(sentence) && page.contains("id=\"upload-error\""), "{name}: {page}");
        assert_eq!(attributes(&page, "data-import-id").len(), 0, "{name}");
    }
    assert_eq!(files_under(&app.data.path().join("files")), 0);
    app.stop().await;
}

#[tokio::test]
async fn an_upload_cut_off_half_way_is_no_import_and_leaves_nothing() {
    let app = spawn_app().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let head = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"cut.csv\"\r\n\r\na,b\n1,2\n";
    let answer = visitor
        .request(Method::POST, "/imports")
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=x")
        .body(head)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let page = visitor.get("/").await.text().await.unwrap();
    assert_eq!(attributes(&page, "data-import-id").len(), 0);
    assert_eq!(files_under(&app.data.path().join("files")), 0);
    app.stop().await;
}

#[tokio::test]
async fn the_clients_file_name_is_shown_and_never_a_path() {
    let app = spawn_app().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let import = visitor.upload("../../<img src=x>&.csv", "a\n1\n").await;
    visitor.wait_for_state(&import, "Completed").await;
    let page = visitor.get(&import).await.text().await.unwrap();
    assert!(!page.contains("<img src=x>"), "escaped");
    assert!(page.contains("&lt;img src=x&gt;") || page.contains("&#60;img src=x&#62;"), "{page}");
    app.stop().await;
}

#[tokio::test]
async fn a_download_before_the_end_is_not_given() {
    let app = spawn_app().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let _busy = app.busy().await;
    let import = visitor.upload("waits.csv", "a,b\n1,2\n").await;
    let answer = visitor.get(&format!("{import}/processed.csv")).await;
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    app.stop().await;
}

#[tokio::test]
async fn an_unfinished_panel_asks_again_and_without_htmx_it_leads_to_the_page() {
    let app = spawn_app().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let busy = app.busy().await;
    let import = visitor.upload("waits.csv", "a,b\n1,2\n").await;
    let panel = visitor.panel(&import).await;
    assert_ne!(panel.state, "Completed");
    assert_eq!(attributes(&panel.html, "hx-trigger").len(), 1, "{}", panel.html);
    let live = visitor.fragment("/live").await.text().await.unwrap();
    assert_eq!(attributes(&live, "data-import-id").len(), 1);

    let answer = visitor.get(&format!("{import}/panel")).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()[header::LOCATION], import.as_str());

    drop(busy);
    visitor.wait_for_state(&import, "Completed").await;
    let live = visitor.fragment("/live").await.text().await.unwrap();
    assert_eq!(attributes(&live, "data-import-id").len(), 0, "over, and not asked to stay");
    assert_eq!(attributes(&live, "hx-trigger").len(), 0);
    let id = import.rsplit('/').next().unwrap();
    let live = visitor.fragment(&format!("/live?keep={id}")).await.text().await.unwrap();
    assert_eq!(attributes(&live, "data-state"), ["Completed"], "stays where it was seen");
    app.stop().await;
}

#[tokio::test]
async fn imports_and_sessions_outlive_a_restart() {
    let app = spawn_app().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let import = visitor.upload("airports.csv", AIRPORTS).await;
    visitor.wait_for_state(&import, "Completed").await;
    let data = app.stop().await;

    let app = spawn_app_on(data, |_| {}).await;
    visitor.origin.clone_from(&app.origin);
    let panel = visitor.panel(&import).await;
    assert_eq!((panel.state.as_str(), panel.counts()), ("Completed", (3_376, 0)));
    app.stop().await;
}
