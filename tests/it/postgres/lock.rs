//! The lock by which one process has a database for itself.

use std::{
    fs::{self, File},
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use reqwest::StatusCode;
use runboard::store::{LockState, ProcessLock, Sharing};

use super::wired;
use crate::{
    start_and_stop::refusal,
    support::{
        binary::{Binary, run, runboard},
        postgres::{Postgres, spawn_app_on_postgres},
        until,
        visitor::Visitor,
    },
};

#[tokio::test]
async fn a_lock_that_the_database_keeps_for_our_own_broken_connection_is_not_called_anothers() {
    let postgres = Postgres::start();
    let (wire, url) = wired(&postgres.url).await;
    let mut lock =
        ProcessLock::take(&url, Sharing::Nobody, Duration::ZERO).await.unwrap().expect("the lock is free");
    wire.cut();
    assert_eq!(lock.check().await, LockState::KeptForLostConnection);
    assert!(!*lock.held().borrow());
    postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'");
    let start = Instant::now();
    let mut state = lock.check().await;
    while state != LockState::Held {
        assert!(start.elapsed() < Duration::from_secs(30), "{state:?}");
        state = lock.check().await;
    }
}

/// Two processes on one database, the second with a copy of the first one's data folder.
#[tokio::test]
async fn a_second_process_on_the_same_database_is_refused_and_a_restart_waits_for_the_first() {
    let postgres = Postgres::start();
    let data = tempfile::tempdir().unwrap();
    let program = |data: &Path| {
        let mut command = runboard(data);
        command.env("RUNBOARD_DATABASE_URL", &postgres.url);
        command
    };
    let mut first = Binary::start(&mut program(data.path()));
    let mut visitor = Visitor::new(&first.origin);
    visitor.sign_up("mira@example.org").await;
    let copy = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-a").arg(data.path()).arg(copy.path()).status().unwrap();
    assert!(copied.success());
    let copy = copy.path().join(data.path().file_name().unwrap());

    let line = refusal(&run(program(&copy).env("RUST_LOG", "off")));
    assert!(line.starts_with("The database is in use by another Runboard"), "{line}");
    // The first process continues.
    let import = visitor.upload("a.csv", "a,b\n1,2\n").await;
    visitor.wait_for_state(&import, "Completed").await;

    // A restart: the new process waits until the old one has ended.
    let log = copy.with_extension("log");
    let mut command = program(&copy);
    command.stderr(File::create(&log).unwrap());
    let second = thread::spawn(move || Binary::start(&mut command));
    let waits = || fs::read_to_string(&log).unwrap().contains("Waiting up to 15 s until the other one ends");
    until("the second process to wait for the lock", waits).await;
    let said = fs::read_to_string(&log).unwrap();
    let what_to_set = said.split("Waiting up to").next().unwrap();
    assert!(
        what_to_set.contains("To share it, set RUNBOARD_STORAGE_URL to the same bucket"),
        "it comes first: {said}"
    );
    assert_eq!(visitor.get("/readyz").await.status(), StatusCode::OK, "the first holds the lock");
    first.terminate();
    assert_eq!(first.wait().0.code(), Some(0));
    let second = second.join().unwrap();
    visitor.origin.clone_from(&second.origin);
    assert_eq!(visitor.panel(&import).await.state, "Completed");
}

#[tokio::test]
async fn a_lock_whose_connection_breaks_is_taken_again_and_meanwhile_nothing_is_dispatched() {
    let postgres = Postgres::start();
    let url = postgres.url.clone();
    let mut lock =
        ProcessLock::take(&url, Sharing::Nobody, Duration::ZERO).await.unwrap().expect("the lock is free");
    let held = lock.held();
    assert!(lock.check().await == LockState::Held && *held.borrow());
    assert!(
        ProcessLock::take(&url, Sharing::Nobody, Duration::from_millis(300)).await.unwrap().is_none(),
        "one at a time"
    );

    // The connection breaks, and no other process exists.
    postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'");
    assert!(lock.check().await == LockState::Held && *held.borrow(), "it is taken again at once");

    // The connection breaks, and another process is faster.
    postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'");
    let other = ProcessLock::take(&url, Sharing::Nobody, Duration::from_secs(10))
        .await
        .unwrap()
        .expect("it was given up");
    assert!(lock.check().await == LockState::Taken && !*held.borrow());
    assert!(lock.check().await == LockState::Taken && !*held.borrow());
    drop(other);
    let start = Instant::now();
    while lock.check().await != LockState::Held {
        assert!(start.elapsed() < Duration::from_secs(30), "the lock is free, and not taken");
    }
    assert!(*held.borrow());
}

#[tokio::test]
async fn without_the_lock_a_server_starts_no_runs_and_says_that_it_is_not_ready() {
    let (app, postgres) = spawn_app_on_postgres().await;
    let visitor = app.signed_in().await;
    // The connection breaks, and another process is faster.
    let other = loop {
        postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'");
        if let Some(other) = ProcessLock::take(&postgres.url, Sharing::Nobody, Duration::ZERO).await.unwrap()
        {
            break other;
        }
    };
    let readyz = async || {
        let answer = visitor.get("/readyz").await;
        (answer.status(), answer.text().await.unwrap())
    };
    let mut last = readyz().await;
    let start = Instant::now();
    while last.0 != StatusCode::SERVICE_UNAVAILABLE {
        assert!(start.elapsed() < Duration::from_secs(30), "{last:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
        last = readyz().await;
    }
    assert!(last.1.contains("database: in use by another Runboard"), "{last:?}");
    let import = visitor.upload("a.csv", "a,b\n1,2\n").await;
    visitor
        .wait_for(&import, "a run that waits", |panel| panel.runs.iter().any(|run| run.status == "Scheduled"))
        .await;
    drop(other);
    visitor.wait_for_state(&import, "Completed").await;
    app.stop().await;
}
