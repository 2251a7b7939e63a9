//! Lost connections: one import, and its end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{io::AsyncReadExt, net::TcpListener};

use super::{Desk, Ended, MILLIS, ORDERS, ORDERS_OUTPUT, client, ended};
use crate::support::{
    host::{Host, Reply, with_body},
    proxy::{Behaviour, Proxy},
};

/// Imports through a proxy that treats the first requests of a method in a certain way. Returns also how many requests
/// of that method came.
async fn import_through(desk: &Desk, method: &'static str, bad: &[Behaviour]) -> (Ended, usize) {
    let proxy = Proxy::start(&desk.app.origin.parse().unwrap()).await;
    let (bad, count) = (bad.to_vec(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    proxy.behave(move |request| {
        if !request.target().starts_with(method) {
            return Behaviour::Pass;
        }
        bad.get(counted.fetch_add(1, Ordering::SeqCst)).copied().unwrap_or(Behaviour::Pass)
    });
    desk.file("orders.csv", ORDERS);
    let mut command = desk.command(&["import", "orders.csv"]);
    command.env("RUNBOARD_URL", proxy.origin.as_str());
    (ended(command).await, count.load(Ordering::SeqCst))
}

#[tokio::test]
async fn an_upload_that_broke_off_or_whose_answer_was_lost_makes_one_import() {
    for bad in [
        &[Behaviour::CutBeforeAnswer][..],
        &[Behaviour::CutInAnswer],
        &[Behaviour::HalfARequest, Behaviour::CutBeforeAnswer],
        &[Behaviour::Reset],
        &[Behaviour::Status(502), Behaviour::Status(503), Behaviour::CutBeforeAnswer],
    ] {
        let desk = Desk::new().await;
        let (done, posts) = import_through(&desk, "POST", bad).await;
        assert_eq!((done.code, done.output()), (Some(0), ORDERS_OUTPUT), "{bad:?}: {done:?}");
        assert_eq!(posts, bad.len() + 1, "{bad:?}");
        assert_eq!(done.err.lines().count(), 1, "said once: {done:?}");
        assert!(done.err.ends_with(" Trying again.\n"), "{done:?}");
        assert_eq!(desk.imports().await.len(), 1, "{bad:?}");
        desk.stop().await;
    }
}

#[tokio::test]
async fn waiting_goes_on_after_lost_connections_and_nothing_is_sent_again() {
    let desk = Desk::new().await;
    let bad = [Behaviour::Reset, Behaviour::CutBeforeAnswer, Behaviour::CutInAnswer, Behaviour::Status(502)];
    let (done, gets) = import_through(&desk, "GET", &bad).await;
    assert_eq!((done.code, done.output()), (Some(0), ORDERS_OUTPUT), "{done:?}");
    assert!(gets > bad.len(), "{gets}");
    assert_eq!(done.err.lines().count(), 1, "said once: {done:?}");
    assert_eq!(desk.imports().await.len(), 1);
    desk.stop().await;
}

#[tokio::test]
async fn a_refusal_is_final() {
    let desk = Desk::new().await;
    let (done, posts) = import_through(&desk, "POST", &[Behaviour::Status(500)]).await;
    assert_eq!((done.code, posts), (Some(3), 1), "{done:?}");
    assert!(done.err.ends_with(" answered 500 Internal Server Error.\n"), "{done:?}");
    assert!(desk.imports().await.is_empty());
    desk.stop().await;
}

#[tokio::test]
async fn a_pipe_cannot_be_sent_again_which_is_said() {
    let desk = Desk::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    // Closes each connection once a part of the file has arrived.
    let server = tokio::spawn(async move {
        loop {
            let (mut connection, mut arrived) = (listener.accept().await.unwrap().0, Vec::new());
            while !arrived.windows(ORDERS.len()).any(|bytes| bytes == ORDERS.as_bytes()) {
                assert_ne!(connection.read_buf(&mut arrived).await.unwrap(), 0, "all of it");
            }
        }
    });
    desk.file("orders.csv", ORDERS);
    let mut cat = std::process::Command::new("cat");
    cat.arg(desk.folder.path().join("orders.csv")).stdout(std::process::Stdio::piped());
    let mut cat = cat.spawn().unwrap();
    let mut command = desk.command(&["import", "-"]);
    command.env("RUNBOARD_URL", origin).stdin(cat.stdout.take().unwrap());
    let done = ended(command).await;
    cat.wait().unwrap();
    assert_eq!(done.code, Some(3), "{done:?}");
    let sentence = " What comes from a pipe cannot be sent again; a file can.";
    assert!(done.err.contains(sentence) && done.err.lines().count() == 1, "{done:?}");
    assert!(desk.imports().await.is_empty());
    server.abort();
    desk.stop().await;
}

#[tokio::test]
async fn a_server_that_asks_for_a_pause_gets_it() {
    let host = Host::start(|_, asked| match asked {
        0 => Reply::Bytes(with_body("429 Too Many Requests", "Retry-After: 1\r\n", b"")),
        _ => Reply::file(json!({ "data": [], "next": null }).to_string()),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = client(folder.path(), &["imports"]);
    command.env("RUNBOARD_URL", host.url("")).env("RUNBOARD_TOKEN", "rb_x");
    // Longer than the pause that it would make by itself.
    command.env_remove(MILLIS);
    let start = Instant::now();
    let done = ended(command).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(host.asked().len(), 2);
}

/// A file that is not the same when it is sent again is another request.
#[tokio::test]
async fn a_file_that_changes_while_it_is_sent_again_makes_no_second_import() {
    for (now, sentence) in [
        (ORDERS.replace("Ada", "Bob"), "orders.csv has changed since it was sent first."),
        (ORDERS[..10].to_owned(), "orders.csv became shorter while it was sent."),
    ] {
        let desk = Desk::new().await;
        let proxy = Proxy::start(&desk.app.origin.parse().unwrap()).await;
        let path = desk.file("orders.csv", ORDERS);
        proxy.behave(move |request| {
            if !request.target().starts_with("POST") || std::fs::read_to_string(&path).unwrap() == now {
                return Behaviour::Pass;
            }
            std::fs::write(&path, &now).unwrap();
            Behaviour::CutBeforeAnswer
        });
        let mut command = desk.command(&["import", "orders.csv"]);
        command.env("RUNBOARD_URL", proxy.origin.as_str());
        let done = ended(command).await;
        assert_eq!((done.code, done.out.as_str()), (Some(3), ""), "{done:?}");
        let doubt = "What was sent may have been imported: runboard imports shows it.";
        assert_eq!(done.err.lines().last(), Some(format!("{sentence} {doubt}").as_str()), "{done:?}");
        assert_eq!(desk.imports().await.len(), 1);
        desk.stop().await;
    }
}
