//! How the watcher learns when the next attempt begins, and how often it polls.

use std::time::Duration;

use runboard::{
    base::{
        ids::{EventId, ImportId, UserId},
        time::UnixMillis,
    },
    files::Storage,
    imports::{Imports, RunSnapshot},
    progress::{ActiveExecution, News, ProgressRegistry},
    store::executions::{AttemptError, Execution},
};
use serde_json::json;
use sqlx::AnyPool;
use tempfile::TempDir;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::path};

use crate::{
    client::{self, EVENT, RUN, requests, run_id, text},
    inngest_api::until,
    steps,
    support::parts,
};

/// An engine that lists one unfinished run of [`EVENT`].
pub async fn engine_with_a_run() -> MockServer {
    let engine = MockServer::start().await;
    let runs = json!({"data": [{
        "run_id": RUN, "run_started_at": "2026-11-23T20:46:12.043Z", "function_id": "f",
        "event_id": EVENT, "status": "Running", "ended_at": null
    }]});
    Mock::given(path(format!("/v1/events/{EVENT}/runs")))
        .respond_with(text(200, &runs.to_string()))
        .mount(&engine)
        .await;
    engine
}

/// An import whose event is [`EVENT`], and was sent.
pub async fn sent_import(database: &AnyPool) -> (UserId, ImportId) {
    let (owner, import) = (UserId::generate(), ImportId::generate());
    sqlx::query("INSERT INTO account (id, email, password_hash, created_at) VALUES ($1, 'a@b', '', 0)")
        .bind(owner.to_string())
        .execute(database)
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
    .execute(database)
    .await
    .unwrap();
    (owner, import)
}

/// An import with one unfinished run on a fake engine.
struct World {
    engine: MockServer,
    imports: Imports,
    progress: ProgressRegistry,
    owner: UserId,
    import: ImportId,
    /// A step is active, so that the queue is not polled for other reasons.
    _at_work: ActiveExecution,
    _folder: TempDir,
}

impl World {
    /// `jobs` is the engine's answer to a request for the run's jobs.
    async fn with(jobs: ResponseTemplate) -> Self {
        let engine = engine_with_a_run().await;
        Mock::given(path(format!("/v1/runs/{RUN}/jobs"))).respond_with(jobs).mount(&engine).await;

        let folder = tempfile::tempdir().unwrap();
        let (store, database) = steps::open(&folder).await;
        let (owner, import) = sent_import(&database).await;
        let progress = ProgressRegistry::default();
        let at_work = progress.of(&run_id()).begin();
        let storage = Storage::open(folder.path().join("files")).unwrap();
        let imports = Imports::new(parts(store, storage, client::client(&engine.uri()), progress.clone()));
        imports.start(std::future::ready(())).await.unwrap();
        Self { engine, imports, progress, owner, import, _at_work: at_work, _folder: folder }
    }

    /// Our function reports that its attempt failed.
    fn fail(&self, attempt: u32, at: UnixMillis, is_final: bool) {
        let error = Some(AttemptError { message: "connection reset".to_owned(), at, is_final });
        let function = "process-csv-upload".to_owned();
        let execution =
            Execution { function, started_at: at, attempt, max_attempts: 4, error, earlier: Vec::new() };
        self.progress.of(&run_id()).set_execution(execution);
        self.progress.tell(&EventId::from(EVENT.to_owned()), News::Look);
    }

    async fn run(&self) -> Result<RunSnapshot, &'static str> {
        let import = self.imports.get(self.owner, self.import).await.unwrap().unwrap().into_snapshot();
        import.runs.into_iter().next().ok_or("no run")
    }

    /// The numbers of requests for the runs, and for the jobs.
    async fn asked(&self) -> (usize, usize) {
        let asked = requests(&self.engine).await;
        let jobs = asked.iter().filter(|request| request.url.path().ends_with("/jobs")).count();
        (asked.len() - jobs, jobs)
    }

    /// Waits until the jobs were requested `times` times.
    async fn asked_for_jobs(&self, times: usize) {
        let often = || async {
            match self.asked().await {
                (_, jobs) if jobs >= times => Ok(()),
                (_, jobs) => Err(jobs),
            }
        };
        until("questions for the jobs", often).await;
    }

    /// Waits until the runs were requested `times` more times.
    async fn looked(&self, times: usize) -> usize {
        let (before, _) = self.asked().await;
        let enough = || async {
            self.progress.tell(&EventId::from(EVENT.to_owned()), News::Look);
            let (runs, jobs) = self.asked().await;
            if runs >= before + times { Ok(jobs) } else { Err((runs, jobs)) }
        };
        until("more looks", enough).await
    }
}

fn job(attempt: u32, at: UnixMillis) -> ResponseTemplate {
    let job = json!({"JobID": "1", "at": at.to_string(), "position": 0, "kind": "start", "attempt": attempt});
    text(200, &json!({"data": [job]}).to_string())
}

#[tokio::test]
async fn it_is_asked_once_for_each_attempt_that_failed() {
    let at = UnixMillis(1_795_466_808_000);
    let world = World::with(job(1, at)).await;
    assert_eq!(world.looked(3).await, 0, "nothing failed");

    let now = UnixMillis::now();
    world.fail(1, now, false);
    let known = || async {
        let run = world.run().await?;
        run.next_attempt_at().ok_or("no time")
    };
    assert_eq!(until("the time", known).await, at);
    assert_eq!(world.looked(10).await, 1, "it is known");

    // A job of another step: its time belongs to an attempt that has begun since.
    world.fail(1, now.plus(Duration::from_secs(1)), false);
    assert_eq!(until("the time", known).await, at);
    assert_eq!(world.looked(10).await, 2);
    world.imports.stop().await;
}

#[tokio::test]
async fn of_a_failure_that_ends_the_run_nothing_is_asked() {
    let world = World::with(job(1, UnixMillis(1_795_466_808_000))).await;
    world.fail(1, UnixMillis::now(), true);
    assert_eq!(world.looked(5).await, 0);
    world.imports.stop().await;
}

#[tokio::test]
async fn an_engine_that_has_no_jobs_is_left_alone() {
    let world = World::with(ResponseTemplate::new(404)).await;
    world.fail(1, UnixMillis::now(), false);
    world.asked_for_jobs(1).await;
    assert_eq!(world.looked(10).await, 1);
    let run = world.run().await.unwrap();
    assert!(run.waits_after().is_some() && run.next_attempt_at().is_none());
    world.imports.stop().await;
}

#[tokio::test]
async fn an_engine_that_does_not_say_is_not_asked_for_ever() {
    let world = World::with(job(0, UnixMillis(0))).await;
    world.fail(1, UnixMillis::now(), false);
    world.asked_for_jobs(4).await;
    assert_eq!(world.looked(10).await, 4);
    world.imports.stop().await;
}
