//! The page while a server gives recorded real answers, or faulty ones.
//!
//! The server's API is played from `tests/fixtures/inngest`. It never calls us, so everything comes from
//! polling.

mod cached_lists;
mod missing_end;
mod queue;
mod world;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use runboard::base::time::UnixMillis;
use serde_json::{Value, json};
use wiremock::{Mock, ResponseTemplate, matchers::path_regex};

use crate::support::visitor::Panel;

use world::{RUN, Said, Server, World, plain, recorded, said};

#[tokio::test]
async fn a_run_that_appears_late_is_waited_for_and_every_run_is_shown() {
    let world = World::saying(vec![said("v1-none"), said("v1-none"), said("v1-fan-out")]).await;
    world.reads("Waiting for a run to start", "").await;
    let panel = world.until("the end", |panel| panel.state == "Completed").await;
    let counts: Vec<_> = panel.runs.iter().map(|run| (run.processed.as_str(), run.failed.as_str())).collect();
    assert_eq!(counts, [("", ""), ("98", "2")], "the second function reports no counts");
}

#[tokio::test]
async fn an_event_that_is_not_taken_waits_and_the_page_says_why_and_until_when() {
    let table = [
        (401, "Inngest answers 401 (wrong event key?). Your file is safe; trying again at "),
        (403, "Inngest answers 403 (wrong event key?). Your file is safe; trying again at "),
        (404, "Inngest answers 404 (wrong address?). Your file is safe; trying again at "),
        (405, "Inngest answers 405. Your file is safe; trying again at "),
        (429, "Inngest answers 429 (too many requests). Your file is safe; trying again at "),
        (502, "Inngest answers 502. Your file is safe; trying again at "),
    ];
    join_all(table.map(|(status, sentence)| async move {
        let server = Server::saying(false, vec![said("v1-none")]).await;
        server.answer_events(status).await;
        let world = World::of(server).await;
        let panel = world.reads(sentence, "").await;
        assert_eq!(panel.state, "Accepted", "{status}");
        world.server.take_events().await;
        let panel =
            world.until(&format!("the event sent after {status}"), |panel| panel.state == "Sent").await;
        assert!(plain(&panel.html).contains("Waiting for a run to start"), "{}", plain(&panel.html));
    }))
    .await;
}

#[tokio::test]
async fn an_event_api_that_hangs_is_named_after_one_attempt() {
    let server = Server::saying(false, vec![said("v1-none")]).await;
    server.hold_events().await;
    let world = World::of(server).await;
    let panel = world.reads("Inngest has not answered since", "").await;
    assert_eq!(panel.state, "Accepted");
    let sent = world.server.events.received_requests().await.unwrap();
    let attempts = sent.iter().filter(|request| request.headers.contains_key("x-inngest-event-id-seed"));
    let attempts = attempts.count();
    // A second send may have begun before the page was read. The client's own tries would be three.
    assert!(attempts <= 2, "{attempts}");
    world.server.take_events().await;
    world.until("the event sent", |panel| panel.state == "Sent").await;
}

#[tokio::test]
async fn a_key_that_is_refused_when_it_is_asked_whether_the_event_arrived_is_no_event_key() {
    let server = Server::saying(false, vec![Said::Status("401 Unauthorized", "")]).await;
    server.answer_events(503).await;
    let world = World::of(server).await;
    world.reads("Inngest answers 503. Your file is safe; trying again at ", "").await;
    world.reads("Your file is safe. Inngest has refused our key since ", "").await;
}

#[tokio::test]
async fn an_event_that_the_engine_can_never_take_ends_its_import() {
    for status in [400, 413] {
        let server = Server::saying(false, vec![said("v1-none")]).await;
        server.answer_events(status).await;
        let world = World::of(server).await;
        let panel = world.reads("Inngest refused the event: ", "").await;
        assert_eq!(panel.state, "Failed", "{status}");
    }
}

#[tokio::test]
async fn an_event_is_sent_although_the_clock_was_set_back_by_an_hour() {
    let server = Server::saying(false, vec![said("v1-none")]).await;
    server.answer_events(503).await;
    let world = World::of(server).await;
    world.reads("Inngest answers 503. Your file is safe; trying again at ", "").await;
    let world = world
        .after(async |database| {
            let later = "UPDATE outbox SET next_attempt_at = next_attempt_at + 3600000";
            sqlx::query(later).execute(database).await.unwrap();
        })
        .await;
    world.server.take_events().await;
    world.until("the event sent", |panel| panel.state == "Sent").await;
}

#[tokio::test]
async fn nobody_takes_the_event_is_said_and_it_can_be_sent_again() {
    let world = World::saying(vec![said("v1-none")]).await;
    world.until("the event sent", |panel| panel.state == "Sent").await;
    let world = world.sent_earlier(31_000).await;
    let panel = world.reads("No function has started for imports/csv.uploaded in 3", "").await;
    assert_eq!(panel.state, "NoFunction");
    assert!(panel.html.contains("Send again"), "{}", panel.html);
    let again = world.visitor.post_form(&format!("{}/retry", world.import), &[]).await;
    let retry = again.headers()["location"].to_str().unwrap().to_owned();
    world.until("the first one withdrawn", |panel| panel.state == "Cancelled").await;
    world.visitor.wait_for(&retry, "the second one", |panel| panel.state == "Sent").await;
}

#[tokio::test]
async fn what_nobody_took_in_a_day_is_over_and_can_be_deleted() {
    let world = World::saying(vec![said("v1-none")]).await;
    world.until("the event sent", |panel| panel.state == "Sent").await;
    let world = world.sent_earlier(86_400_000).await;
    let sentence = "No function has started for imports/csv.uploaded in a day. Is its app registered?";
    let panel = world.reads(sentence, "").await;
    assert_eq!(panel.state, "NoFunction");
    assert!(!panel.html.contains("hx-trigger=\"every"), "nothing more is expected: {}", panel.html);
    assert!(panel.html.contains("Send again"), "{}", panel.html);
    let deleted = world.visitor.post_form(&format!("{}/delete", world.import), &[]).await;
    assert_eq!(deleted.status(), 303);
    assert_eq!(world.visitor.get(&world.import).await.status(), 404);
}

#[tokio::test]
async fn without_any_list_nobody_is_said_not_to_have_taken_it() {
    let world = World::saying(vec![Said::Status("401 Unauthorized", "")]).await;
    world.until("the event sent", |panel| panel.state == "Sent").await;
    let world = world.sent_earlier(31_000).await;
    let panel = world.reads("Inngest has refused our key since", "").await;
    assert_eq!(panel.state, "Sent");
}

#[tokio::test]
async fn a_cancelled_run_has_no_counts_of_a_step_and_did_not_end_in_the_future() {
    let mut list: Value = serde_json::from_str(&world::cancelled_v2()).unwrap();
    let fetched_at = "2026-11-23T20:47:20.000Z";
    list["metadata"]["fetchedAt"] = json!(fetched_at);
    list["data"][0]["output"] = json!({"processedItems": 5, "failedItems": 1});
    let world = World::of(Server::saying(true, vec![Said::Body(list.to_string())]).await).await;
    let panel = world.until("the end", |panel| panel.state == "Cancelled").await;
    assert_eq!((panel.runs[0].processed.as_str(), panel.runs[0].failed.as_str()), ("", ""));
    assert!(panel.html.contains(fetched_at), "{}", panel.html);
}

#[tokio::test]
async fn a_server_that_hangs_or_wants_peace_is_named_after_one_question() {
    let table = [
        (Said::Hang, "Inngest has not answered since"),
        (
            Said::Status("429 Too Many Requests", "Retry-After: 60\r\n"),
            "Inngest has been rate-limiting us since",
        ),
    ];
    join_all(table.map(|(trouble, sentence)| async move {
        let world = World::of(Server::saying(true, vec![said("v2-running")]).await).await;
        world.until("the run", |panel| panel.runs.len() == 1).await;
        world.server.says(trouble);
        let lists = || world.server.api.asked().iter().filter(|line| line.contains("/v2/events/")).count();
        let before = lists();
        world.reads(sentence, "Running").await;
        // The second poll may be in flight when the page is read.
        assert!(lists() - before <= 2, "{:?}", world.server.api.asked());
    }))
    .await;
}

#[tokio::test]
async fn what_is_not_the_end_is_never_called_one() {
    let unended = |name: &str, word: &str| recorded(name).replace("\"Running\"", &format!("\"{word}\""));
    let table = [
        (said("v1-queued"), "Waiting for a free worker since", "Scheduled"),
        (said("v1-running"), "Running for", "Running"),
        (said("v1-asleep"), "Running for", "Running"),
        (said("v1-between-retries"), "Running for", "Running"),
        (said("v1-ending"), "Running for", "Running"),
        (Said::Body(unended("v1-running", "Skipped")), "Running for", "Running"),
        (
            Said::Body(unended("v1-running", "Overflowed")),
            "The engine reports this run as Overflowed.",
            "Overflowed",
        ),
    ];
    join_all(table.map(|(said, sentence, status)| async move {
        let world = World::saying(vec![said]).await;
        let panel = world.reads(sentence, status).await;
        assert_eq!(panel.state, "Running", "{sentence}");
        assert!(panel.html.contains("hx-trigger"), "it keeps polling");
    }))
    .await;
}

#[tokio::test]
async fn an_end_is_one_in_the_engines_own_word() {
    let ended = |word: &str| {
        let body = recorded("v1-cancelled").replace("\"Cancelled\"", &format!("\"{word}\""));
        Said::Body(body)
    };
    let table = [
        (said("v1-ended-void"), "Completed", "Completed", "Completed in"),
        (said("v1-cancelled"), "Cancelled", "Cancelled", "Stopped at"),
        (ended("Skipped"), "Skipped", "Skipped", "The engine skipped this run."),
        (ended("Overflowed"), "Skipped", "Overflowed", "This run ended as Overflowed."),
    ];
    join_all(table.map(|(said, state, status, sentence)| async move {
        let world = World::saying(vec![said]).await;
        let panel = world.reads(sentence, status).await;
        assert_eq!(panel.state, state, "{sentence}");
        assert!(!panel.html.contains("hx-trigger=\"every"), "nothing more is expected");
    }))
    .await;
}

#[tokio::test]
async fn the_end_that_is_said_too_early_is_shown_once_it_has_come() {
    let world = World::saying(vec![said("v1-ending"), said("v1-ending"), said("v1-ended-void")]).await;
    world.reads("Running for", "Running").await;
    world.reads("Completed in", "Completed").await;
}

#[tokio::test]
async fn runs_in_changing_order_keep_their_places() {
    let unended = recorded("v1-fan-out").replace("\"Completed\"", "\"Running\"");
    let mut list: Value = serde_json::from_str(&unended).unwrap();
    let runs = list["data"].as_array_mut().unwrap();
    for run in runs.iter_mut() {
        run["ended_at"] = Value::Null;
        run.as_object_mut().unwrap().remove("output");
    }
    let one = list.to_string();
    list["data"].as_array_mut().unwrap().reverse();
    let other = list.to_string();
    let turns: Vec<Said> =
        [&one, &other].into_iter().cycle().take(6).map(|body| Said::Body(body.clone())).collect();
    let asked = turns.len();
    let world = World::saying(turns).await;
    let ids = |panel: &Panel| panel.runs.iter().map(|run| run.run_id.clone()).collect::<Vec<_>>();
    let first = ids(&world.until("two runs", |panel| panel.runs.len() == 2).await);
    let lists = || world.server.api.asked().iter().filter(|line| line.contains("/v1/events/")).count();
    let differ = AtomicUsize::new(0);
    world
        .until("all the lists", |panel| {
            differ.fetch_add(usize::from(ids(panel) != first), Ordering::Relaxed);
            lists() >= asked
        })
        .await;
    assert_eq!(differ.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_run_that_is_listed_twice_after_its_cancel_is_one_and_stays_cancelled() {
    let world = World::saying(vec![said("v1-cancelled-twice")]).await;
    let panel = world.until("the end", |panel| panel.state == "Cancelled").await;
    assert_eq!(panel.runs.len(), 1, "{:?}", panel.runs);
    assert!(!panel.html.contains("busy done"), "what its call answered afterwards does not count");
}

#[tokio::test]
async fn a_run_that_a_crash_has_orphaned_is_said_to_be_quiet_and_v2_ends_it() {
    let world = World::of(Server::saying(true, vec![said("v2-running")]).await).await;
    world.until("the run", |panel| panel.runs.len() == 1).await;
    let world = world
        .after(async |database| {
            let quiet = UnixMillis::now().0 - 12 * 60 * 1000;
            sqlx::query("UPDATE run SET news_at = $1").bind(quiet).execute(database).await.unwrap();
        })
        .await;
    let panel = world.reads("No news of this run since", "Running").await;
    assert!(plain(&panel.html).contains("(12 min). The engine may have lost it."), "{}", plain(&panel.html));
    assert!(
        panel.html.contains("dimmed") && panel.html.contains("Cancel") && panel.html.contains("Run again")
    );
    world.visitor.post_form(&format!("{}/cancel", world.import), &[]).await;
    world.until("the end", |panel| panel.state == "Cancelled").await;
    let cancel = format!("POST /v2/runs/{RUN}/cancel");
    assert!(world.server.api.asked().iter().any(|request| request.starts_with(&cancel)));
}

#[tokio::test]
async fn a_run_that_is_no_longer_kept_keeps_its_last_known_state() {
    for is_v2 in [true, false] {
        let (running, none) = if is_v2 { ("v2-running", "v2-none") } else { ("v1-running", "v1-none") };
        let world = World::of(Server::saying(is_v2, vec![said(running)]).await).await;
        assert_eq!(world.server.is_v2, is_v2);
        world.until("the run", |panel| panel.runs.len() == 1).await;
        world.server.says(said(none));
        let panel =
            world.reads("Inngest no longer keeps this run. Its last known state is shown.", "Running").await;
        assert!(panel.html.contains("dimmed") && panel.html.contains("Run again"), "{}", panel.html);
        world.server.says(said(running));
        world.reads("Running for", "Running").await;
    }
}

#[tokio::test]
async fn whatever_a_server_says_instead_of_an_answer_the_last_state_stays_and_comes_to_life_again() {
    let no_answer = "Inngest has not answered since";
    let unreadable = "Inngest has sent no readable answer since";
    let table = [
        (Said::Reset, no_answer),
        (Said::CutOff, no_answer),
        (Said::Endless, no_answer),
        (Said::Status("500 Internal Server Error", ""), no_answer),
        (Said::Status("502 Bad Gateway", ""), no_answer),
        (Said::Status("401 Unauthorized", ""), "Inngest has refused our key since"),
        (
            Said::Status("429 Too Many Requests", "Retry-After: 1\r\n"),
            "Inngest has been rate-limiting us since",
        ),
        (Said::Body("<!doctype html><title>Welcome</title>".to_owned()), unreadable),
        (said("v1-error-in-200"), unreadable),
    ];
    join_all(table.map(|(trouble, sentence)| async move {
        let world = World::saying(vec![said("v1-running")]).await;
        world.until("the run", |panel| panel.runs.len() == 1).await;
        world.server.says(trouble);
        let panel = world.reads(sentence, "Running").await;
        assert!(plain(&panel.html).contains("Showing the last known numbers."), "{sentence}");
        assert!(panel.html.contains("dimmed") && panel.state == "Running", "{sentence}");
        world.server.says(said("v1-cancelled"));
        world.until("the end", |panel| panel.state == "Cancelled").await;
    }))
    .await;
}

#[tokio::test]
async fn a_run_that_took_the_events_of_two_imports_is_shown_with_both() {
    let world = World::saying(vec![said("v1-fan-out")]).await;
    let other = world.visitor.upload("b.csv", "a\n1\n").await;
    let ids = |panel: Panel| panel.runs.into_iter().map(|run| run.run_id).collect::<Vec<_>>();
    let one = ids(world.until("the end", |panel| panel.state == "Completed").await);
    let another = ids(world.visitor.wait_for_state(&other, "Completed").await);
    assert_eq!((one.len(), &one), (2, &another));
}

#[tokio::test]
async fn whether_it_is_ready_says_which_key_is_not_taken() {
    let refused = Said::Status("401 Unauthorized", "");
    let ready = async |said: Said, event_status: u16| {
        let server = Server::saying(false, vec![said]).await;
        server.events.reset().await;
        let answer =
            ResponseTemplate::new(event_status).set_body_json(json!({"ids": [""], "status": event_status}));
        Mock::given(path_regex("^/e/event-key$")).respond_with(answer).mount(&server.events).await;
        let app = server.app(tempfile::tempdir().unwrap()).await;
        let answer = app.visitor().get("/readyz").await;
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let body = |engine: &str| format!("database: ready\nfiles: ready\nengine: {engine}\n");
    assert_eq!(ready(said("v1-none"), 200).await, (200, body("ready")));
    assert_eq!(ready(refused, 200).await, (503, body("does not take the signing key")));
    assert_eq!(ready(said("v1-none"), 401).await, (503, body("does not take the event key")));
    assert_eq!(ready(Said::Reset, 200).await, (503, body("not answering")));
    let page = Said::Body("<!doctype html><title>Welcome</title>".to_owned());
    assert_eq!(ready(page, 200).await, (503, body("answers, but not like an engine")));
}

/// The budget is ten a second, of which a second's worth may be used at once.
#[tokio::test]
async fn however_many_imports_and_tabs_there_are_the_server_is_asked_no_more_than_its_budget() {
    const IMPORTS: usize = 40;
    const QUESTIONS: usize = 60;
    let world = World::saying(vec![said("v1-none")]).await;
    let asked = || world.server.api.asked().iter().filter(|line| line.starts_with("GET /v")).count();
    let (start, before) = (Instant::now(), asked());
    join_all((1..IMPORTS).map(|_| world.visitor.upload("a.csv", "a\n1\n"))).await;
    world.until("the questions", |_| asked() >= before + QUESTIONS).await;
    let took = start.elapsed();
    let least = Duration::from_millis((QUESTIONS as u64 - 11) * 100);
    assert!(took >= least, "{QUESTIONS} questions in {took:?}");
}
