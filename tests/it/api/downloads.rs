//! The outputs of an import: as files, and its failed rows as JSON.

use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::{Running, running};
use crate::support::{
    program::{Program, problem},
    spawn_app, spawn_app_on,
};

#[tokio::test]
async fn downloads_are_those_of_the_pages_and_can_be_resumed() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["read"]).await;
    let import = owner.upload("orders.csv", "a;b\n1;2\n3\n").await;
    owner.wait_for_state(&import, "Completed").await;
    for (file, text, name) in [
        ("processed.csv", "a,b\r\n1,2\r\n", "orders%2Dprocessed.csv"),
        (
            "failed.csv",
            "_line,_column,_reason,a,b,_extra\r\n3,,\"1 field, expected 2\",3\r\n",
            "orders%2Dfailed.csv",
        ),
    ] {
        let path = format!("/api/v1{import}/{file}");
        let whole = program.get(&path).await;
        let disposition = whole.headers()[header::CONTENT_DISPOSITION].to_str().unwrap().to_owned();
        assert!(disposition.contains(name), "{disposition}");
        let tag = whole.headers()[header::ETAG].clone();
        assert_eq!(whole.text().await.unwrap(), text);
        assert_eq!(owner.download(&format!("{import}/{file}")).await, text.as_bytes());
        let get = || program.request(Method::GET, &path);
        let part =
            get().header(header::RANGE, "bytes=2-5").header(header::IF_RANGE, &tag).send().await.unwrap();
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(part.headers()[header::CONTENT_RANGE], format!("bytes 2-5/{}", text.len()));
        assert_eq!(part.text().await.unwrap(), text[2..6]);
        let same = get().header(header::IF_NONE_MATCH, &tag).send().await.unwrap();
        assert_eq!(same.status(), StatusCode::NOT_MODIFIED);
        let behind = get().header(header::RANGE, "bytes=1000-").send().await.unwrap();
        let range = behind.headers()[header::CONTENT_RANGE].clone();
        assert_eq!(problem(behind).await["status"], 416);
        assert_eq!(range, format!("bytes */{}", text.len()));
        let other = get().header(header::IF_MATCH, "\"other\"").send().await.unwrap();
        assert_eq!(problem(other).await["status"], 412);
    }
    let source = program.get(&format!("/api/v1{import}/processed.csv?as=source")).await;
    assert_eq!(source.text().await.unwrap(), "\u{feff}a;b\r\n1;2\r\n");
    for query in ["?as=pdf", "?form=source"] {
        let told = problem(program.get(&format!("/api/v1{import}/processed.csv{query}")).await).await;
        assert_eq!(told["status"], 400, "{query}");
    }
    app.stop().await;
}

#[tokio::test]
pub(super) async fn there_is_nothing_to_download_before_the_end_or_of_a_file_that_was_not_read() {
    let Running { app, owner, program, busy, import } = running().await;
    let all = ["processed.csv", "failed.csv", "failures"];
    for path in all {
        let told = problem(program.get(&format!("/api/v1{import}/{path}")).await).await;
        assert_eq!((&told["status"], &told["type"]), (&json!(409), &json!("/api#still-running")), "{path}");
    }
    drop(busy);
    let page = owner.upload("page.csv", "<!doctype html><html><body>Sign in</body></html>").await;
    owner.wait_for_state(&page, "Failed").await;
    for path in all {
        let told = problem(program.get(&format!("/api/v1{page}/{path}")).await).await;
        assert_eq!((&told["status"], &told["type"]), (&json!(404), &json!("/api#nothing-written")), "{path}");
    }
    let told: Value = program.get(&format!("/api/v1{page}")).await.json().await.unwrap();
    let text = told["stateText"].as_str().unwrap();
    assert!(text.contains("web page"), "{text}");
    app.stop().await;
}

#[tokio::test]
async fn failed_rows_come_with_their_fields_and_their_bytes_page_by_page() {
    // Every step takes a few rows, so that pages go over several of them.
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.step_bytes = 1_000..=1_000).await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["read"]).await;
    let rows = (0..400).map(|row| match row % 4 {
        0 => format!("{row},good\n"),
        1 => format!("{row},\"two\r\nlines\",=more,{row}\n"),
        2 => format!("{row}\n"),
        _ => format!("{row},\0\n"),
    });
    let file = format!("id,name\n{}", rows.collect::<String>());
    let import = owner.upload("orders.csv", &file).await;
    let panel = owner.wait_for_state(&import, "Completed").await;
    assert_eq!(panel.counts(), (100, 300));

    let path = format!("/api/v1{import}/failures");
    let (mut found, mut pages, mut next) = (Vec::new(), 0, String::new());
    loop {
        let answer = program.get(&format!("{path}{next}")).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let page: Value = answer.json().await.unwrap();
        found.extend(page["data"].as_array().unwrap().clone());
        pages += 1;
        match page["next"].as_str() {
            Some(cursor) => next = format!("?cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!((found.len(), pages), (300, 3));
    // Four rows take five lines, the first of them line 2.
    for (block, rows) in found.chunks(3).enumerate() {
        let (line, id) = (2 + block as u64 * 5, block * 4);
        assert_eq!(
            rows,
            [
                json!({
                    "line": line + 1, "lastLine": line + 2, "reason": "4 fields, expected 2",
                    "fields": [format!("{}", id + 1), "two\r\nlines", "=more", format!("{}", id + 1)],
                    "raw": format!("{0},\"two\r\nlines\",=more,{0}", id + 1),
                }),
                json!({
                    "line": line + 3, "lastLine": line + 3, "reason": "1 field, expected 2",
                    "fields": [format!("{}", id + 2)], "raw": format!("{}", id + 2),
                }),
                json!({
                    "line": line + 4, "lastLine": line + 4, "column": "name", "reason": "contains a NUL byte",
                    "fields": [format!("{}", id + 3), "\u{fffd}"], "raw": format!("{},\0", id + 3),
                }),
            ],
            "block {block}"
        );
    }
    let other = owner.upload("other.csv", "a,b\n1,2\n").await;
    owner.wait_for_state(&other, "Completed").await;
    let none: Value = program.get(&format!("/api/v1{other}/failures")).await.json().await.unwrap();
    assert_eq!(none, json!({ "data": [], "next": null }));
    for path in [
        format!("/api/v1{other}/failures{next}"),
        format!("{path}{next}0"),
        format!("{path}?cursor=0-0-0"),
        format!("{path}?page=2"),
    ] {
        let told = problem(program.get(&path).await).await;
        assert_eq!(told["status"], 400, "{path}: {told}");
    }
    app.stop().await;
}
