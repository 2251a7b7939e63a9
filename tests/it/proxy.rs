//! A misbehaving proxy between dashboard and engine and between engine and function: every import ends
//! correctly, and no wrong state is shown meanwhile.

mod witness;
mod world;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use runboard::{imports::ImportState, inngest::RunStatus};
use tokio::time::sleep;

use self::{
    witness::{Witness, state},
    world::World,
};
use crate::{
    inngest_api::until,
    support::proxy::{Behaviour, Proxy, Request},
};

const IMPORTS: usize = 3;

/// After this time nothing is in flight any more.
const LONG_AFTER: Duration = Duration::from_secs(5);

const BEHAVIOURS: [Behaviour; 9] = [
    Behaviour::Delay(Duration::from_millis(100)),
    Behaviour::Reset,
    Behaviour::CutBeforeAnswer,
    Behaviour::CutInAnswer,
    Behaviour::HalfARequest,
    Behaviour::HalfAnAnswer,
    Behaviour::Twice,
    Behaviour::Status(500),
    Behaviour::Status(503),
];

#[tokio::test]
async fn between_dashboard_and_engine_nothing_that_a_proxy_does_makes_an_import_wrong() {
    join_all(BEHAVIOURS.map(|behaviour| async move {
        let world = World::start().await;
        let hits = misbehave(&world.to_engine, behaviour, two_of_three());
        all_end_right(&world).await;
        // An undisturbed import makes two requests to the engine: to send its event, and for its runs.
        assert!(hits.load(Ordering::Relaxed) >= IMPORTS, "{behaviour:?}");
        world.stop().await;
    }))
    .await;
}

#[tokio::test]
async fn between_engine_and_function_nothing_that_a_proxy_does_makes_an_import_wrong() {
    join_all(BEHAVIOURS.map(|behaviour| async move {
        let world = World::start().await;
        let hits = misbehave(&world.to_function, behaviour, |request| !is_last_attempt(request));
        all_end_right(&world).await;
        assert!(hits.load(Ordering::Relaxed) >= 3 * IMPORTS, "{behaviour:?}");
        world.stop().await;
    }))
    .await;
}

#[tokio::test]
async fn an_engine_that_is_silent_is_said_to_be_and_the_last_state_stays() {
    let world = World::start().await;
    // The function is never called, so it reports nothing.
    misbehave(&world.to_function, Behaviour::Delay(LONG_AFTER * 2), |_| true);
    let mut witness = Witness::of(&world, world.upload().await).await;
    witness.watch_until("a run", |import| state(import) == ImportState::Running).await;
    misbehave(&world.to_engine, Behaviour::Status(502), |_| true);
    witness.watch_until("word of the outage", |import| import.outage.is_some()).await;
    assert_eq!(state(&witness.last), ImportState::Running, "what was known stays");
    world.to_engine.behave(|_| Behaviour::Pass);
    world.to_function.behave(|_| Behaviour::Pass);
    witness.watch_until("the end of the outage", |import| import.outage.is_none()).await;
    witness.watch_until_completed().await;
    world.check_files(witness.id).await;
    world.stop().await;
}

#[tokio::test]
async fn a_cancel_wins_whatever_the_proxy_does_to_the_send_and_to_the_cancel() {
    join_all(BEHAVIOURS.map(|behaviour| async move {
        let world = World::start().await;
        let hits = misbehave(&world.to_engine, behaviour, two_of_three());
        let slow = Behaviour::Delay(Duration::from_millis(200));
        misbehave(&world.to_function, slow, |_| true);
        let id = world.upload().await;
        until("the event on its way", || async {
            if hits.load(Ordering::Relaxed) > 0 { Ok(()) } else { Err(world.snapshot(id).await) }
        })
        .await;
        assert!(world.cancel(id).await);
        // A run that was shown before the cancel is shown until it has ended; no other run ever is.
        let mut is_over = world.snapshot(id).await.runs.is_empty();
        let start = Instant::now();
        while start.elapsed() < LONG_AFTER {
            let state = state(&world.snapshot(id).await);
            assert!(state == ImportState::Cancelled || !is_over, "{behaviour:?}: {state:?}");
            is_over |= state == ImportState::Cancelled;
            sleep(Duration::from_millis(5)).await;
        }
        assert!(is_over, "{behaviour:?}");
        // Whether the event was accepted or not, its runs were cancelled.
        let runs = world.runs(id).await;
        assert!(runs.iter().all(|run| run.status == RunStatus::Cancelled), "{behaviour:?}: {runs:?}");
        world.stop().await;
    }))
    .await;
}

#[tokio::test]
async fn a_run_that_begins_after_the_cancel_does_nothing_even_if_the_dashboard_cannot_reach_it() {
    let world = World::start().await;
    let on_its_way = Arc::new(AtomicBool::new(false));
    let sent = Arc::clone(&on_its_way);
    world.to_engine.behave(move |request| {
        let is_send = request.target().starts_with("POST /e/");
        sent.fetch_or(is_send, Ordering::Relaxed);
        if is_send { Behaviour::Delay(Duration::from_millis(300)) } else { Behaviour::Status(500) }
    });
    let id = world.upload().await;
    until("the event on its way", || async { on_its_way.load(Ordering::Relaxed).then_some(()).ok_or(()) })
        .await;
    assert!(world.cancel(id).await);
    let ended = || async {
        match &*world.runs(id).await {
            [run] if run.ended_at.is_some() => Ok(run.clone()),
            runs => Err(runs.to_vec()),
        }
    };
    let run = until("the end of its run", ended).await;
    assert_eq!(run.status, RunStatus::Cancelled);
    assert_eq!(world.store.steps(&run.run_id).await.unwrap(), [], "it did something");
    assert_eq!(state(&world.snapshot(id).await), ImportState::Cancelled);
    world.stop().await;
}

#[tokio::test]
async fn that_nobody_may_ask_for_the_runs_is_no_refusal_of_the_event() {
    let world = World::start().await;
    // Every answer to a send is lost, and the checks whether it arrived are refused at first.
    let mut questions = 0;
    world.to_engine.behave(move |request| {
        if request.target().starts_with("POST /e/") {
            return Behaviour::CutBeforeAnswer;
        }
        questions += 1;
        if questions < 3 { Behaviour::Status(403) } else { Behaviour::Pass }
    });
    let id = world.upload().await;
    Witness::of(&world, id).await.watch_until_completed().await;
    world.check_files(id).await;
    world.stop().await;
}

/// Makes a proxy misbehave for the requests that `meant` selects. Returns how many there were.
fn misbehave(
    proxy: &Proxy,
    behaviour: Behaviour,
    mut meant: impl FnMut(&Request) -> bool + Send + 'static,
) -> Arc<AtomicUsize> {
    let hits = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&hits);
    proxy.behave(move |request| {
        if !meant(request) {
            return Behaviour::Pass;
        }
        count.fetch_add(1, Ordering::Relaxed);
        behaviour
    });
    hits
}

/// Selects two of three requests to each address: with two tries the client gets no answer to its first
/// request, and one to its second.
fn two_of_three() -> impl FnMut(&Request) -> bool {
    let mut seen: HashMap<String, usize> = HashMap::new();
    move |request| {
        let count = seen.entry(request.target().to_owned()).or_default();
        *count += 1;
        !count.is_multiple_of(3)
    }
}

/// Whether the run ends if this call fails.
fn is_last_attempt(request: &Request) -> bool {
    request.header("x-inngest-generation-id") == Some("4")
}

/// Several concurrent imports, each watched all the time.
async fn all_end_right(world: &World) {
    let one = async || {
        let id = world.upload().await;
        Witness::of(world, id).await.watch_until_completed().await;
        world.check_files(id).await;
    };
    join_all((0..IMPORTS).map(|_| one())).await;
    world.check_storage().await;
}
