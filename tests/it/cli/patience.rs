//! How long a client waits for a server that says nothing, and how often it tries.

use std::{
    collections::BTreeSet,
    fs::File,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::net::TcpListener;

use super::{Ended, MILLIS, ORDERS, client, ended};
use crate::support::{
    host::{Host, Reply},
    until,
};

const ID: &str = "01KBC8Z3V5F0M3E2J8W4R7T9QX";

/// Runs a command that bears a silence of 50 ms.
async fn impatient(origin: &str, folder: &Path, words: &[&str]) -> Ended {
    let mut command = client(folder, words);
    command.env("RUNBOARD_URL", origin).env("RUNBOARD_TOKEN", "rb_x").env(MILLIS, "1,50");
    ended(command).await
}

#[tokio::test]
async fn an_upload_of_which_no_byte_is_taken_is_given_up_after_ten_sends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let server = tokio::spawn(async move {
        // Nothing is read from them.
        let mut connections = Vec::new();
        loop {
            connections.push(listener.accept().await.unwrap());
            counted.store(connections.len(), Ordering::SeqCst);
        }
    });
    let folder = tempfile::tempdir().unwrap();
    // More than the machine keeps for a connection.
    File::create(folder.path().join("large.csv")).unwrap().set_len(256 << 20).unwrap();
    let done = impatient(&origin, folder.path(), &["import", "large.csv"]).await;
    let said = format!("{origin} does not answer. Trying again.\n{origin} does not answer.\n");
    assert_eq!((done.code, done.out.as_str(), done.err), (Some(3), "", said));
    until("ten connections", || count.load(Ordering::SeqCst) == 10).await;
    server.abort();
}

#[tokio::test]
async fn an_upload_that_is_sent_whole_and_never_answered_may_have_been_imported() {
    let host = Host::start(|_, _| Reply::Hold(Vec::new())).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("orders.csv"), ORDERS).unwrap();
    let done = impatient(&host.url(""), folder.path(), &["import", "orders.csv"]).await;
    let doubt = "does not answer. What was sent may have been imported: runboard imports shows it.";
    assert_eq!((done.code, done.out.as_str()), (Some(3), ""), "{done:?}");
    assert_eq!(done.err.lines().last(), Some(format!("{} {doubt}", host.url("")).as_str()), "{done:?}");
}

#[tokio::test]
async fn a_request_that_is_never_answered_ends() {
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{ \"data\": [";
    for answer in [&b""[..], half] {
        let host = Host::start(move |_, _| Reply::Hold(answer.to_vec())).await;
        let folder = tempfile::tempdir().unwrap();
        let done = impatient(&host.url(""), folder.path(), &["imports"]).await;
        assert_eq!((done.code, done.err), (Some(3), format!("{} does not answer.\n", host.url(""))));
    }
}

#[tokio::test]
async fn a_request_that_makes_something_is_sent_ten_times_with_one_key() {
    let host = Host::start(|_, _| Reply::status("503 Service Unavailable", "")).await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = client(folder.path(), &["retry", ID]);
    command.env("RUNBOARD_URL", host.url("")).env("RUNBOARD_TOKEN", "rb_x");
    let done = ended(command).await;
    let said = format!("{} answered 503 Service Unavailable.", host.url(""));
    assert_eq!((done.code, done.err), (Some(3), format!("{said} Trying again.\n{said}\n")));
    let asked = host.asked();
    let key = |request: &String| {
        let lines = request.lines().find(|line| line.to_lowercase().starts_with("idempotency-key: "));
        lines.unwrap().to_owned()
    };
    assert_eq!((asked.len(), asked.iter().map(key).collect::<BTreeSet<_>>().len()), (10, 1), "{asked:?}");
}
