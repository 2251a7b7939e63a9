//! Progress that other people's functions report at any replica, about runs that one of them watches.

use runboard::{
    base::{
        ids::{ImportId, RunId, UserId},
        time::UnixMillis,
    },
    csv::Counts,
    files::Storage,
    progress::ProgressReport,
};
use serde_json::json;
use sqlx::AnyPool;
use wiremock::{Mock, MockServer, matchers::path};

use crate::{
    client::{self, EVENT, RUN, run_id, text},
    inngest_api::until,
    support::{database, peer::Peer},
};

fn report(at: &Peer, run: &RunId, processed: u64) {
    let report = ProgressReport { counts: Counts { processed, failed: 0 }, total_rows: None };
    at.progress.report(run, report, UnixMillis::now());
}

fn processed(of: &Peer) -> Option<u64> {
    of.progress.now(&run_id())?.counts.map(|counts| counts.processed)
}

async fn shows_the_run(at: &Peer, owner: UserId, import: ImportId) {
    let look = || async {
        let shown = at.imports.get(owner, import).await.map_err(|error| error.to_string())?;
        let runs = shown.map(|import| import.into_snapshot().runs.len());
        if runs == Some(1) { Ok(()) } else { Err(format!("{runs:?} runs")) }
    };
    until("the run", look).await;
}

/// An engine that lists one run of another function, and the import whose event triggered it.
async fn running(pool: &AnyPool) -> (MockServer, UserId, ImportId) {
    let engine = MockServer::start().await;
    let runs = json!({"data": [{
        "run_id": RUN, "run_started_at": "2026-11-23T20:46:12.043Z", "function_id": "f",
        "event_id": EVENT, "status": "Running", "ended_at": null
    }]});
    Mock::given(path(format!("/v1/events/{EVENT}/runs")))
        .respond_with(text(200, &runs.to_string()))
        .mount(&engine)
        .await;
    let (owner, import) = (UserId::generate(), ImportId::generate());
    sqlx::query("INSERT INTO account (id, email, password_hash, created_at) VALUES ($1, 'a@b', '', 0)")
        .bind(owner.to_string())
        .execute(pool)
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO import (id, account_id, file_name, size_bytes, receiving_at, received_at, event_id, \
         sent_at) VALUES ($1, $2, 'a.csv', 1, 0, $3, $4, $3)",
    )
    .bind(import.to_string())
    .bind(owner.to_string())
    .bind(UnixMillis::now().0)
    .bind(EVENT)
    .execute(pool)
    .await
    .unwrap();
    (engine, owner, import)
}

#[tokio::test]
async fn a_report_at_any_replica_counts_at_all_however_many_runs_are_invented() {
    let folder = tempfile::tempdir().unwrap();
    let url = database::on_postgres(folder.path());
    sqlx::any::install_default_drivers();
    let pool = AnyPool::connect(&url).await.unwrap();
    let (engine, owner, import) = running(&pool).await;
    let storage = Storage::open(folder.path().join("files")).unwrap();
    let join = async |name| Peer::join(&url, name, &storage, client::client(&engine.uri())).await;
    let (one, other) = (join("one").await, join("other").await);
    let peers = [&one, &other];
    for peer in peers {
        shows_the_run(peer, owner, import).await;
    }
    // One of them watches the run, and the other one passes its report on.
    for (peer, count) in [(&one, 5), (&other, 9)] {
        let counted = || async {
            for invented in 0..2_000 {
                report(peer, &RunId::from(format!("invented {invented}")), 1);
            }
            report(peer, &run_id(), count);
            let known = peers.map(processed);
            if known == [Some(count); 2] { Ok(()) } else { Err(known) }
        };
        until("the report at both", counted).await;
    }
    one.stop().await;
    other.stop().await;
}
