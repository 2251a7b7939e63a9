//! What one of several replicas does for all: who does it, what wakes it, and what one that was paused cannot do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use reqwest::StatusCode;
use runboard::{
    base::{
        ids::{EventId, UserId},
        tasks::Tasks,
        time::UnixMillis,
    },
    engine::{Engine, EngineOptions, Keys},
    inngest::RunStatus,
    replicas::{Replicas, Work},
    store::{
        Store,
        engine::{Function, Trigger, events::NewEvent, queue::Transition},
        record::{NewImport, Recording},
    },
};
use sqlx::{AnyPool, AssertSqlSafe};
use tokio::{
    runtime,
    sync::{Notify, mpsc},
    time::timeout,
};

use crate::{
    inngest_api::until,
    support::{
        TestApp, database,
        import_row::{event_row, import_row},
        postgres::on_each_database,
        s3::S3Server,
        spawn_app_on,
    },
};

/// Generous, because nothing here tests speed.
const DEADLINE: Duration = Duration::from_secs(60);

/// A process among the replicas.
struct Member {
    store: Store,
    replicas: Replicas,
    members: Tasks,
}

impl Member {
    /// `folder` names its data folder.
    async fn join(url: &str, folder: &'static str) -> Self {
        let (store, members) = (Store::open(url).await.unwrap(), Tasks::on_this_runtime());
        let replicas = Replicas::join(url, store.clone(), folder, None, &members).await.unwrap();
        Self { store, replicas, members }
    }

    async fn leads(&self) {
        timeout(DEADLINE, until_leading(&self.replicas)).await.expect("it never leads");
    }

    async fn stop(&self) {
        assert_eq!(self.members.stop(DEADLINE).await, 0);
    }
}

async fn until_leading(replicas: &Replicas) {
    replicas.tenure().wait_for(|tenure| tenure.leads).await.unwrap();
}

#[tokio::test]
async fn one_leads_and_another_takes_over_when_it_stops_and_when_it_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let url = database::on_postgres(folder.path());
    // What is dropped with its runtime ends as in a process that is killed.
    let its_url = url.clone();
    let start = thread::spawn(move || {
        let process = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let member = process.block_on(Member::join(&its_url, "killed"));
        (process, member)
    });
    let (process, killed) = start.join().unwrap();
    let stopped = Member::join(&url, "stopped").await;
    let last = Member::join(&url, "last").await;
    assert!(killed.replicas.leads() && !stopped.replicas.leads() && !last.replicas.leads());

    process.shutdown_background();
    let next = async |one: &Member, other: &Member| {
        let either = async {
            tokio::select! { () = until_leading(&one.replicas) => {} () = until_leading(&other.replicas) => {} }
        };
        timeout(DEADLINE, either).await.expect("nobody leads");
    };
    next(&stopped, &last).await;
    let (stopped, last) = if stopped.replicas.leads() { (stopped, last) } else { (last, stopped) };
    assert!(!last.replicas.leads(), "one at a time");

    stopped.stop().await;
    assert!(!stopped.replicas.leads());
    last.leads().await;
    last.stop().await;
}

#[tokio::test]
async fn one_that_resigns_keeps_its_other_leases_and_never_leads_again() {
    let folder = tempfile::tempdir().unwrap();
    let url = database::on_postgres(folder.path());
    let (first, second) = (Member::join(&url, "first").await, Member::join(&url, "second").await);
    let mut tenure = first.replicas.tenure();
    let knows_both = tenure.wait_for(|tenure| tenure.live == 2);
    let id = timeout(DEADLINE, knows_both).await.expect("it is not renewed").unwrap().id.clone();
    first.replicas.resign();
    assert!(!first.replicas.leads());
    second.leads().await;
    assert_eq!(tenure.borrow().id, id, "its row stays");

    // Nobody else leads then, and only a renewal says how many live.
    second.stop().await;
    let is_last = tenure.wait_for(|tenure| tenure.live == 1);
    assert!(!timeout(DEADLINE, is_last).await.expect("it is not renewed").unwrap().leads);
    first.stop().await;
}

#[tokio::test]
async fn of_two_with_copies_of_one_data_folder_the_second_throws_the_first_out_once() {
    let folder = tempfile::tempdir().unwrap();
    let url = database::on_postgres(folder.path());
    let first = Member::join(&url, "copied").await;
    let mut tenure = first.replicas.tenure();
    let id = tenure.borrow().id.clone();
    let second = Member::join(&url, "copied").await;
    let its_id = second.replicas.tenure().borrow().id.clone();
    let is_back = tenure.wait_for(|tenure| tenure.id.is_some() && tenure.id != id && tenure.live == 2);
    drop(timeout(DEADLINE, is_back).await.expect("it does not join again").unwrap());
    let mut its = second.replicas.tenure();
    let knows_both = its.wait_for(|tenure| tenure.live == 2);
    assert_eq!(timeout(DEADLINE, knows_both).await.expect("it is alone").unwrap().id, its_id);
    first.stop().await;
    second.stop().await;
}

/// Notes whose work sees which number, when it begins and when it is woken.
fn work(
    member: &Member,
    tasks: &Tasks,
    (name, news, number): (&'static str, &Arc<Notify>, &Arc<AtomicU32>),
    seen: mpsc::UnboundedSender<(&'static str, u32)>,
) {
    let (replicas, stopping) = (member.replicas.clone(), tasks.stopping().clone());
    let (news, number) = (Arc::clone(news), Arc::clone(number));
    tasks.spawn(async move {
        let (news, number, seen) = (&news, &number, &seen);
        let work = |term: tokio_util::sync::CancellationToken| async move {
            while !term.is_cancelled() {
                seen.send((name, number.load(Ordering::SeqCst))).unwrap();
                tokio::select! {
                    () = term.cancelled() => {}
                    () = news.notified() => {}
                }
            }
        };
        replicas.lead(Work::Mail, news, &stopping, work).await;
    });
}

#[tokio::test]
async fn news_at_a_replica_wakes_the_work_of_the_one_that_leads() {
    let folder = tempfile::tempdir().unwrap();
    let url = database::on_postgres(folder.path());
    let (first, second) = (Member::join(&url, "first").await, Member::join(&url, "second").await);
    let (tasks, number) = (Tasks::on_this_runtime(), Arc::<AtomicU32>::default());
    let (news, its_news) = (Arc::<Notify>::default(), Arc::<Notify>::default());
    let (sender, mut seen) = mpsc::unbounded_channel();
    work(&first, &tasks, ("first", &news, &number), sender.clone());
    work(&second, &tasks, ("second", &its_news, &number), sender);
    let mut until = async |expected: (&str, u32), nobody_else: bool| loop {
        let seen = timeout(DEADLINE, seen.recv()).await.expect("the work is not done").unwrap();
        if seen == expected {
            return;
        }
        assert!(!nobody_else || seen.0 == expected.0, "{seen:?} while the other leads");
    };
    until(("first", 0), true).await;
    for told in 1..=3 {
        number.store(told, Ordering::SeqCst);
        its_news.notify_one();
        until(("first", told), true).await;
    }
    number.store(4, Ordering::SeqCst);
    first.stop().await;
    until(("second", 4), false).await;
    assert_eq!(tasks.stop(DEADLINE).await, 0);
    second.stop().await;
}

const APP: &str = "app";

fn functions(port: u16) -> [Function; 1] {
    [Function {
        slug: "app-go".to_owned(),
        id: "e3c9c0f8-adc4-5abf-84b2-7823f0113a18".to_owned(),
        name: "go".to_owned(),
        url: format!("http://127.0.0.1:{port}/"),
        triggers: vec![Trigger { event: "app/go".to_owned(), expression: None }],
        max_attempts: 4,
    }]
}

/// An engine over `store`, whose rules the transactions use.
fn rules(store: &Store) -> Engine {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let keys = Keys { event_key: "e".into(), signing_key: "signkey-test-ab".into() };
    Engine::new(store.clone(), keys, EngineOptions { calls: 1, retries: Vec::new() }).unwrap()
}

async fn leases(store: &Store) -> Vec<String> {
    store.engine_leases().await.unwrap()
}

#[tokio::test]
async fn an_engine_that_was_paused_while_another_began_to_lead_changes_no_run() {
    let folder = tempfile::tempdir().unwrap();
    let url = database::on_postgres(folder.path());
    let (first, second) = (Member::join(&url, "first").await, Member::join(&url, "second").await);
    let (paused, present, now) = (&first.store, &second.store, UnixMillis::now());
    let sync = async |store: &Store, port| store.engine_sync(APP, &functions(port), true, now).await.unwrap();
    assert_eq!((sync(present, 2).await, sync(paused, 1).await), (None, Some(true)), "the first leads");
    let event = NewEvent {
        id: EventId::from("01M852BFZNDZSECF4ZXVXKXYMX".to_owned()),
        own_id: None,
        name: "app/go".to_owned(),
        tenant: "mira".to_owned(),
        body: r#"{"name":"app/go","data":{}}"#.to_owned(),
        starts_at: now,
    };
    present.engine_accept(&[event], &rules(present), now).await.unwrap();
    assert!(present.engine_claim("mira", "too early", now).await.unwrap().is_none());
    let claim = paused.engine_claim("mira", "before", now).await.unwrap().expect("it is due");

    let pool = AnyPool::connect(&url).await.unwrap();
    let lead = "UPDATE lease SET replica_id = (SELECT id FROM replica WHERE folder = 'second')";
    sqlx::query(lead).execute(&pool).await.unwrap();
    pool.close().await;
    second.leads().await;
    assert_eq!(sync(present, 2).await, Some(true));
    assert_eq!(present.engine_take_over(now).await.unwrap(), 1);
    let again = present.engine_claim("mira", "after", now).await.unwrap().expect("it is called again");
    assert_eq!((again.url.as_str(), again.attempt), ("http://127.0.0.1:2/", 0));

    // Whatever the first one was about to do.
    let end = Transition::End { status: RunStatus::Completed, output: "1".to_owned(), reason: None };
    assert!(!paused.engine_settle(&claim, &end, &rules(paused), now).await.unwrap());
    assert_eq!(paused.engine_take_over(now).await.unwrap(), 0);
    paused.engine_void("after").await.unwrap();
    assert_eq!(sync(paused, 1).await, None);
    assert_eq!(leases(present).await, ["after"]);
    assert!(present.engine_settle(&again, &end, &rules(present), now).await.unwrap());
    for member in [first, second] {
        member.stop().await;
    }
}

#[tokio::test]
async fn two_senders_never_take_the_same_attempt_of_an_event() {
    on_each_database(async |url| {
        let (one, other, owner) =
            (Store::open(url).await.unwrap(), Store::open(url).await.unwrap(), UserId::generate());
        let pool = AnyPool::connect(url).await.unwrap();
        let account = format!(
            "INSERT INTO account (id, email, password_hash, created_at) VALUES ('{owner}', 'a', '', 0)"
        );
        sqlx::query(AssertSqlSafe(account)).execute(&pool).await.unwrap();
        pool.close().await;
        let row = import_row(owner);
        let event = event_row(&row);
        let new = NewImport { event: Some(&event), ..NewImport::new(&row) };
        assert_eq!(one.create_import(new).await.unwrap(), Recording::Done);
        for attempts in 0..3 {
            let (first, second) = (
                one.next_outbox(owner).await.unwrap().unwrap(),
                other.next_outbox(owner).await.unwrap().unwrap(),
            );
            assert_eq!((first.attempts, second.attempts), (attempts, attempts));
            assert!(one.begin_sending(&first, UnixMillis(4)).await.unwrap());
            assert!(!other.begin_sending(&second, UnixMillis(5)).await.unwrap());
        }
        one.close().await;
        other.close().await;
    })
    .await;
}

/// Imports at the replica that does not lead, before and after it begins to.
#[tokio::test]
async fn an_import_ends_at_whichever_replica_it_was_uploaded() {
    let (folder, server) = (tempfile::tempdir().unwrap(), S3Server::start().await);
    let url = database::on_postgres(folder.path());
    let spawn = async || -> TestApp {
        spawn_app_on(tempfile::tempdir().unwrap(), |config| {
            config.database_url = url.clone().into();
            config.bucket = Some(server.config());
        })
        .await
    };
    let (first, second) = (spawn().await, spawn().await);
    let visitor = second.signed_in().await;
    let import = visitor.upload("a.csv", "a,b\n1,2\n").await;
    visitor.wait_for_state(&import, "Completed").await;
    first.stop().await;
    let import = visitor.upload("b.csv", "a,b\n1,2\n").await;
    visitor.wait_for_state(&import, "Completed").await;
    // On a busy machine it may have to join again.
    let ready = || async {
        let answer = visitor.get("/readyz").await;
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        if status == StatusCode::OK && text.ends_with("replicas: ready\nleads: yes\n") {
            Ok(())
        } else {
            Err(text)
        }
    };
    until("it to be ready", ready).await;
    second.stop().await;
}
