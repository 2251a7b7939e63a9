//! The possible contents of the upload form: a file, several files, or an address.

use std::convert::Infallible;

use futures_util::stream;
use reqwest::{Body, Method, Response, StatusCode, header};

use crate::support::{
    TestApp, files_under, spawn_app, spawn_app_on,
    visitor::{FORM_TYPE, Visitor, attributes},
};

async fn imports_on_the_dashboard(visitor: &Visitor) -> usize {
    attributes(&visitor.get("/").await.text().await.unwrap(), "data-import-id").len()
}

async fn assert_nothing_came_of_it(app: &TestApp, visitor: &Visitor) {
    assert_eq!(imports_on_the_dashboard(visitor).await, 0);
    assert_eq!(files_under(&app.data.path().join("files")), 0);
}

/// The refusal on the returned form.
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

    // As a browser sends a form with an empty address.
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

/// Names and contents.
type Files = &'static [(&'static str, &'static str)];

/// A file that is not a CSV.
const BOOK: (&str, &str) = ("book.pdf", "%PDF-1.7 ....");

/// The form's text about several files: the heading, one refusal each, and what was imported.
fn refusals(page: &str) -> (String, Vec<String>, String) {
    let part = |start: &str, end: &str| {
        let rest = page.split(start).nth(1).unwrap_or_else(|| panic!("{start} is on the page: {page}"));
        rest.split(end).next().unwrap().to_owned()
    };
    let each = part("id=\"upload-refusals\">", "</ul>");
    let each = each.split("<li>").skip(1).map(|item| item.replace("</li>", "")).collect();
    (part("id=\"upload-error\" role=\"alert\">", "</p>"), each, part("id=\"upload-advice\">", "</p>"))
}

#[tokio::test]
async fn bad_files_among_good_ones_are_told_once_on_the_page_that_follows() {
    let app = spawn_app().await;
    let mut visitor = app.signed_in().await;
    let mut expected = 0;
    let mixtures: [(Files, &str, usize, &str); 3] = [
        (&[("one.csv", "a\n1\n"), BOOK], "1 of 2 files was not imported.", 1, "Imported: one.csv."),
        (
            &[("good.csv", "a\n1\n"), BOOK, ("empty.csv", ""), ("fine.csv", "a\n1\n2\n")],
            "2 of 4 files were not imported.",
            2,
            "Imported: good.csv, fine.csv.",
        ),
        (
            &[
                ("", ""),
                ("1.csv", ""),
                ("2.csv", ""),
                ("3.csv", ""),
                ("4.csv", ""),
                ("5.csv", ""),
                ("6.csv", ""),
                ("good.csv", "a\n1\n"),
            ],
            "6 of 7 files were not imported.",
            6,
            "Imported: good.csv.",
        ),
    ];
    let session = visitor.cookie.clone().unwrap();
    for (files, heading, lines, imported) in mixtures {
        let answer = visitor.post_files(files, "").await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "a reload would import the good ones again");
        assert_eq!(answer.headers()["location"], "/");
        expected += files.iter().filter(|(_, bytes)| bytes.starts_with('a')).count();
        let flash = answer.headers()["set-cookie"].to_str().unwrap();
        assert!(flash.contains("HttpOnly") && flash.contains("Max-Age=60"), "{flash}");
        let flash = flash.split(';').next().unwrap().to_owned();

        visitor.cookie = Some(format!("{session}; {flash}"));
        let answer = visitor.get("/").await;
        assert_eq!(answer.status(), StatusCode::OK);
        let removal = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
        assert!(removal.starts_with("runboard_flash=;") && removal.contains("Max-Age=0"), "{removal}");
        let (told, each, advice) = refusals(&answer.text().await.unwrap());
        assert_eq!((told.as_str(), each.len(), advice.as_str()), (heading, lines, imported), "{each:?}");

        // As the browser asks after it has dropped the cookie.
        visitor.cookie = Some(session.clone());
        let page = visitor.get("/").await.text().await.unwrap();
        assert_eq!(refusals(&page), (String::new(), Vec::new(), String::new()));
        assert_eq!(attributes(&page, "data-import-id").len(), expected, "the good ones, once each");

        // Other users do not see it, and an unsigned message is not shown.
        let mut stranger = app.visitor();
        stranger.sign_up(&format!("eve{lines}@example.org")).await;
        let forged = flash.replacen("runboard_flash=e", "runboard_flash=f", 1);
        for (visitor, cookie) in [(&stranger, &flash), (&visitor, &forged)] {
            let mut visitor = visitor.clone();
            visitor.cookie = Some(format!("{}; {cookie}", visitor.cookie.unwrap()));
            let page = visitor.get("/").await.text().await.unwrap();
            assert_eq!(refusals(&page).0, "", "{cookie}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn refusals_of_files_with_the_longest_names_fit_a_cookie() {
    let app = spawn_app().await;
    let mut visitor = app.signed_in().await;
    let name = |n: usize| format!("{n}{}.csv", "界".repeat(195));
    let names: Vec<String> = (0..12).map(name).collect();
    let files: Vec<(&str, &str)> = names
        .iter()
        .enumerate()
        .map(|(n, name)| (name.as_str(), if n < 6 { "" } else { "a\n1\n" }))
        .collect();
    let answer = visitor.post_files(&files, "").await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.len() <= 4_096, "{} bytes are more than a browser keeps", cookie.len());
    let flash = cookie.split(';').next().unwrap();
    visitor.cookie = Some(format!("{}; {flash}", visitor.cookie.unwrap()));
    let (heading, each, imported) = refusals(&visitor.get("/").await.text().await.unwrap());
    assert_eq!(heading, "6 of 12 files were not imported.");
    assert!(each[0].contains(&names[0]) && each.last().unwrap().contains("more files"), "{each:?}");
    assert!(imported.ends_with("more files."), "{imported}");
    app.stop().await;
}

#[tokio::test]
async fn a_form_of_nothing_but_bad_files_comes_back_with_all_refusals() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let answer = visitor.post_files(&[("empty.csv", ""), ("none.csv", "")], "").await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let (heading, each, imported) = refusals(&answer.text().await.unwrap());
    assert_eq!((heading.as_str(), imported.as_str()), ("None of the 2 files was imported.", ""));
    assert!(
        each[0].starts_with("empty.csv is empty") && each[1].starts_with("none.csv is empty"),
        "{each:?}"
    );
    assert_nothing_came_of_it(&app, &visitor).await;
    app.stop().await;
}

#[tokio::test]
async fn an_empty_address_is_refused_beside_its_own_field() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    for typed in ["", "  "] {
        let answer = visitor.post_address(typed).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let page = answer.text().await.unwrap();
        assert!(page.contains("id=\"address-error\" role=\"alert\">Paste an address first.</p>"), "{page}");
        let field = page.split("id=\"address\"").nth(1).unwrap().split('>').next().unwrap();
        assert!(
            field.contains("aria-invalid=\"true\" aria-describedby=\"address-error\" autofocus"),
            "{field}"
        );
        assert_eq!(refusals(&page).0, "", "the other form says nothing");
        assert!(page.contains("<section class=\"drop-zone\""), "{page}");
    }
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

/// The form's text about a post with these parts, each a name and its bytes. The length is not announced.
async fn told_of(visitor: &Visitor, parts: impl Iterator<Item = (&str, String)>) -> (StatusCode, String) {
    let boundary = FORM_TYPE.split_once('=').unwrap().1;
    let parts = parts.map(|(name, bytes)| {
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{bytes}\r\n")
    });
    let form = parts.collect::<String>() + &format!("--{boundary}--\r\n");
    let pieces: Vec<_> =
        form.into_bytes().chunks(16 << 10).map(|piece| Ok::<_, Infallible>(piece.to_vec())).collect();
    let request = visitor.request(Method::POST, "/imports").header(header::CONTENT_TYPE, FORM_TYPE);
    let answer = request.body(Body::wrap_stream(stream::iter(pieces))).send().await.unwrap();
    let (status, told, _) = refusal(answer).await;
    (status, told)
}

#[tokio::test]
async fn a_form_of_endless_other_fields_is_refused_where_it_becomes_too_large() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let refused = (
        StatusCode::PAYLOAD_TOO_LARGE,
        "The form holds more than files and an address. Nothing was imported.".to_owned(),
    );
    let large = || std::iter::once(("unknown", "x".repeat(100_000)));
    assert_eq!(told_of(&visitor, large()).await, refused);
    for name in ["unknown", "url", "file"] {
        let many = (0..300).map(|_| (name, String::new()));
        assert_eq!(told_of(&visitor, many).await, refused, "{name}");
    }
    let some = (0..50).map(|_| ("unknown", "x".to_owned()));
    let (status, told) = told_of(&visitor, some).await;
    assert_eq!((status.as_u16(), told.as_str()), (422, "Choose a CSV file or paste an address first."));
    app.stop().await;
}
