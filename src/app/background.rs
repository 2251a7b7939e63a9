//! The periodic tasks of the server. Most of them are for all replicas, and done by the one that leads.

use std::{io, sync::Arc, time::Duration};

use actix_web::web;
use tokio::{task::spawn_blocking, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{StartError, stored_files};
use crate::{
    accounts::Accounts,
    base::{tasks::Tasks, time::UnixMillis},
    engine,
    files::Storage,
    function::Processor,
    imports::Imports,
    inngest::{self, Client},
    replicas::{Rates, Replicas, Work},
    store::{Store, quota::Quota},
    webhooks::Webhooks,
};

/// How often old data of runs that belong to no import is deleted.
const SWEEP_RUNS_EVERY: Duration = Duration::from_secs(60 * 60);

/// How often files that have been in quarantine for a day are searched for.
const SWEEP_QUARANTINE_EVERY: Duration = Duration::from_secs(60 * 60);

/// How often all stored files are checked for a row, and how soon again after a check that failed.
const CHECK_FILES_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
const CHECK_FILES_AGAIN_AFTER: Duration = Duration::from_secs(60 * 60);

/// How soon a session that was ended from the command line ends in this process.
const SWEEP_SESSIONS_EVERY: Duration = Duration::from_secs(30);

/// How soon after its time a held import is deleted.
const SWEEP_HELD_EVERY: Duration = Duration::from_secs(60);

/// How soon the deletion of an account goes on whose imports are still being cancelled, and how often accounts are
/// searched for whose deletion another process has begun.
const DELETE_ACCOUNTS_EVERY: Duration = Duration::from_secs(1);
const SEARCH_LEAVING_EVERY: Duration = Duration::from_secs(60);

/// How soon files of deleted imports that could not be removed from a bucket are tried again.
const FINISH_DELETIONS_EVERY: Duration = Duration::from_secs(60);

/// How often the keys of requests that are over a day old are forgotten.
const FORGET_ANSWERS_EVERY: Duration = Duration::from_secs(60 * 60);

/// How often the deliveries of webhooks that are over a week old are forgotten.
const PRUNE_DELIVERIES_EVERY: Duration = Duration::from_secs(60 * 60);

/// How often the rows of limits that count nothing any more are deleted.
const SWEEP_RATES_EVERY: Duration = Duration::from_secs(60);

/// Starts all of them; they run until `tasks` is stopped.
pub(super) fn start(
    tasks: &Tasks,
    accounts: web::Data<Accounts>,
    imports: Imports,
    processor: web::Data<Processor>,
    storage: Storage,
    store: Store,
    replicas: &Replicas,
) {
    let accounts = accounts.into_inner();
    let deletes = (Arc::clone(&accounts), imports.clone(), replicas.clone(), tasks.stopping().clone());
    tasks.spawn(async move {
        let (accounts, imports, replicas, stopping) = deletes;
        let delete = |term| delete_accounts(&accounts, &imports, &replicas, term);
        replicas.lead(Work::Leaving, accounts.somebody_leaves(), &stopping, delete).await;
    });
    if storage.bucket().is_some() {
        let (imports, replicas, stopping) = (imports.clone(), replicas.clone(), tasks.stopping().clone());
        tasks.spawn(async move {
            let finish = |term| finish_deletions(&imports, term);
            replicas.lead(Work::Files, imports.files_to_delete(), &stopping, finish).await;
        });
    }
    // What this process has in memory, and what is in its folder.
    let stopping = tasks.stopping().clone();
    tasks.spawn(repeat(stopping, SWEEP_SESSIONS_EVERY, move |_| sweep_sessions(Arc::clone(&accounts))));
    let (folder, rows, stopping) = (storage.clone(), store.clone(), tasks.stopping().clone());
    tasks.spawn(repeat(stopping, SWEEP_QUARANTINE_EVERY, move |_| {
        sweep_quarantine(folder.clone(), rows.clone())
    }));

    let its_imports = imports.clone();
    lead(tasks, replicas, SWEEP_HELD_EVERY, move |_| sweep_held(its_imports.clone()));
    lead(tasks, replicas, FORGET_ANSWERS_EVERY, move |_| forget_answers(imports.clone()));
    let (processor, its_store) = (processor.into_inner(), store.clone());
    lead(tasks, replicas, SWEEP_RUNS_EVERY, move |term| {
        sweep_runs(Arc::clone(&processor), its_store.clone(), term)
    });
    let (replicas, stopping) = (replicas.clone(), tasks.stopping().clone());
    tasks.spawn(async move {
        replicas.while_leading(&stopping, |term| check_files(&storage, &store, term)).await;
    });
}

/// Tells the ends of imports to webhooks until `tasks` is stopped.
pub(super) fn tell_ends(tasks: &Tasks, webhooks: Webhooks, replicas: &Replicas) {
    tasks.spawn(webhooks.clone().run(tasks.stopping().clone()));
    lead(tasks, replicas, PRUNE_DELIVERIES_EVERY, move |_| prune_deliveries(webhooks.clone()));
}

/// Deletes the rows of limits that count nothing any more, if there are such rows, in the replica that leads.
pub(super) fn sweep_rates(tasks: &Tasks, replicas: &Replicas, rates: Rates) {
    if !replicas.is_alone() {
        lead(tasks, replicas, SWEEP_RATES_EVERY, move |_| delete_old_rates(rates.clone()));
    }
}

async fn delete_old_rates(rates: Rates) {
    if let Err(error) = rates.sweep().await {
        tracing::error!(%error, "cannot delete the rows of limits that count nothing any more");
    }
}

/// Runs `sweep` when this process begins to lead and after every `pause`, while it does, until `tasks` is stopped.
fn lead<F: Future<Output = ()> + Send>(
    tasks: &Tasks,
    replicas: &Replicas,
    pause: Duration,
    sweep: impl Fn(CancellationToken) -> F + Send + Sync + 'static,
) {
    let (replicas, stopping) = (replicas.clone(), tasks.stopping().clone());
    tasks.spawn(async move { replicas.while_leading(&stopping, |term| repeat(term, pause, &sweep)).await });
}

/// Runs `sweep` now and after every `pause`, until `stopping`.
async fn repeat<F: Future<Output = ()>>(
    stopping: CancellationToken,
    pause: Duration,
    sweep: impl Fn(CancellationToken) -> F,
) {
    loop {
        sweep(stopping.clone()).await;
        if stopping.run_until_cancelled(sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// Reports a wrong event key to the operator at start, because registering uses only the signing key.
pub(super) async fn check_event_key(client: Client) {
    if let Err(inngest::Error::Unauthorized { message, .. }) = client.check_event_api().await {
        tracing::error!(%message, "the engine does not accept the event key: no import can be sent");
    }
}

/// Deletes the accounts whose users have left, until `stopping`. Whoever leads next goes on.
async fn delete_accounts(
    accounts: &Accounts,
    imports: &Imports,
    replicas: &Replicas,
    stopping: CancellationToken,
) {
    while let Some(deleted) = stopping.run_until_cancelled(delete_leaving(accounts, imports)).await {
        let pause = match deleted {
            Ok(0) => replicas.rest(SEARCH_LEAVING_EVERY),
            Ok(_) => DELETE_ACCOUNTS_EVERY,
            Err(error) => {
                tracing::error!("an account cannot be deleted yet: {error:#}");
                SEARCH_LEAVING_EVERY
            }
        };
        tokio::select! {
            () = stopping.cancelled() => return,
            () = sleep(pause) => {}
            () = accounts.somebody_leaves().notified() => {}
        }
    }
}

/// Returns how many accounts are left, because an import is still being cancelled.
async fn delete_leaving(accounts: &Accounts, imports: &Imports) -> anyhow::Result<usize> {
    let mut left = 0;
    for user in accounts.leaving().await? {
        if imports.delete_all(user).await? == 0 && accounts.delete(user).await? {
            tracing::info!(%user, "deleted an account");
        } else {
            left += 1;
        }
    }
    Ok(left)
}

/// Removes the files of deleted imports from the bucket, one import after the other, until `stopping`. Whoever leads
/// next goes on.
async fn finish_deletions(imports: &Imports, stopping: CancellationToken) {
    while let Some(finished) = stopping.run_until_cancelled(imports.finish_deletions()).await {
        if let Err(error) = finished {
            tracing::warn!("files of deleted imports are left in the bucket for now: {error}");
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            () = sleep(FINISH_DELETIONS_EVERY) => {}
            () = imports.files_to_delete().notified() => {}
        }
    }
}

/// Deletes what our function and the embedded engine keep of runs that belong to no import. While Inngest is
/// connected, the tables of the embedded engine may still contain rows from before.
async fn sweep_runs(processor: Arc<Processor>, store: Store, stopping: CancellationToken) {
    match processor.sweep_orphaned_runs(UnixMillis::now()).await {
        Ok(0) => {}
        Ok(runs) => tracing::info!(runs, "removed the files of orphaned runs"),
        Err(error) => tracing::error!(%error, "cannot sweep orphaned runs"),
    }
    match engine::prune(&store, &stopping, UnixMillis::now()).await {
        Ok(0) => {}
        Ok(events) => {
            tracing::info!(events, "deleted events of the embedded engine a day after their runs ended");
        }
        Err(error) => tracing::error!(%error, "cannot prune the events of the embedded engine"),
    }
}

async fn check_files(storage: &Storage, store: &Store, stopping: CancellationToken) {
    let check = async || {
        let checked = stopping.run_until_cancelled(stored_files::sweep(storage, store)).await?;
        let pause = match checked {
            Ok(()) => CHECK_FILES_EVERY,
            Err(error @ StartError::FilesWithoutRows { .. }) => {
                tracing::error!(%error, "stored files that no row names stay where they are");
                CHECK_FILES_AGAIN_AFTER
            }
            Err(error) => {
                tracing::error!(%error, "cannot check the stored files");
                CHECK_FILES_AGAIN_AFTER
            }
        };
        stopping.run_until_cancelled(sleep(pause)).await
    };
    while check().await.is_some() {}
}

async fn sweep_quarantine(storage: Storage, store: Store) {
    match sweep_quarantine_once(&storage, &store).await {
        Ok(0) => {}
        Ok(moves) => tracing::info!(moves, "deleted files that had been in quarantine for a day"),
        Err(error) => tracing::error!(%error, "cannot sweep the quarantine"),
    }
}

/// Deletes no file that a row names, and nothing at all unless the database can say which files those are.
async fn sweep_quarantine_once(storage: &Storage, store: &Store) -> Result<usize, StartError> {
    stored_files::bring_back_named(storage, store).await?;
    let Some(local) = storage.local().cloned() else { return Ok(0) };
    let swept = spawn_blocking(move || local.sweep_quarantine(UnixMillis::now()));
    Ok(swept.await.map_err(io::Error::other)??)
}

async fn sweep_held(imports: Imports) {
    match imports.delete_held(UnixMillis::now()).await {
        Ok(0) => {}
        Ok(held) => tracing::info!(held, "deleted imports that were not started in time"),
        Err(error) => tracing::error!(%error, "cannot sweep held imports"),
    }
}

async fn forget_answers(imports: Imports) {
    if let Err(error) = imports.forget_answers(UnixMillis::now()).await {
        tracing::error!(%error, "cannot forget the keys of old requests");
    }
}

/// Tells the other replicas again what this one has reserved of quotas whenever it has joined them under another id,
/// until `tasks` is stopped.
pub fn tell_reserved(tasks: &Tasks, replicas: &Replicas, quota: Quota) {
    if replicas.is_alone() {
        return;
    }
    let (mut tenure, stopping) = (replicas.tenure(), tasks.stopping().clone());
    let tell = async move {
        let mut told = tenure.borrow_and_update().id.clone();
        // The sender is in the keeper of the row, which ends with `tasks`.
        while tenure.changed().await.is_ok() {
            let id = tenure.borrow_and_update().id.clone();
            if id.is_some() && id != told {
                quota.tell_again();
                told = id;
            }
        }
    };
    tasks.spawn(async move { stopping.run_until_cancelled(tell).await });
}

async fn prune_deliveries(webhooks: Webhooks) {
    if let Err(error) = webhooks.prune(UnixMillis::now()).await {
        tracing::error!(%error, "cannot forget old deliveries of webhooks");
    }
}

async fn sweep_sessions(accounts: Arc<Accounts>) {
    if let Err(error) = accounts.sweep_sessions().await {
        tracing::error!(%error, "cannot sweep sessions");
    }
}
