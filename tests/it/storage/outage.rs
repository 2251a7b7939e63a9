//! While the S3 server does not answer: sentences and repeated attempts, and no wrong number.

use std::time::Duration;

use reqwest::StatusCode;
use tokio::sync::watch;

use crate::support::{
    TestApp,
    proxy::{Behaviour, Proxy},
    s3::{S3Server, config_at},
    spawn_app_on, until_seen,
};

async fn spawn_app_behind(proxy: &Proxy) -> TestApp {
    let bucket = config_at(&proxy.origin);
    spawn_app_on(tempfile::tempdir().unwrap(), |config| {
        config.bucket = Some(bucket);
        config.step_bytes = 100..=100;
        config.engine_retries = vec![Duration::from_millis(10)];
    })
    .await
}

#[tokio::test]
pub async fn uploads_and_downloads_say_that_the_storage_does_not_answer() {
    let server = S3Server::start().await;
    let proxy = Proxy::start(&server.origin).await;
    let app = spawn_app_behind(&proxy).await;
    let visitor = app.signed_in().await;
    let import = visitor.upload("orders.csv", "a,b\n1,2\n").await;
    visitor.wait_for_state(&import, "Completed").await;
    assert!(visitor.get("/readyz").await.text().await.unwrap().contains("files: ready"));

    proxy.behave(|_| Behaviour::Status(503));
    let (upload, download, ready) = tokio::join!(
        visitor.post_file("more.csv", "a,b\n3,4\n"),
        visitor.get("/imports/none"),
        visitor.get("/readyz"),
    );
    assert_eq!(upload.status(), StatusCode::SERVICE_UNAVAILABLE);
    let said = upload.text().await.unwrap();
    assert!(said.contains("The storage of the files is not answering. Nothing was stored"), "{said}");
    assert_eq!(download.status(), StatusCode::NOT_FOUND, "pages need no file");
    assert!(ready.text().await.unwrap().contains("files: not answering"));
    let download = visitor.get(&format!("{import}/processed.csv")).await;
    assert_eq!(download.status(), StatusCode::SERVICE_UNAVAILABLE);
    let said = download.text().await.unwrap();
    assert!(said.contains("The storage of the files is not answering."), "{said}");
    assert!(!said.contains("http://127.0.0.1"), "no address of the server: {said}");

    proxy.behave(|_| Behaviour::Pass);
    assert_eq!(visitor.download(&format!("{import}/processed.csv")).await, b"a,b\r\n1,2\r\n");
    let more = visitor.upload("more.csv", "a,b\n3,4\n").await;
    visitor.wait_for_state(&more, "Completed").await;
    app.stop().await;
}

#[tokio::test]
async fn files_of_a_deletion_during_an_outage_are_removed_after_it() {
    let server = S3Server::start().await;
    let proxy = Proxy::start(&server.origin).await;
    let app = spawn_app_behind(&proxy).await;
    let visitor = app.signed_in().await;
    let mut imports = Vec::new();
    for name in ["first.csv", "second.csv"] {
        let import = visitor.upload(name, "a,b\n1,2\n").await;
        visitor.wait_for_state(&import, "Completed").await;
        imports.push(import);
    }
    let (begin, begun) = watch::channel(0);
    proxy.behave(move |request| {
        if request.target().starts_with("DELETE ") {
            begin.send_modify(|count| *count += 1);
            return Behaviour::Status(503);
        }
        Behaviour::Pass
    });
    let delete = async |import: &str| {
        let answer = visitor.post_form(&format!("{import}/delete"), &[]).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    };
    delete(&imports[0]).await;
    until_seen("the bucket to be asked", async || *begun.borrow() > 0, true).await;
    assert_eq!(server.names().await.len(), 5, "the id, and two files of each import");
    proxy.behave(|_| Behaviour::Pass);
    // Another deletion goes on with the first, which would be tried again in a minute.
    delete(&imports[1]).await;
    until_seen("all files to go", async || server.names().await, vec!["installation".to_owned()]).await;
    app.stop().await;
}

#[tokio::test]
async fn steps_that_cannot_read_or_write_are_repeated_and_every_record_counts_once() {
    let server = S3Server::start().await;
    let proxy = Proxy::start(&server.origin).await;
    let app = spawn_app_behind(&proxy).await;
    let visitor = app.signed_in().await;
    let rows: String =
        (0..100).map(|n| if n % 10 == 9 { format!("{n}\n") } else { format!("{n},x\n") }).collect();
    // As many as one request is repeated, and one more: an attempt of a step fails.
    for target in ["PUT /files/of/runboard/runs/", "GET /files/of/runboard/uploads/"] {
        let (mut passed, mut failed) = (0, 0);
        proxy.behave(move |request| {
            if !request.target().starts_with(target) {
                return Behaviour::Pass;
            }
            passed += 1;
            if passed > 3 && failed < 5 {
                failed += 1;
                return if failed % 2 == 0 { Behaviour::Reset } else { Behaviour::Status(500) };
            }
            Behaviour::Pass
        });
        let import = visitor.upload("orders.csv", format!("id,text\n{rows}")).await;
        assert_eq!(visitor.wait_for_state(&import, "Completed").await.counts(), (90, 10), "{target}");
        let processed =
            String::from_utf8(visitor.download(&format!("{import}/processed.csv")).await).unwrap();
        let expected: String =
            rows.lines().filter(|row| row.contains(',')).map(|row| format!("{row}\r\n")).collect();
        assert_eq!(processed, format!("id,text\r\n{expected}"), "{target}");
    }
    app.stop().await;
}
