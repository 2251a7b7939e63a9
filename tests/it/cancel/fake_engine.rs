//! Cancelling while the event is being sent, with an engine that answers as the test requires.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use runboard::{
    base::{
        ids::{ImportId, RunId, UserId},
        time::UnixMillis,
    },
    files::Storage,
    imports::{FileName, ImportOptions, ImportState, Imports, Snapshot, Upload},
    inngest::Limits,
    progress::ProgressRegistry,
};
use serde_json::{Value, json};
use sqlx::{AnyPool, Row};
use tempfile::TempDir;
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{method, path_regex},
};

use crate::{client, steps, support::parts};

const DEADLINE: Duration = Duration::from_secs(30);

/// Longer than any test.
pub(super) const HELD: Duration = Duration::from_secs(600);

/// The engine's behaviour, and the requests that it received.
#[derive(Default)]
pub(crate) struct Engine {
    /// Sends are delayed by this time before they are answered.
    pub(crate) holds_sends: Duration,
    /// The status of answers to sends.
    pub(crate) status: u16,
    /// The runs of every event: id, status.
    pub(crate) runs: Vec<(String, &'static str)>,
    /// A cancel has no effect, because the run has ended.
    pub(crate) too_late: bool,
    pub(crate) sends: usize,
    pub(crate) cancels: usize,
    /// Shared by the function and the imports.
    pub(crate) progress: ProgressRegistry,
    /// Lists of runs are delayed by this time before they are answered.
    pub(crate) holds_lists: Duration,
    pub(crate) lists: usize,
    /// Lists of runs are answered with 401.
    pub(crate) refuses_lists: bool,
    /// The jobs in its queue for every run. None: it does not support the request.
    pub(crate) jobs: Option<Value>,
    pub(crate) jobs_asked: usize,
    /// The timeout of requests, instead of the usual one.
    pub(crate) answers_within: Option<Duration>,
    /// The end of a run by the engine's clock, which is ahead of ours.
    pub(crate) ends_at: Option<String>,
    /// Whether a step had been told to stop when the cancel of its run arrived.
    pub(crate) stopped_before: bool,
}

/// Imports with their own folder and engine.
pub(crate) struct Room {
    pub(crate) imports: Imports,
    storage: Storage,
    pub(crate) database: AnyPool,
    engine: Arc<Mutex<Engine>>,
    owner: UserId,
    _folder: TempDir,
    _server: MockServer,
}

impl Room {
    pub(crate) async fn new(engine: Engine) -> Self {
        Self::ready_after(engine, std::future::ready(())).await
    }

    /// Sends events only after `ready` has completed.
    pub(crate) async fn ready_after(
        engine: Engine,
        ready: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, database) = steps::open(&folder).await;
        let owner = UserId::generate();
        add_account(&database, owner, "a@example.org").await;
        let progress = engine.progress.clone();
        let limits = match engine.answers_within {
            Some(time) => Limits { request_timeout: time, poll_timeout: time, ..client::limits() },
            None => client::limits(),
        };
        let engine = Arc::new(Mutex::new(engine));
        let server = serve(&engine).await;
        let storage = Storage::open(folder.path().join("files")).unwrap();
        let imports =
            Imports::new(parts(store, storage.clone(), client::client_with(&server.uri(), limits), progress));
        imports.start(ready).await.unwrap();
        Self { imports, storage, database, engine, owner, _folder: folder, _server: server }
    }

    pub(crate) fn engine(&self) -> std::sync::MutexGuard<'_, Engine> {
        self.engine.lock().unwrap()
    }

    pub(crate) async fn import(&self) -> ImportId {
        self.import_of(self.owner).await
    }

    async fn import_of(&self, owner: UserId) -> ImportId {
        let mut file = self.storage.receive_upload(0).await.unwrap();
        file.write(b"a\n1\n").await.unwrap();
        let name = FileName::from_client("a.csv");
        let upload = Upload { file_name: name, receiving_at: UnixMillis::now(), file };
        self.imports.accept(owner, upload, ImportOptions::default()).await.unwrap().id
    }

    pub(crate) async fn cancel(&self, id: ImportId) {
        let import = self.imports.get(self.owner, id).await.unwrap().unwrap();
        assert!(self.imports.cancel(&import).await.unwrap());
    }

    pub(crate) async fn state(&self, id: ImportId) -> (ImportState, Snapshot) {
        let snapshot = self.imports.get(self.owner, id).await.unwrap().unwrap().into_snapshot();
        (snapshot.state(), snapshot)
    }

    pub(crate) async fn wait_for_state(&self, id: ImportId, state: ImportState) {
        let start = Instant::now();
        loop {
            let (now, snapshot) = self.state(id).await;
            if now == state {
                return;
            }
            assert!(start.elapsed() < DEADLINE, "waited for {state:?}, last seen {now:?}: {snapshot:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&Engine) -> bool) {
        let start = Instant::now();
        while !condition(&self.engine()) {
            assert!(start.elapsed() < DEADLINE, "timed out waiting for {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn in_outbox(&self) -> i64 {
        sqlx::query("SELECT COUNT(*) FROM outbox").fetch_one(&self.database).await.unwrap().get(0)
    }
}

pub(super) async fn add_account(database: &AnyPool, id: UserId, email: &str) {
    sqlx::query("INSERT INTO account (id, email, password_hash, created_at) VALUES ($1, $2, '', 0)")
        .bind(id.to_string())
        .bind(email)
        .execute(database)
        .await
        .unwrap();
}

pub(super) async fn serve(engine: &Arc<Mutex<Engine>>) -> MockServer {
    let server = MockServer::start().await;
    let respond = |answer: fn(&mut Engine, &Request) -> ResponseTemplate| {
        let engine = Arc::clone(engine);
        move |request: &Request| answer(&mut engine.lock().unwrap(), request)
    };
    let sent = respond(|engine, request| {
        engine.sends += 1;
        let seed = request.headers["x-inngest-event-id-seed"].to_str().unwrap();
        let id = runboard::inngest::EventSeed::parse(seed).unwrap().event_id(0);
        ResponseTemplate::new(engine.status)
            .set_body_json(json!({"ids": [id], "status": engine.status}))
            .set_delay(engine.holds_sends)
    });
    Mock::given(method("POST")).and(path_regex("^/e/")).respond_with(sent).mount(&server).await;
    let runs = respond(|engine, request| {
        engine.lists += 1;
        if engine.refuses_lists {
            return ResponseTemplate::new(401);
        }
        let event = request.url.path().split('/').nth(3).unwrap();
        let ends_at = engine.ends_at.as_deref().unwrap_or("2026-11-23T20:55:33Z");
        let runs = engine.runs.iter().map(|(id, status)| run(id, event, status, ends_at));
        let body = json!({ "data": runs.collect::<Vec<Value>>() });
        ResponseTemplate::new(200).set_body_json(body).set_delay(engine.holds_lists)
    });
    Mock::given(method("GET")).and(path_regex("^/v1/events/")).respond_with(runs).mount(&server).await;
    let jobs = respond(|engine, _| {
        engine.jobs_asked += 1;
        match &engine.jobs {
            Some(jobs) => ResponseTemplate::new(200).set_body_json(json!({ "data": jobs })),
            None => ResponseTemplate::new(404),
        }
    });
    Mock::given(method("GET")).and(path_regex("^/v1/runs/.*/jobs$")).respond_with(jobs).mount(&server).await;
    let cancelled = respond(|engine, request| {
        engine.cancels += 1;
        let id = request.url.path().rsplit('/').next().unwrap();
        engine.stopped_before = engine.progress.of(&RunId::from(id.to_owned())).is_stopped();
        let end = if engine.too_late { "Completed" } else { "Cancelled" };
        engine.runs.iter_mut().filter(|(run, _)| run == id).for_each(|(_, status)| *status = end);
        ResponseTemplate::new(200)
    });
    Mock::given(method("DELETE")).and(path_regex("^/v1/runs/")).respond_with(cancelled).mount(&server).await;
    server
}

fn run(id: &str, event: &str, status: &str, ends_at: &str) -> Value {
    let ended = matches!(status, "Completed" | "Cancelled").then_some(ends_at);
    let output = (status == "Completed").then(|| json!({"processedItems": 1, "failedItems": 0}));
    json!({
        "run_id": id, "run_started_at": "2026-11-23T20:55:32.065Z", "function_id": "f",
        "event_id": event, "status": status, "ended_at": ended, "output": output,
    })
}

pub(super) fn held() -> Engine {
    Engine { status: 200, holds_sends: HELD, ..Engine::default() }
}

#[tokio::test]
async fn an_event_that_waits_for_its_turn_is_never_sent() {
    let room = Room::new(held()).await;
    let first = room.import().await;
    room.until("the first event", |engine| engine.sends == 1).await;
    let second = room.import().await;
    room.cancel(second).await;
    assert_eq!(room.state(second).await.0, ImportState::Cancelled);
    // The sender is free again: it sends a third event, but not the second.
    room.engine().holds_sends = Duration::ZERO;
    room.cancel(first).await;
    let third = room.import().await;
    room.wait_for_state(third, ImportState::Sent).await;
    assert_eq!(room.engine().sends, 2, "of the first and the third");
    assert_eq!(room.state(second).await.0, ImportState::Cancelled);
    assert_eq!(room.in_outbox().await, 0);
    room.imports.stop().await;
}

#[tokio::test]
async fn an_event_that_the_engine_is_slow_to_take_delays_no_other_users() {
    let room = Room::new(held()).await;
    let first = room.import().await;
    room.until("the first event", |engine| engine.sends == 1).await;
    let waiting = room.import().await;
    room.engine().holds_sends = Duration::ZERO;
    let other = UserId::generate();
    add_account(&room.database, other, "b@example.org").await;
    let import = room.import_of(other).await;
    let start = Instant::now();
    loop {
        let snapshot = room.imports.get(other, import).await.unwrap().unwrap();
        if snapshot.state() == ImportState::Sent {
            break;
        }
        assert!(start.elapsed() < DEADLINE, "last seen {snapshot:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for held in [first, waiting] {
        assert_eq!(room.state(held).await.0, ImportState::Accepted);
    }
    assert_eq!(room.engine().sends, 2, "one user has one event on its way");
    room.cancel(first).await;
    room.wait_for_state(waiting, ImportState::Sent).await;
    room.imports.stop().await;
}

#[tokio::test]
async fn a_run_of_an_event_that_was_on_its_way_is_cancelled_when_it_comes() {
    let room = Room::new(held()).await;
    let import = room.import().await;
    room.until("the event", |engine| engine.sends == 1).await;
    room.cancel(import).await;
    room.wait_for_state(import, ImportState::Cancelled).await;
    room.engine().runs = vec![("01M8532JEX1SP78PSANCV2SARF".to_owned(), "Running")];
    room.until("the run's cancel", |engine| engine.cancels == 1).await;
    let cancelled = |snapshot: &Snapshot| snapshot.runs.iter().any(|run| run.row.ended_at.is_some());
    let start = Instant::now();
    while !cancelled(&room.state(import).await.1) {
        assert!(start.elapsed() < DEADLINE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(room.state(import).await.0, ImportState::Cancelled);
    assert_eq!(room.in_outbox().await, 0);
    assert_eq!(room.engine().sends, 1, "it is not sent again");
    room.imports.stop().await;
}

#[tokio::test]
async fn before_a_run_exists_it_is_cancelled_and_so_is_every_run_that_comes() {
    let room = Room::new(Engine { status: 200, ..Engine::default() }).await;
    let import = room.import().await;
    room.wait_for_state(import, ImportState::Sent).await;
    room.cancel(import).await;
    assert_eq!(room.state(import).await.0, ImportState::Cancelled);
    room.engine().runs = vec![("01M8532JEX1SP78PSANCV2SARF".to_owned(), "Scheduled")];
    room.until("the first run's cancel", |engine| engine.cancels == 1).await;
    room.engine().runs.push(("01M8532JF1E51YC5JA88AGHBP4".to_owned(), "Running"));
    room.until("the second run's cancel", |engine| engine.cancels == 2).await;
    room.wait_for_state(import, ImportState::Cancelled).await;
    room.imports.stop().await;
}

#[tokio::test]
async fn an_event_that_could_not_be_sent_is_not_tried_again() {
    let room = Room::new(Engine { status: 503, ..Engine::default() }).await;
    let import = room.import().await;
    // The client's own tries are used up; the next try is the outbox's.
    room.until("the tries", |engine| engine.sends == 3).await;
    room.cancel(import).await;
    assert_eq!(room.in_outbox().await, 0);
    room.engine().status = 200;
    let next = room.import().await;
    room.wait_for_state(next, ImportState::Sent).await;
    assert_eq!(room.engine().sends, 4);
    assert_eq!(room.state(import).await.0, ImportState::Cancelled);
    room.imports.stop().await;
}

#[tokio::test]
async fn a_refusal_that_comes_after_the_cancel_changes_nothing() {
    let room =
        Room::new(Engine { status: 400, holds_sends: Duration::from_millis(300), ..Engine::default() }).await;
    let import = room.import().await;
    room.until("the event", |engine| engine.sends == 1).await;
    room.cancel(import).await;
    // The next import is refused. By then the answer to the first would have arrived.
    let next = room.import().await;
    room.wait_for_state(next, ImportState::Failed).await;
    let (state, snapshot) = room.state(import).await;
    assert_eq!((state, &snapshot.row.refused), (ImportState::Cancelled, &None));
    let refused: Option<String> = sqlx::query("SELECT refused FROM import WHERE id = $1")
        .bind(import.to_string())
        .fetch_one(&room.database)
        .await
        .unwrap()
        .get(0);
    assert_eq!(refused, None, "nor after a restart");
    room.imports.stop().await;
}

#[tokio::test]
async fn a_run_that_ended_just_before_stays_completed() {
    let runs = vec![("01M8532JEX1SP78PSANCV2SARF".to_owned(), "Running")];
    let room = Room::new(Engine { status: 200, runs, too_late: true, ..Engine::default() }).await;
    let import = room.import().await;
    room.wait_for_state(import, ImportState::Running).await;
    room.cancel(import).await;
    room.wait_for_state(import, ImportState::Completed).await;
    assert_eq!(room.engine().cancels, 1);
    room.imports.stop().await;
}

/// To the engine, a step that stops has failed: before the cancel, that could be the run's end.
#[tokio::test]
async fn a_step_is_told_to_stop_once_the_engine_knows_of_the_cancel() {
    let id = "01M8532JEX1SP78PSANCV2SARF";
    let runs = vec![(id.to_owned(), "Running")];
    let room = Room::new(Engine { status: 200, runs, ..Engine::default() }).await;
    let import = room.import().await;
    room.wait_for_state(import, ImportState::Running).await;
    let step = room.engine().progress.of(&RunId::from(id.to_owned()));
    assert!(!step.is_stopped());
    room.cancel(import).await;
    room.wait_for_state(import, ImportState::Cancelled).await;
    assert!(step.is_stopped());
    assert!(!room.engine().stopped_before);
    room.imports.stop().await;
}

/// Handlers run on threads of the HTTP server, which end before the program does.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_followed_after_the_thread_that_took_it_has_ended() {
    let room = Room::new(Engine { status: 200, ..Engine::default() }).await;
    let import = thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(room.import())
        });
        worker.join().unwrap()
    });
    room.engine().runs = vec![("01M8532JEX1SP78PSANCV2SARF".to_owned(), "Running")];
    room.wait_for_state(import, ImportState::Running).await;
    assert_eq!(room.imports.stop().await, 0, "every watch ends at a stop");
}
