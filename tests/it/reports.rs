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
use sqlx::AnyPool;

use crate::{
    client::{self, run_id},
    inngest_api::until,
    next_attempt::{engine_with_a_run, sent_import},
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

#[tokio::test]
async fn a_report_at_any_replica_counts_at_all_however_many_runs_are_invented() {
    let folder = tempfile::tempdir().unwrap();
    let url = database::on_postgres(folder.path());
    sqlx::any::install_default_drivers();
    let pool = AnyPool::connect(&url).await.unwrap();
    let (engine, (owner, import)) = (engine_with_a_run().await, sent_import(&pool).await);
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
