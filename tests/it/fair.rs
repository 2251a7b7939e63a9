//! One user's work does not delay another's.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use runboard::store::Store;
use sqlx::AnyPool;
use tokio::task::JoinSet;

use crate::{
    inngest_api::until,
    packed::{book, pack::Packed},
    support::{
        TestApp, database,
        host::{Host, Reply},
        spawn_app_on,
        visitor::{Panel, Visitor},
    },
};

/// A server with these workers and fetches that may reach `hosts`, and two users.
async fn two_people(workers: usize, fetches: usize, hosts: &[&Host]) -> (TestApp, Visitor, Visitor) {
    let allowed = hosts.iter().map(|host| host.allowed()).collect::<Vec<_>>().join(",");
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| {
        (config.workers, config.fetches) = (workers, fetches);
        config.allow_addresses =
            if allowed.is_empty() { config.allow_addresses.clone() } else { allowed.parse().unwrap() };
    })
    .await;
    let mira = app.signed_in().await;
    let mut noor = app.visitor();
    noor.sign_up("noor@example.org").await;
    (app, mira, noor)
}

fn is_fetched(panel: &Panel) -> bool {
    panel.html.contains("received")
}

/// The engine has called the function, which waits for its turn.
fn is_queued(panel: &Panel) -> bool {
    let is_called = panel.runs.iter().any(|run| run.status == "Running");
    is_called && panel.html.contains("Queued") && panel.html.contains("Waiting for a free worker since")
}

#[tokio::test]
async fn slow_addresses_keep_no_file_waiting() {
    let slow = Host::that_never_ends().await;
    let (app, mira, noor) = two_people(2, 16, &[&slow]).await;
    for name in ["/one.csv", "/two.csv", "/three.csv"] {
        let import = mira.import_address(&slow.url(name)).await;
        mira.wait_for(&import, "bytes", is_fetched).await;
    }
    for visitor in [&noor, &mira] {
        let import = visitor.upload("nine.csv", "a,b\n1,2\n\n").await;
        assert_eq!(visitor.wait_for_state(&import, "Completed").await.counts(), (1, 0));
    }
    app.stop().await;
}

#[tokio::test]
async fn one_users_addresses_leave_a_fetch_for_another_and_wait_their_turn() {
    let slow = Host::that_never_ends().await;
    let quick = Host::start(|_, _| Reply::file("a,b\n1,2\n")).await;
    let (app, mira, noor) = two_people(2, 2, &[&slow, &quick]).await;
    let first = mira.import_address(&slow.url("/first.csv")).await;
    mira.wait_for(&first, "bytes", is_fetched).await;
    let mut others = Vec::new();
    for _ in 0..20 {
        others.push(mira.import_address(&slow.url("/next.csv")).await);
    }
    for import in &others {
        let panel = mira.wait_for(import, "its turn", is_queued).await;
        assert_eq!((panel.state.as_str(), panel.runs[0].status.as_str()), ("Running", "Running"));
    }
    let import = noor.import_address(&quick.url("/quick.csv")).await;
    assert_eq!(noor.wait_for_state(&import, "Completed").await.counts(), (1, 0));

    mira.post_form(&format!("{first}/cancel"), &[]).await;
    mira.wait_for_state(&first, "Cancelled").await;
    // The free slot may go to any of them, because a call that has waited for half a minute starts to wait again.
    let fetched = || async {
        let mut fetched = 0;
        for import in &others {
            fetched += usize::from(is_fetched(&mira.panel(import).await));
        }
        if fetched == 1 { Ok(()) } else { Err(fetched) }
    };
    until("one more address being fetched", fetched).await;
    app.stop().await;
}

#[tokio::test]
async fn a_users_many_files_delay_anothers_by_one_step() {
    let (app, mira, noor) = two_people(1, 1, &[]).await;
    let busy = app.busy().await;
    let mut many = Vec::new();
    for number in 0..20 {
        many.push(mira.upload(&format!("{number}.csv"), "a\n1\n").await);
    }
    for import in &many {
        mira.wait_for(import, "its turn", is_queued).await;
    }
    let one = noor.upload("one.csv", "a\n1\n").await;
    let waiting = noor.wait_for(&one, "its turn", is_queued).await;
    drop(busy);
    noor.wait_for_state(&one, "Completed").await;
    for import in &many {
        mira.wait_for_state(import, "Completed").await;
    }
    let data = app.stop().await;
    let url = database::url(data.path());
    let database = AnyPool::connect(&url).await.unwrap();
    // In the order of their commits.
    let steps = if database::is_postgres() {
        "SELECT run_id, position FROM step ORDER BY ctid"
    } else {
        "SELECT run_id, position FROM step ORDER BY rowid"
    };
    let steps: Vec<(String, i64)> = sqlx::query_as(steps).fetch_all(&database).await.unwrap();
    let of_one = |(run, _): &(String, i64)| *run == waiting.runs[0].run_id;
    let place = steps.iter().position(of_one).unwrap();
    assert!(place <= 1, "the one file's first step came after {place} others: {steps:?}");
    let per_run = steps.iter().fold(HashMap::<&str, usize>::new(), |mut per_run, (run, _)| {
        *per_run.entry(run).or_default() += 1;
        per_run
    });
    assert!(per_run.len() == 21 && per_run.values().all(|steps| *steps == 2), "{per_run:?}");
}

/// A table of 9 MiB.
fn large_table() -> Vec<u8> {
    [&b"a,b\n"[..], &[&b"1,"[..], &[b'x'; 1 << 10], b"\n"].concat().repeat(9 << 10)].concat()
}

#[tokio::test]
async fn large_archives_that_wait_for_memory_keep_no_worker() {
    let (app, mira, noor) = two_people(2, 1, &[]).await;
    let memory = app.large_memory().archives;
    let held = memory.acquire("a test").await;
    let archive = Packed::Xz.pack(&large_table());
    let mut waiting = Vec::new();
    for name in ["one.xz", "two.xz", "three.xz"] {
        let import = mira.upload(name, &archive).await;
        mira.wait_for(&import, "its turn at large memory", is_queued).await;
        waiting.push(import);
    }
    let small = noor.upload("small.csv", "a,b\n1,2\n").await;
    assert_eq!(noor.wait_for_state(&small, "Completed").await.counts(), (1, 0));

    let cancelled = waiting.remove(1);
    mira.post_form(&format!("{cancelled}/cancel"), &[]).await;
    mira.wait_for_state(&cancelled, "Cancelled").await;
    drop(held);
    for import in &waiting {
        assert_eq!(mira.wait_for_state(import, "Completed").await.counts(), (9 << 10, 0));
    }
    app.stop().await;
}

#[tokio::test]
async fn a_preview_that_gets_no_large_memory_says_so_and_the_sheets_are_known() {
    let (app, mira, _) = two_people(2, 1, &[]).await;
    let memory = app.large_memory().archives;
    let held = memory.acquire("a test").await;
    let texts = format!("<si><t>{}</t></si>", "x".repeat(32_000)).repeat(300);
    let rows = book::rows(&[&["id"], &["1"]]);
    let book = book::workbook(&[("Orders", "", &rows), ("Other", "", &rows)], &texts);
    let answer = mira.post_bytes_with("book.xlsx", &book, &[("look", "1")]).await;
    let import = Visitor::import_in(answer).await;
    let page = mira.get(&import).await.text().await.unwrap();
    assert!(page.contains("Another large file is being unpacked. Try again in a moment."), "{page}");
    assert!(page.contains("<option value=\"Other\""), "{page}");
    drop(held);
    let page = mira.get(&import).await.text().await.unwrap();
    assert!(!page.contains("Another large file"), "{page}");
    app.stop().await;
}

/// SQLite alone lets its writers try again in no order: one of many can lose for seconds.
#[tokio::test]
async fn a_write_is_overtaken_by_none_that_comes_after_it() {
    const WRITERS: usize = 64;
    const WRITES: usize = 10;
    let data = tempfile::tempdir().unwrap();
    let store = Store::open(&database::in_file(data.path())).await.unwrap();
    let written = Arc::new(AtomicUsize::new(0));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (store, written) = (store.clone(), Arc::clone(&written));
        writers.spawn(async move {
            let mut most = 0;
            for write in 0..WRITES {
                let before = written.load(Ordering::SeqCst);
                store.change_setting(&format!("writer {writer}"), &write.to_string()).await.unwrap();
                most = most.max(written.fetch_add(1, Ordering::SeqCst) - before);
            }
            most
        });
    }
    let most = writers.join_all().await.into_iter().max().unwrap();
    // One thread reads the count and joins the queue in one go. Each of the others is before it at most once, and once
    // more while its count is being added.
    assert!(most <= 2 * WRITERS, "{most} writes were done while one waited");
    store.close().await;
}
