//! Cancelling at one replica while the one that leads sends the event.

use std::{
    future::ready,
    sync::{Arc, Mutex},
    time::Duration,
};

use runboard::{
    base::{
        ids::{ImportId, UserId},
        tasks::Tasks,
        time::UnixMillis,
    },
    files::Storage,
    imports::{Dependencies, FileName, ImportOptions, ImportState, Imports, Upload},
    inngest::Limits,
    progress::ProgressRegistry,
    replicas::Replicas,
    store::Store,
};
use sqlx::AnyPool;

use super::fake_engine::{HELD, add_account, held, serve};
use crate::{
    client,
    inngest_api::until,
    support::{database, parts},
};

/// Generous, because nothing here tests speed.
const DEADLINE: Duration = Duration::from_secs(60);

/// A process that shares the database, the files and the engine with another one.
struct Peer {
    imports: Imports,
    replicas: Replicas,
    storage: Storage,
    members: Tasks,
}

impl Peer {
    /// `folder` names its data folder.
    async fn join(url: &str, folder: &'static str, storage: &Storage, engine: &str) -> Self {
        let (store, members) = (Store::open(url).await.unwrap(), Tasks::on_this_runtime());
        let replicas = Replicas::join(url, store.clone(), folder, None, &members).await.unwrap();
        let progress = ProgressRegistry::on(replicas.bus().clone());
        members.spawn(progress.clone().exchange(members.stopping().clone()));
        // No send that the engine holds ends by itself.
        let limits = Limits { request_timeout: HELD, poll_timeout: HELD, ..client::limits() };
        let imports = Imports::new(Dependencies {
            replicas: replicas.clone(),
            ..parts(store, storage.clone(), client::client_with(engine, limits), progress)
        });
        imports.start(ready(())).await.unwrap();
        Self { imports, replicas, storage: storage.clone(), members }
    }

    async fn import(&self, owner: UserId) -> ImportId {
        let mut file = self.storage.receive_upload(0).await.unwrap();
        file.write(b"a\n1\n").await.unwrap();
        let name = FileName::from_client("a.csv");
        let upload = Upload { file_name: name, receiving_at: UnixMillis::now(), file };
        self.imports.accept(owner, upload, ImportOptions::default()).await.unwrap().id
    }

    async fn cancel(&self, owner: UserId, id: ImportId) {
        let import = self.imports.get(owner, id).await.unwrap().unwrap();
        assert!(self.imports.cancel(&import).await.unwrap());
    }

    /// Waits until it shows the import in this state. Returns whether the event counts as sent.
    async fn shows(&self, owner: UserId, id: ImportId, state: ImportState) -> bool {
        let look = || async {
            match self.imports.get(owner, id).await {
                Ok(Some(import)) if import.state() == state => Ok(import.row.sent_at.is_some()),
                other => Err(other),
            }
        };
        until(&format!("{state:?}"), look).await
    }

    async fn stop(self) {
        assert_eq!(self.imports.stop().await, 0);
        assert_eq!(self.members.stop(DEADLINE).await, 0);
    }
}

#[tokio::test]
async fn a_cancel_at_a_replica_that_does_not_lead_breaks_off_the_send_of_the_one_that_does() {
    let folder = tempfile::tempdir().unwrap();
    let url = database::on_postgres(folder.path());
    let engine = Arc::new(Mutex::new(held()));
    let server = serve(&engine).await;
    let storage = Storage::open(folder.path().join("files")).unwrap();
    let leader = Peer::join(&url, "leader", &storage, &server.uri()).await;
    let follower = Peer::join(&url, "follower", &storage, &server.uri()).await;
    assert!(leader.replicas.leads() && !follower.replicas.leads());
    let (pool, owner) = (AnyPool::connect(&url).await.unwrap(), UserId::generate());
    add_account(&pool, owner, "mira@example.org").await;
    let sends = || engine.lock().unwrap().sends;
    let holds = |time: Duration| engine.lock().unwrap().holds_sends = time;
    // Watched where it was accepted.
    for accepts in [&follower, &leader] {
        holds(HELD);
        let before = sends();
        let import = accepts.import(owner).await;
        until("the event on its way", || async { if sends() > before { Ok(()) } else { Err(before) } }).await;
        // It hears of the import a moment after the engine.
        follower.shows(owner, import, ImportState::Accepted).await;
        let before = sends();
        follower.cancel(owner, import).await;
        for peer in [&follower, &leader] {
            assert!(!peer.shows(owner, import, ImportState::Cancelled).await, "it was not sent");
        }
        // One event of a user is on its way at a time: this one goes once the first one is broken off.
        holds(Duration::ZERO);
        let next = follower.import(owner).await;
        for peer in [&follower, &leader] {
            assert!(peer.shows(owner, next, ImportState::Sent).await);
        }
        assert_eq!(sends(), before + 1, "of the second import alone");
        for peer in [&follower, &leader] {
            assert!(!peer.shows(owner, import, ImportState::Cancelled).await, "it was not sent");
        }
    }
    let waiting: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM outbox").fetch_one(&pool).await.unwrap();
    assert_eq!(waiting, 0);
    pool.close().await;
    follower.stop().await;
    leader.stop().await;
}
