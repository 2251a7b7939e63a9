//! What one post of the upload form may hold: a file, several files, or an address.

use reqwest::{Response, StatusCode};

use crate::support::{
    TestApp, files_under, spawn_app, spawn_app_on,
    visitor::{Visitor, attributes},
};

async fn imports_on_the_dashboard(visitor: &Visitor) -> usize {
    attributes(&visitor.get("/").await.text().await.unwrap(), "data-import-id").len()
}

async fn assert_nothing_came_of_it(app: &TestApp, visitor: &Visitor) {
    assert_eq!(imports_on_the_dashboard(visitor).await, 0);
    assert_eq!(files_under(&app.data.path().join("files")), 0);
}

/// The refusal on the form that came back.
async fn refusal(answer: Response) -> (StatusCode, String, String) {
    let status = answer.status();
    let page = answer.text().await.unwrap();
    let words = page.split("id=\"upload-error\" role=\"alert\">").nth(1).unwrap_or_default();
    (status, words.split("</p>").next().unwrap().to_owned(), page)
}

#[tokio::test]
async fn a_file_and_an_address_in_one_form_are_refused_and_the_address_stays_in_it() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let address = "https://files.example/a.csv";
    for file in ["a,b\n1,2\n", ""] {
        let answer = visitor.post_import("mine.csv", file, address).await;
        let (status, words, page) = refusal(answer).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(words, "Choose a file or paste an address, not both. Nothing was imported.");
        assert!(page.contains(&format!("name=\"url\" value=\"{address}\"")), "{page}");
    }
    assert_nothing_came_of_it(&app, &visitor).await;

    // As a browser sends a form whose address is left empty.
    let answer = visitor.post_import("mine.csv", "a,b\n1,2\n", " ").await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    app.stop().await;
}

#[tokio::test]
async fn several_files_of_one_form_are_one_import_each() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let files = [("one.csv", "a\n1\n"), ("two.csv", "a\n1\n2\n"), ("three.csv", "a\n1\n2\n3\n")];
    let answer = visitor.post_files(&files, "").await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()["location"], "/");
    let page = visitor.get("/").await.text().await.unwrap();
    let ids = attributes(&page, "data-import-id");
    assert_eq!(ids.len(), 3, "{page}");
    let mut counts = Vec::new();
    for id in ids {
        let import = format!("/imports/{id}");
        let (processed, failed) = visitor.wait_for_state(&import, "Completed").await.counts();
        assert_eq!(failed, 0);
        let page = visitor.get(&import).await.text().await.unwrap();
        let name = files.iter().find(|(name, _)| page.contains(name)).unwrap().0;
        counts.push((name, processed));
    }
    counts.sort_unstable();
    assert_eq!(counts, [("one.csv", 1), ("three.csv", 3), ("two.csv", 2)]);
    app.stop().await;
}

#[tokio::test]
async fn a_bad_file_is_named_and_takes_nothing_from_the_good_ones() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let files = [
        ("good.csv", "a\n1\n"),
        ("book.xlsx", "PK\u{3}\u{4}...."),
        ("empty.csv", ""),
        ("fine.csv", "a\n1\n2\n"),
    ];
    let (status, words, page) = refusal(visitor.post_files(&files, "").await).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(words.starts_with("book.xlsx is an Excel workbook"), "{words}");
    assert!(words.contains("empty.csv is empty"), "{words}");
    assert!(words.ends_with("Imported: good.csv, fine.csv."), "{words}");
    assert_eq!(attributes(&page, "data-import-id").len(), 2, "the page shows the good ones: {page}");

    let all_bad = [("empty.csv", ""), ("none.csv", "")];
    let (status, words, _) = refusal(visitor.post_files(&all_bad, "").await).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(words.contains("empty.csv is empty") && words.contains("none.csv is empty"), "{words}");
    assert!(!words.contains("Imported"), "{words}");
    assert_eq!(imports_on_the_dashboard(&visitor).await, 2);
    app.stop().await;
}

#[tokio::test]
async fn the_files_of_one_form_have_a_limit_in_number_and_together_in_bytes() {
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.max_upload_bytes = 1_000).await;
    let visitor = app.signed_in().await;
    let many = vec![("a.csv", "a\n"); 101];
    let (status, words, _) = refusal(visitor.post_files(&many, "").await).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(words, "Choose up to 100 files at a time. Nothing was imported.");
    assert_nothing_came_of_it(&app, &visitor).await;

    let half = format!("a\n{}", "1\n".repeat(249));
    let full = [("first.csv", half.as_str()), ("second.csv", half.as_str())];
    assert_eq!(visitor.post_files(&full, "").await.status(), StatusCode::SEE_OTHER);
    assert_eq!(imports_on_the_dashboard(&visitor).await, 2);
    let over = [full[0], full[1], ("third.csv", "a\n")];
    let (status, ..) = refusal(visitor.post_files(&over, "").await).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(imports_on_the_dashboard(&visitor).await, 2, "nothing of a form that is too large");
    app.stop().await;
}
