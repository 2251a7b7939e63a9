//! The periodic tasks of the server.

use std::{io, sync::Arc, time::Duration};

use actix_web::web;
use tokio::{task::spawn_blocking, time::sleep};

use super::{StartError, stored_files};
use crate::{
    accounts::Accounts,
    base::{tasks::Tasks, time::UnixMillis},
    files::Storage,
    function::Processor,
    inngest::{self, Client},
    store::Store,
};

/// How often the files of orphaned runs are searched for.
const SWEEP_ORPHANED_RUNS_EVERY: Duration = Duration::from_secs(60 * 60);

/// How often files that have been in quarantine for a day are searched for.
const SWEEP_QUARANTINE_EVERY: Duration = Duration::from_secs(60 * 60);

/// How soon a session that was ended from the command line ends in this process.
const SWEEP_SESSIONS_EVERY: Duration = Duration::from_secs(30);

/// Starts all of them; they run until `tasks` is stopped.
pub(super) fn start(
    tasks: &Tasks,
    client: Client,
    accounts: web::Data<Accounts>,
    processor: web::Data<Processor>,
    storage: Storage,
    store: Store,
) {
    tasks.spawn(check_event_key(client));
    tasks.spawn(sweep_sessions(accounts, tasks.clone()));
    tasks.spawn(sweep_orphaned_runs(processor.into_inner(), tasks.clone()));
    tasks.spawn(sweep_quarantine(storage, store, tasks.clone()));
}

/// Reports a wrong event key to the operator at start, because registering uses only the signing key.
async fn check_event_key(client: Client) {
    if let Err(inngest::Error::Unauthorized { message, .. }) = client.check_event_api().await {
        tracing::error!(%message, "the engine does not accept the event key: no import can be sent");
    }
}

async fn sweep_orphaned_runs(processor: Arc<Processor>, tasks: Tasks) {
    loop {
        match processor.sweep_orphaned_runs(UnixMillis::now()).await {
            Ok(0) => {}
            Ok(runs) => tracing::info!(runs, "removed the files of orphaned runs"),
            Err(error) => tracing::error!(%error, "cannot sweep orphaned runs"),
        }
        if tasks.stopping().run_until_cancelled(sleep(SWEEP_ORPHANED_RUNS_EVERY)).await.is_none() {
            return;
        }
    }
}

async fn sweep_quarantine(storage: Storage, store: Store, tasks: Tasks) {
    loop {
        match sweep_quarantine_once(&storage, &store).await {
            Ok(0) => {}
            Ok(moves) => tracing::info!(moves, "deleted files that had been in quarantine for a day"),
            Err(error) => tracing::error!(%error, "cannot sweep the quarantine"),
        }
        if tasks.stopping().run_until_cancelled(sleep(SWEEP_QUARANTINE_EVERY)).await.is_none() {
            return;
        }
    }
}

/// Deletes no file that a row names, and nothing at all unless the database can say which files those are.
async fn sweep_quarantine_once(storage: &Storage, store: &Store) -> Result<usize, StartError> {
    stored_files::bring_back_named(storage, store).await?;
    let files = storage.clone();
    let swept = spawn_blocking(move || files.sweep_quarantine(UnixMillis::now()));
    Ok(swept.await.map_err(io::Error::other)??)
}

async fn sweep_sessions(accounts: web::Data<Accounts>, tasks: Tasks) {
    while tasks.stopping().run_until_cancelled(sleep(SWEEP_SESSIONS_EVERY)).await.is_some() {
        if let Err(error) = accounts.sweep_sessions().await {
            tracing::error!(%error, "cannot sweep sessions");
        }
    }
}
