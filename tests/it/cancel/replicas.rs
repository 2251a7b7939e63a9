//! Cancelling at one replica while the one that leads sends the event.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use runboard::{
    base::{
        ids::{ImportId, UserId},
        time::UnixMillis,
    },
    files::Storage,
    imports::{FileName, ImportOptions, ImportState, Upload},
    inngest::{Client, Limits},
};
use sqlx::AnyPool;

use super::fake_engine::{HELD, add_account, held, serve};
use crate::{
    client,
    inngest_api::until,
    support::{database, peer::Peer},
};

/// An engine at `origin` on which no send that it holds ends by itself.
fn patient(origin: &str) -> Client {
    let limits = Limits { request_timeout: HELD, poll_timeout: HELD, ..client::limits() };
    client::client_with(origin, limits)
}

async fn accept(at: &Peer, owner: UserId) -> ImportId {
    let mut file = at.storage.receive_upload(0).await.unwrap();
    file.write(b"a\n1\n").await.unwrap();
    let name = FileName::from_client("a.csv");
    let upload = Upload { file_name: name, receiving_at: UnixMillis::now(), file };
    at.imports.accept(owner, upload, ImportOptions::default()).await.unwrap().id
}

async fn cancel(at: &Peer, owner: UserId, id: ImportId) {
    let import = at.imports.get(owner, id).await.unwrap().unwrap();
    assert!(at.imports.cancel(&import).await.unwrap());
}

/// Waits until it shows the import in this state. Returns whether the event counts as sent.
async fn shows(at: &Peer, owner: UserId, id: ImportId, state: ImportState) -> bool {
    let look = || async {
        match at.imports.get(owner, id).await {
            Ok(Some(import)) if import.state() == state => Ok(import.row.sent_at.is_some()),
            other => Err(other),
        }
    };
    until(&format!("{state:?}"), look).await
}

#[tokio::test]
async fn a_cancel_at_a_replica_that_does_not_lead_breaks_off_the_send_of_the_one_that_does() {
    let folder = tempfile::tempdir().unwrap();
    let url = database::on_postgres(folder.path());
    let engine = Arc::new(Mutex::new(held()));
    let server = serve(&engine).await;
    let storage = Storage::open(folder.path().join("files")).unwrap();
    let leader = Peer::join(&url, "leader", &storage, patient(&server.uri())).await;
    let other = Peer::join(&url, "other", &storage, patient(&server.uri())).await;
    assert!(leader.replicas.leads() && !other.replicas.leads());
    let (pool, owner) = (AnyPool::connect(&url).await.unwrap(), UserId::generate());
    add_account(&pool, owner, "mira@example.org").await;
    let sends = || engine.lock().unwrap().sends;
    let holds = |time: Duration| engine.lock().unwrap().holds_sends = time;
    // Watched where it was accepted.
    for accepts in [&other, &leader] {
        holds(HELD);
        let before = sends();
        let import = accept(accepts, owner).await;
        until("the event on its way", || async { if sends() > before { Ok(()) } else { Err(before) } }).await;
        // It hears of the import a moment after the engine.
        shows(&other, owner, import, ImportState::Accepted).await;
        let before = sends();
        cancel(&other, owner, import).await;
        for peer in [&other, &leader] {
            assert!(!shows(peer, owner, import, ImportState::Cancelled).await, "it was not sent");
        }
        // One event of a user is on its way at a time: this one goes once the first one is broken off.
        holds(Duration::ZERO);
        let next = accept(&other, owner).await;
        for peer in [&other, &leader] {
            assert!(shows(peer, owner, next, ImportState::Sent).await);
        }
        assert_eq!(sends(), before + 1, "of the second import alone");
        for peer in [&other, &leader] {
            assert!(!shows(peer, owner, import, ImportState::Cancelled).await, "it was not sent");
        }
    }
    let waiting: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM outbox").fetch_one(&pool).await.unwrap();
    assert_eq!(waiting, 0);
    pool.close().await;
    other.stop().await;
    leader.stop().await;
}
