//! What becomes of the uploads that arrive while a server stops.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, future::join, stream};
use reqwest::StatusCode;
use tokio::{net::TcpStream, sync::mpsc};

use crate::support::{
    database, files_under, s3::S3Server, spawn_app_on, until_equal, until_seen, visitor::Visitor,
};

/// Longer than a test takes.
const GRACE: Duration = Duration::from_secs(300);

/// 6 MB, more than one part of an object.
const ROWS: usize = 60_000;

/// The end at which the test gives a file, and the file.
fn chunks() -> (mpsc::UnboundedSender<Bytes>, impl Stream<Item = Bytes> + Send + 'static) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let next = |mut receiver: mpsc::UnboundedReceiver<Bytes>| async move {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    };
    (sender, stream::unfold(receiver, next))
}

#[tokio::test]
async fn an_upload_that_is_arriving_may_finish_while_the_server_stops_and_no_other_begins() {
    // Long, because the speed of this machine is not the subject.
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.http.stop_grace = GRACE).await;
    let mut visitor = app.signed_in().await;
    let (rows, file) = chunks();
    rows.send(Bytes::from("a,b\n1,2\n")).unwrap();
    let uploader = visitor.clone();
    let arriving = tokio::spawn(async move { uploader.post_stream("arriving.csv", file).await });
    let incoming = app.data.path().join("files/incoming");
    until_equal("the upload to begin", || files_under(&incoming), 1).await;

    let finish = async {
        let status = async || visitor.get("/readyz").await.status();
        until_seen("/readyz to say so", status, StatusCode::SERVICE_UNAVAILABLE).await;
        let ready = visitor.get("/readyz").await.text().await.unwrap();
        assert!(ready.contains("server: stopping\n"), "{ready}");
        let refused = visitor.post_file("late.csv", "a,b\n1,2\n").await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        rows.send(Bytes::from("3,4\n")).unwrap();
        drop(rows);
        arriving.await.unwrap()
    };
    let (data, answer) = join(app.stop(), finish).await;
    let import = Visitor::import_in(answer).await;

    let app = spawn_app_on(data, |_| {}).await;
    visitor.origin.clone_from(&app.origin);
    assert_eq!(visitor.wait_for_state(&import, "Completed").await.counts(), (2, 0));
    let page = visitor.get("/").await.text().await.unwrap();
    assert!(page.contains("arriving.csv") && !page.contains("late.csv"), "{page}");
    app.stop().await;
}

/// One of several replicas: the others take what it does not.
#[tokio::test]
async fn a_replica_that_stops_takes_no_connection_and_finishes_the_upload_that_is_arriving() {
    let (folder, server) = (tempfile::tempdir().unwrap(), S3Server::start().await);
    let url = database::on_postgres(folder.path());
    let spawn = async || {
        spawn_app_on(tempfile::tempdir().unwrap(), |config| {
            config.database_url = url.clone().into();
            config.bucket = Some(server.config());
            config.http.stop_grace = GRACE;
        })
        .await
    };
    let app = spawn().await;
    let mut visitor = app.signed_in().await;
    let (rows, file) = chunks();
    // The bucket knows of it before its end.
    let row = format!("1,{}\n", "x".repeat(100));
    rows.send(Bytes::from(format!("a,b\n{}", row.repeat(ROWS)))).unwrap();
    let uploader = visitor.clone();
    let arriving = tokio::spawn(async move { uploader.post_stream("arriving.csv", file).await });
    until_seen("the upload to begin", async || server.unfinished_uploads().await, 1).await;

    let address = app.origin.trim_start_matches("http://").to_owned();
    let finish = async {
        let is_refused = async || TcpStream::connect(&address).await.is_err();
        until_seen("connections to be refused", is_refused, true).await;
        rows.send(Bytes::from("3,4\n")).unwrap();
        drop(rows);
        arriving.await.unwrap()
    };
    let (_, answer) = join(app.stop(), finish).await;
    let import = Visitor::import_in(answer).await;

    let next = spawn().await;
    visitor.origin.clone_from(&next.origin);
    assert_eq!(visitor.wait_for_state(&import, "Completed").await.counts(), (ROWS as u64 + 1, 0));
    next.stop().await;
}
