//! Uploads through the proxy of docs/deploy.md.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::{StatusCode, header};

use crate::support::{files_under, nginx::spawn_behind_nginx, until, visitor::attributes};

const MIB: usize = 1 << 20;

fn rows(bytes: usize) -> String {
    format!("a,b\n{}", "1,2\n".repeat(bytes / 4))
}

#[tokio::test]
async fn an_upload_goes_through_nginx_as_it_arrives_and_runboards_own_limit_holds() {
    let (app, _nginx) = spawn_behind_nginx(|_| true).await;
    let visitor = app.signed_in().await;
    let import = visitor.upload("large.csv", rows(3 * MIB)).await;
    let (processed, _) = visitor.wait_for_state(&import, "Completed").await.counts();
    assert_eq!(processed, 3 * MIB as u64 / 4);

    let answer = visitor.post_file("too-large.csv", rows(9 * MIB)).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer.headers().contains_key(header::CONTENT_SECURITY_POLICY), "the answer is Runboard's");
    assert!(answer.text().await.unwrap().contains("The upload is larger than 8 M"));

    // The proxy does not buffer: the sent part arrives before the rest is sent.
    let incoming = app.data.path().join("files/incoming");
    let held = stream::once(async { Bytes::from(rows(MIB)) }).chain(stream::pending());
    let sender = visitor.clone();
    let sending = tokio::spawn(async move { sender.post_stream("held.csv", held).await });
    until("the first bytes", || files_under(&incoming) == 1).await;
    sending.abort();
    until("nothing left of it", || files_under(&incoming) == 0).await;
    app.stop().await;
}

/// The page's message about this is tested in a browser.
#[tokio::test]
async fn nginx_with_its_own_limit_answers_in_place_of_runboard() {
    let (app, _nginx) = spawn_behind_nginx(|line| !line.starts_with("client_max_body_size")).await;
    let visitor = app.signed_in().await;
    let answer = visitor.post_file("large.csv", rows(3 * MIB)).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(!answer.headers().contains_key(header::CONTENT_SECURITY_POLICY), "the answer is nginx's");
    let page = visitor.get("/").await.text().await.unwrap();
    assert_eq!(attributes(&page, "data-import-id").len(), 0);
    visitor.upload("small.csv", rows(MIB / 2)).await;
    app.stop().await;
}
