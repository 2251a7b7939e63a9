//! Reported ends are recorded however busy or silent the engine is, and runs that start after the end of an
//! import are taken up.

mod steered_clock;

use std::time::{Duration, Instant};

use runboard::{
    base::{
        ids::{EventId, ImportId, RunId},
        time::UnixMillis,
    },
    imports::{EnginePlan, ImportState, Planned},
    inngest::{Run, RunStatus},
    progress::{News, ProgressRegistry},
};
use serde_json::json;
use ulid::Ulid;

use crate::{
    cancel::fake_engine::{Engine, Room},
    support::until,
};

/// An import is watched for ten seconds after its runs have ended.
const DEADLINE: Duration = Duration::from_secs(40);

async fn room(engine: Engine) -> (Room, ProgressRegistry) {
    let progress = engine.progress.clone();
    (Room::new(Engine { status: 200, ..engine }).await, progress)
}

fn new_run() -> RunId {
    RunId::from(Ulid::new().to_string())
}

/// Reports what a signed call of our functions would.
fn tell(progress: &ProgressRegistry, event: &EventId, run: &RunId, status: RunStatus) {
    let now = UnixMillis::now();
    let ended = status.is_terminal_word();
    let run = Run {
        run_id: run.clone(),
        function_id: "f".to_owned(),
        function_name: None,
        event_id: event.clone(),
        status,
        run_started_at: now,
        ended_at: ended.then_some(now),
        output: ended.then(|| json!({"processedItems": 3, "failedItems": 0})),
    };
    progress.tell_run(std::slice::from_ref(event), run);
}

impl Room {
    /// An import whose event was sent.
    async fn sent(&self) -> (ImportId, EventId) {
        let import = self.import().await;
        self.wait_for_state(import, ImportState::Sent).await;
        (import, self.state(import).await.1.row.event_id.clone())
    }

    async fn wait_until_over(&self, import: ImportId) {
        let start = Instant::now();
        loop {
            let snapshot = self.state(import).await.1;
            if snapshot.row.finished_at.is_some() {
                return;
            }
            assert!(start.elapsed() < DEADLINE, "still watched: {snapshot:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn an_event_waits_for_the_registration_and_the_start_does_not() {
    let (registered, answer) = tokio::sync::oneshot::channel::<()>();
    let engine = Engine { status: 200, ..Engine::default() };
    let room = Room::ready_after(engine, async move { drop(answer.await) }).await;
    let import = room.import().await;
    assert_eq!(room.state(import).await.0, ImportState::Accepted);
    assert_eq!(room.engine().sends, 0);
    registered.send(()).unwrap();
    room.wait_for_state(import, ImportState::Sent).await;
    room.imports.stop().await;
}

#[tokio::test]
async fn an_end_that_is_told_of_needs_no_answer_to_be_shown() {
    const IMPORTS: usize = 40;
    let (room, progress) = room(Engine::default()).await;
    let mut imports = Vec::new();
    for _ in 0..IMPORTS {
        imports.push(room.sent().await);
    }
    // From here on no poll is answered.
    room.engine().holds_lists = Duration::from_secs(600);
    let asked = room.engine().lists;
    for (_, event) in &imports {
        tell(&progress, event, &new_run(), RunStatus::Completed);
    }
    for (import, _) in &imports {
        room.wait_for_state(*import, ImportState::Completed).await;
    }
    let asked = room.engine().lists - asked;
    assert!(asked < IMPORTS, "{asked} questions before {IMPORTS} ends were shown");
    room.imports.stop().await;
}

#[tokio::test]
async fn a_run_that_comes_after_the_last_look_reopens_its_import_without_a_question() {
    let (room, progress) = room(Engine::default()).await;
    let (import, event) = room.sent().await;
    tell(&progress, &event, &new_run(), RunStatus::Completed);
    room.wait_until_over(import).await;
    let asked = room.engine().lists;

    // A debounced function: its first report is its end.
    tell(&progress, &event, &new_run(), RunStatus::Failed);
    room.wait_for_state(import, ImportState::Failed).await;
    room.wait_until_over(import).await;
    assert_eq!(room.engine().lists, asked);

    // Restarted in the engine: it is called, then it ends.
    let again = new_run();
    tell(&progress, &event, &again, RunStatus::Running);
    room.wait_for_state(import, ImportState::Running).await;
    tell(&progress, &event, &again, RunStatus::Completed);
    room.wait_for_state(import, ImportState::Failed).await;
    room.wait_until_over(import).await;
    let snapshot = room.state(import).await.1;
    assert_eq!(snapshot.runs.len(), 3, "{snapshot:?}");
    assert!(snapshot.runs.iter().all(|run| run.counts().is_some_and(|counts| counts.processed == 3)));

    // A repeated report changes nothing.
    tell(&progress, &event, &again, RunStatus::Completed);
    tell(&progress, &"01M852CDYVJYDMFCJQQV9MRZ6R".to_owned().into(), &new_run(), RunStatus::Completed);
    let (_, next) = room.sent().await;
    tell(&progress, &next, &new_run(), RunStatus::Completed);
    assert!(room.state(import).await.1.row.finished_at.is_some());
    room.imports.stop().await;
}

#[tokio::test]
async fn late_runs_that_end_together_are_all_shown() {
    const LATE: usize = 5;
    let (room, progress) = room(Engine::default()).await;
    let (import, event) = room.sent().await;
    tell(&progress, &event, &new_run(), RunStatus::Completed);
    room.wait_until_over(import).await;
    let asked = room.engine().lists;
    for _ in 0..LATE {
        tell(&progress, &event, &new_run(), RunStatus::Completed);
    }
    let start = Instant::now();
    loop {
        let snapshot = room.state(import).await.1;
        if snapshot.runs.len() == 1 + LATE && snapshot.row.finished_at.is_some() {
            break;
        }
        assert!(start.elapsed() < DEADLINE, "{} runs are shown: {snapshot:?}", snapshot.runs.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(room.engine().lists, asked, "that costs no question");
    room.imports.stop().await;
}

#[tokio::test]
async fn a_late_run_is_shown_however_much_is_told_of_strangers() {
    let (room, progress) = room(Engine::default()).await;
    let (import, event) = room.sent().await;
    tell(&progress, &event, &new_run(), RunStatus::Completed);
    room.wait_until_over(import).await;
    let (late, other) = (new_run(), new_run());
    room.engine().runs = vec![(late.to_string(), "Completed"), (other.to_string(), "Completed")];
    // More reports than are kept, before any is read.
    for number in 0..1_500 {
        tell(&progress, &EventId::from(format!("stranger-{number}")), &new_run(), RunStatus::Completed);
    }
    tell(&progress, &event, &late, RunStatus::Completed);
    let start = Instant::now();
    loop {
        let snapshot = room.state(import).await.1;
        let shown =
            |id: &RunId| snapshot.runs.iter().any(|run| run.row.run_id == *id && run.row.ended_at.is_some());
        if shown(&late) && shown(&other) && snapshot.row.finished_at.is_some() {
            break;
        }
        assert!(start.elapsed() < DEADLINE, "{snapshot:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    room.imports.stop().await;
}

#[tokio::test]
async fn an_import_whose_end_was_told_is_over_although_no_list_can_be_had() {
    let (room, progress) = room(Engine { refuses_lists: true, ..Engine::default() }).await;
    let (import, event) = room.sent().await;
    tell(&progress, &event, &new_run(), RunStatus::Completed);
    room.wait_for_state(import, ImportState::Completed).await;
    room.until("a question that is refused", |engine| engine.lists > 0).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(601)).await;
    tokio::time::resume();
    room.wait_until_over(import).await;
    room.imports.stop().await;
}

#[tokio::test]
async fn an_end_is_shown_while_a_question_waits_for_its_answer() {
    let (room, progress) =
        room(Engine { answers_within: Some(Duration::from_secs(3_600)), ..Engine::default() }).await;
    let (import, event) = room.sent().await;
    let run = new_run();
    tell(&progress, &event, &run, RunStatus::Running);
    room.wait_for_state(import, ImportState::Running).await;
    room.engine().holds_lists = Duration::from_secs(600);
    let asked = room.engine().lists;
    progress.tell(&event, News::Look);
    room.until("the question", |engine| engine.lists > asked).await;
    tell(&progress, &event, &run, RunStatus::Completed);
    room.wait_for_state(import, ImportState::Completed).await;
    room.imports.stop().await;
}

#[tokio::test]
async fn an_engine_whose_clock_is_an_hour_ahead_keeps_no_import_open() {
    let ends_at = UnixMillis::now().plus(Duration::from_secs(3_600)).to_string();
    let runs = vec![(new_run().to_string(), "Completed")];
    let (room, _) = room(Engine { ends_at: Some(ends_at), runs, ..Engine::default() }).await;
    let import = room.import().await;
    room.wait_for_state(import, ImportState::Completed).await;
    room.wait_until_over(import).await;
    room.imports.stop().await;
}

#[tokio::test]
async fn an_end_that_was_only_found_by_asking_says_that_ends_are_not_told() {
    let runs = vec![(new_run().to_string(), "Completed")];
    let (room, progress) = room(Engine { runs, ..Engine::default() }).await;
    progress.set_reached();
    assert!(progress.expects_reports());
    let import = room.import().await;
    room.wait_for_state(import, ImportState::Completed).await;
    until("the unreported end", || !progress.expects_reports()).await;
    progress.end_was_reported();
    assert!(progress.expects_reports());
    room.imports.stop().await;
}

#[tokio::test]
async fn a_run_for_which_the_engine_has_nothing_in_its_queue_is_lost_and_can_be_cancelled() {
    let run = new_run();
    let runs = vec![(run.to_string(), "Running")];
    let (room, progress) = room(Engine { runs, jobs: Some(json!([])), ..Engine::default() }).await;
    let import = room.import().await;
    room.wait_for_state(import, ImportState::Lost).await;
    room.wait_until_over(import).await;
    let (_, snapshot) = room.state(import).await;
    assert_eq!(snapshot.runs[0].row.status, RunStatus::Running, "its last known word stays");

    // The engine calls the run after all, then loses it again.
    tell(&progress, &snapshot.row.event_id, &run, RunStatus::Running);
    room.wait_for_state(import, ImportState::Running).await;
    room.wait_for_state(import, ImportState::Lost).await;
    room.cancel(import).await;
    room.wait_for_state(import, ImportState::Cancelled).await;
    assert_eq!(room.engine().cancels, 1);
    room.imports.stop().await;
}

#[tokio::test]
async fn what_the_engine_plans_for_a_run_is_shown_until_its_time() {
    let at = UnixMillis::now().plus(Duration::from_secs(3_600));
    let job = |kind: &str, attempt: u32| json!([{"at": at.to_string(), "kind": kind, "attempt": attempt}]);
    let runs = vec![(new_run().to_string(), "Running")];
    let table = [
        (job("sleep", 0), Some(Planned::Wake)),
        (job("pause", 0), Some(Planned::Event)),
        (job("start", 1), Some(Planned::Attempt(2))),
    ];
    let (room, _) = room(Engine { runs, ..Engine::default() }).await;
    for (jobs, planned) in table {
        room.engine().jobs = Some(jobs);
        let import = room.import().await;
        let wanted = planned.map(|what| EnginePlan { what, at });
        let start = Instant::now();
        loop {
            let (state, snapshot) = room.state(import).await;
            let seen = snapshot.runs.first().and_then(|run| run.plan);
            if seen == wanted {
                assert_eq!(state, ImportState::Running);
                break;
            }
            assert!(start.elapsed() < DEADLINE, "waited for {wanted:?}, last seen {snapshot:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    room.imports.stop().await;
}
