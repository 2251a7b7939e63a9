//! Several replicas. Their messages are handed over by hand, and the clock is steered.

use serde_json::json;

use super::*;
use crate::{
    base::ids::EventId,
    csv::{Counts, FirstRows},
    inngest::{Run, RunStatus},
    progress::{Late, ProgressReport},
    replicas::Bus,
    store::executions::{AttemptError, Execution},
};

/// Replicas that hear each other.
struct World(Vec<ProgressRegistry>);

impl World {
    fn of(count: usize) -> Self {
        let registry = |number: usize| ProgressRegistry::on(Bus::named(&format!("replica {number}")));
        let world = Self((0..count).map(registry).collect());
        for registry in &world.0 {
            tokio::spawn(registry.clone().exchange(CancellationToken::new()));
        }
        world
    }

    fn hand_over(&self) {
        for (number, from) in self.0.iter().enumerate() {
            let others = self.0.iter().enumerate().filter(|(other, _)| *other != number);
            let others: Vec<&Bus> = others.map(|(_, other)| &other.bus).collect();
            from.bus.hand_over(&others);
        }
    }

    /// Lets the time pass, while messages arrive.
    async fn pass(&self, span: Duration) {
        let (end, step) = (Instant::now() + span, (span / 100).max(Duration::from_millis(10)));
        while Instant::now() < end {
            sleep(step).await;
            self.hand_over();
        }
        // What has just arrived is taken.
        sleep(Duration::from_millis(1)).await;
    }

    /// Long enough for what is told at once.
    async fn pass_a_moment(&self) {
        self.pass(Duration::from_millis(300)).await;
    }
}

fn run() -> RunId {
    RunId::from("r".to_owned())
}

fn event() -> EventId {
    EventId::from("e".to_owned())
}

fn ended(output: serde_json::Value) -> Run {
    Run {
        run_id: run(),
        function_id: "f".to_owned(),
        function_name: Some("F".to_owned()),
        event_id: event(),
        status: RunStatus::Completed,
        run_started_at: UnixMillis(0),
        ended_at: Some(UnixMillis(1)),
        output: Some(output),
    }
}

fn attempt(attempt: u32, error: Option<&str>) -> Execution {
    let error =
        error.map(|message| AttemptError { message: message.to_owned(), at: UnixMillis(2), is_final: false });
    let function = "f".to_owned();
    Execution { function, started_at: UnixMillis(1), attempt, max_attempts: 4, error, earlier: Vec::new() }
}

fn report(processed: u64) -> ProgressReport {
    ProgressReport { counts: Counts { processed, failed: 0 }, total_rows: None }
}

fn processed(registry: &ProgressRegistry) -> Option<u64> {
    registry.now(&run())?.counts.map(|counts| counts.processed)
}

#[tokio::test(start_paused = true)]
async fn a_run_that_one_replica_hears_of_reaches_the_watcher_on_another() {
    let world = World::of(3);
    let [watching, called, other] = &world.0[..] else { unreachable!() };
    let watched = watching.watch(&event());
    sleep(Duration::from_millis(1)).await;
    let told = ended(json!({"processedItems": 3}));
    called.tell_run(&[event()], told.clone());
    called.tell(&event(), News::Soon);
    called.tell_run(&[event()], ended(json!("x".repeat(8_000))));
    world.pass_a_moment().await;
    let news = watched.take();
    let [News::Run(heard), News::Soon, News::Missed] = news.as_slice() else { panic!("{news:?}") };
    assert_eq!(***heard, told, "with its function's name");
    // The database says there whether anybody watches.
    assert!(matches!(called.late_runs().take()[..], [Late::Run(..), Late::Run(..)]));
    for registry in [watching, other] {
        assert!(registry.late_runs().take().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_watcher_leaves_reaches_the_next_one_on_another_replica() {
    let world = World::of(2);
    let left = world.0[0].watch(&event());
    let next = world.0[1].watch(&event());
    sleep(Duration::from_millis(1)).await;
    world.0[0].tell(&event(), News::Look);
    world.pass_a_moment().await;
    assert!(next.take().is_empty());
    drop(left);
    world.pass_a_moment().await;
    assert_eq!(next.take(), [News::Look]);
}

#[tokio::test(start_paused = true)]
async fn a_step_is_seen_on_all_replicas_until_it_ends_or_its_replica_dies() {
    let world = World::of(2);
    let [here, there] = &world.0[..] else { unreachable!() };
    let progress = there.of(&run());
    progress.set_execution(attempt(1, None));
    let waiting = progress.wait();
    world.pass_a_moment().await;
    let now = here.now(&run()).unwrap();
    assert!(now.is_waiting && here.is_active(&run()) && !here.is_at_work(&run()), "{now:?}");

    let at_work = progress.begin();
    drop(waiting);
    progress.advance(Counts { processed: 7, failed: 1 }, 100);
    let mut stretches = Stretches::new(1 << 20);
    stretches.count(0, Counts { processed: 7, failed: 1 });
    progress.set_stretches(stretches);
    progress.set_plan(None, Some(&FirstRows { columns: 3, ..FirstRows::default() }));
    progress.set_file_name("a.csv");
    world.pass(TOLD_EVERY).await;
    let now = here.now(&run()).unwrap();
    assert!(here.is_at_work(&run()) && now.is_active && !now.is_waiting);
    let own = there.now(&run()).unwrap();
    assert_eq!((now.counts, now.bytes), (Some(Counts { processed: 7, failed: 1 }), 100));
    assert_eq!((now.stretches, now.first_rows), (own.stretches, own.first_rows));
    assert_eq!((now.file_name, now.execution), (own.file_name, own.execution));

    world.pass(Duration::from_secs(60)).await;
    assert!(here.is_at_work(&run()), "nothing has changed, and it is alive");
    drop(at_work);
    world.pass_a_moment().await;
    assert!(!here.is_at_work(&run()));

    let _at_work = progress.begin();
    world.pass_a_moment().await;
    assert!(here.is_at_work(&run()));
    // Nothing is handed over any more.
    sleep(Duration::from_secs(7)).await;
    assert!(!here.is_at_work(&run()));
    assert_eq!(processed(here), Some(7));
}

#[tokio::test(start_paused = true)]
async fn a_step_on_another_replica_is_stopped_and_waited_for_with_its_counts() {
    let world = World::of(2);
    let [watching, working] = &world.0[..] else { unreachable!() };
    let progress = working.of(&run());
    progress.set_execution(attempt(1, None));
    let at_work = progress.begin();
    world.pass_a_moment().await;
    let step = async {
        progress.stopped().await;
        progress.advance(Counts { processed: 9, failed: 0 }, 9);
        drop(at_work);
    };
    let settled = async {
        watching.settle(&run(), Duration::from_secs(1)).await;
        assert!(!watching.is_at_work(&run()));
        assert_eq!(processed(watching), Some(9));
    };
    tokio::join!(step, settled, world.pass(Duration::from_secs(2)));
}

#[tokio::test(start_paused = true)]
async fn a_step_that_begins_after_its_run_was_stopped_elsewhere_stops() {
    let world = World::of(2);
    let [watching, working] = &world.0[..] else { unreachable!() };
    watching.accept_reports(&run());
    watching.stop(&run());
    world.pass_a_moment().await;
    let progress = working.of(&run());
    let _at_work = progress.begin();
    assert!(!progress.is_stopped());
    world.pass_a_moment().await;
    assert!(progress.is_stopped());
}

#[tokio::test(start_paused = true)]
async fn a_report_counts_on_all_replicas_where_it_may_and_a_flood_is_not_passed_on() {
    let world = World::of(3);
    let [watching, called, other] = &world.0[..] else { unreachable!() };
    watching.accept_reports(&run());
    sleep(Duration::from_millis(1)).await;
    assert!(called.report(&run(), report(5), UnixMillis::now()));
    assert!(!called.report(&run(), report(6), UnixMillis::now()), "at once");
    assert!(called.report(&RunId::from("unknown".to_owned()), report(1), UnixMillis::now()));
    world.pass(2 * TOLD_EVERY).await;
    for registry in &world.0 {
        assert_eq!(processed(registry), Some(5));
        assert_eq!(registry.now(&RunId::from("unknown".to_owned())), None);
    }
    for number in 0..2_000 {
        other.report(&RunId::from(number.to_string()), report(1), UnixMillis::now());
    }
    assert!(!other.report(&RunId::from("one more".to_owned()), report(1), UnixMillis::now()));
    world.pass(TOLD_EVERY).await;
    assert!(other.report(&RunId::from("one more".to_owned()), report(1), UnixMillis::now()));
}

#[tokio::test(start_paused = true)]
async fn reports_of_invented_runs_displace_none_of_a_run_that_is_expected() {
    let world = World::of(2);
    let [watching, other] = &world.0[..] else { unreachable!() };
    watching.accept_reports(&run());
    other.expect(&run(), true);
    sleep(Duration::from_millis(1)).await;
    let invent = |round: u64| {
        for number in 0..2_000 {
            let invented = RunId::from(format!("invented {round} {number}"));
            other.report(&invented, report(1), UnixMillis::now());
        }
    };
    for round in 1..=3 {
        invent(round);
        assert!(other.report(&run(), report(5), UnixMillis::now()));
        assert!(!other.report(&run(), report(5), UnixMillis::now()), "at once");
        world.pass(TOLD_EVERY).await;
        assert_eq!(processed(watching), Some(5));
    }
    watching.forget(&run());
    world.pass(TOLD_EVERY).await;
    invent(4);
    assert!(!other.report(&run(), report(6), UnixMillis::now()), "it is over");
}

#[tokio::test(start_paused = true)]
async fn what_one_replica_learns_of_the_engine_the_others_know() {
    let world = World::of(2);
    let [one, other] = &world.0[..] else { unreachable!() };
    sleep(Duration::from_millis(1)).await;
    one.set_reached();
    world.pass_a_moment().await;
    assert!(other.is_reached() && other.expects_reports());
    other.end_was_missed();
    world.pass_a_moment().await;
    assert!(!one.expects_reports());
    one.end_was_reported();
    world.pass_a_moment().await;
    assert!(other.expects_reports());
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_forgotten_or_that_nobody_tells_of_takes_no_memory_anywhere() {
    let world = World::of(2);
    let [here, there] = &world.0[..] else { unreachable!() };
    there.of(&run()).set_execution(attempt(1, None));
    world.pass_a_moment().await;
    here.forget(&run());
    world.pass_a_moment().await;
    assert!(here.now(&run()).is_none() && there.now(&run()).is_none());

    there.of(&run()).set_execution(attempt(1, None));
    there.accept_reports(&run());
    world.pass(3 * DROPPED_AFTER).await;
    assert!(here.now(&run()).is_some(), "its watcher reminds us");
    // Its watcher dies.
    sleep(DROPPED_AFTER + 2 * REMIND_EVERY).await;
    assert!(here.now(&run()).is_none());
    assert!(there.now(&run()).is_some(), "it is watched");
}

#[tokio::test(start_paused = true)]
async fn of_two_attempts_the_later_one_is_shown_whoever_tells_last() {
    let world = World::of(3);
    let [first, second, third] = &world.0[..] else { unreachable!() };
    first.of(&run()).set_execution(attempt(1, Some("no")));
    world.pass_a_moment().await;
    second.of(&run()).set_execution(attempt(2, None));
    // Its first message is lost, and the older attempt is told again.
    sleep(Duration::from_millis(300)).await;
    second.bus.hand_over(&[]);
    first.of(&run()).advance(Counts::default(), 1);
    world.pass(Duration::from_secs(5)).await;
    for registry in [first, second, third] {
        let now = registry.now(&run()).unwrap();
        assert_eq!(now.execution.map(|execution| execution.attempt), Some(2));
        assert_eq!(now.bytes, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_run_that_does_not_fit_into_a_message_the_counts_are_told() {
    let world = World::of(2);
    let [here, there] = &world.0[..] else { unreachable!() };
    let progress = there.of(&run());
    progress.set_execution(attempt(1, Some(&"x".repeat(10_000))));
    progress.advance(Counts::default(), 5);
    world.pass_a_moment().await;
    assert_eq!(here.now(&run()).unwrap().bytes, 5);
}

/// By any clock: one that goes on between two looks at it must not put off the first message for ever.
#[test]
fn what_was_never_told_is_due_at_once() {
    let registry = ProgressRegistry::on(Bus::named("here"));
    let progress = registry.of(&RunId::from("r".to_owned()));
    progress.advance(Counts { processed: 1, failed: 0 }, 1);
    let now = Instant::now();
    assert_eq!(due(&progress, &LastTold::default(), now), Some(now));
}
