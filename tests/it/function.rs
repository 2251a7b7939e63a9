//! The function over HTTP: signed calls, signed answers, each record counted once.

mod blocks;
mod earlier_reader;
mod fetch;
mod handler;
mod long_records;
mod orphaned_runs;
mod short_steps;
mod stretches;
mod sync;
mod system_functions;
mod unpack;
mod world;

use std::fs;

use actix_web::http::StatusCode;
use futures_util::future::join_all;
use runboard::{
    base::ids::{EventId, ImportId},
    csv::Counts,
    files::Key,
    function::STEP_BYTES,
    inngest::call::step_id,
    progress::News,
    results::{Plan, outputs},
    store::steps::StepFiles,
};
use serde_json::{Value, json};

use self::world::{Memo, SMALL_STEPS, World, call, csv, run_id};
use crate::steps;

#[actix_web::test]
async fn a_small_file_is_planned_read_and_summed_up() {
    let world = World::new(STEP_BYTES).await;
    let (names, end) = world.call_to_the_end("r", &world.upload(&csv(100))).await;
    assert_eq!(names, ["plan", "rows-1"]);
    assert_eq!(end.status, StatusCode::OK);
    assert_eq!(end.text, r#"{"status":"success","processedItems":86,"failedItems":14}"#);
    let read = steps::sums(&world.processor.store, &run_id("r")).await;
    assert_eq!(read, (Counts { processed: 86, failed: 14 }, csv(100).len() as u64));
}

#[actix_web::test]
async fn a_header_alone_is_no_record() {
    let world = World::new(STEP_BYTES).await;
    let (names, end) = world.call_to_the_end("r", &world.upload("id,name\n")).await;
    assert_eq!(names, ["plan"]);
    assert_eq!(end.text, r#"{"status":"success","processedItems":0,"failedItems":0}"#);
    assert!(world.outputs().is_empty());
}

#[actix_web::test]
async fn many_steps_write_what_one_step_writes() {
    let world = World::new(SMALL_STEPS).await;
    let file = world.upload(&csv(2_000));
    let (names, many) = world.call_to_the_end("many", &file).await;
    assert!(names.len() > 20, "{names:?}");
    let world = world.restarted(|now| now.step_bytes = STEP_BYTES);
    let (names, one) = world.call_to_the_end("one", &file).await;
    assert_eq!(names, ["plan", "rows-1"]);
    assert_eq!(many.text, one.text);
    let parts: [fn(StepFiles) -> Option<String>; 3] =
        [|files| files.processed, |files| files.failed, |files| files.raw];
    for part in parts {
        let text = world.concatenated("one", part).await;
        assert!(!text.is_empty());
        assert_eq!(world.concatenated("many", part).await, text);
    }
    assert_eq!(world.outputs(), world.named_outputs().await);
}

#[actix_web::test]
async fn the_failed_records_of_the_finished_steps_are_a_file_behind_its_front() {
    let world = World::new(SMALL_STEPS).await;
    let (csv, store, storage) = (csv(2_000), &world.processor.store, &world.processor.storage);
    let (file, mut memo) = (world.upload(&csv), Memo::new());
    assert!(outputs::failed_records(store, &run_id("r")).await.unwrap().is_none(), "no plan yet");
    for _ in ["plan", "rows-1", "rows-2", "rows-3"] {
        world.call(&call("r", &file, &memo, 0)).await.remember(&mut memo);
    }
    let records = outputs::failed_records(store, &run_id("r")).await.unwrap().unwrap();
    assert_eq!(
        &fs::read_to_string(storage.local().unwrap().path(&records.source)).unwrap()
            [..records.layout.start.byte as usize],
        "id,name\n"
    );
    assert_eq!(records.parts.len(), 3);
    let text: String = records
        .parts
        .iter()
        .map(|part| fs::read_to_string(storage.local().unwrap().path(part)).unwrap())
        .collect();
    let read = steps::sums(store, &run_id("r")).await.1 as usize;
    let failed = csv[..read].split_inclusive('\n').filter(|line| !line.contains(','));
    assert_eq!(text, failed.collect::<String>());
}

#[actix_web::test]
async fn many_steps_find_the_reasons_that_one_step_finds() {
    let world = World::new(SMALL_STEPS).await;
    let file = world.upload(&csv(2_000));
    world.call_to_the_end("many", &file).await;
    let world = world.restarted(|now| now.step_bytes = STEP_BYTES);
    let (names, end) = world.call_to_the_end("one", &file).await;
    assert_eq!(names, ["plan", "rows-1"]);
    assert!(end.text.ends_with(r#""failedItems":285}"#), "{}", end.text);
    let one = world.processor.store.remarks(&run_id("one")).await.unwrap();
    assert_eq!(one.reasons.total(), 285);
    assert_eq!(world.processor.store.remarks(&run_id("many")).await.unwrap(), one);
}

#[actix_web::test]
async fn records_that_cross_the_blocks_of_reading_stay_whole() {
    let world = World::new(STEP_BYTES).await;
    let text = csv(150_000);
    assert!(text.len() > 2 << 20, "more than two blocks");
    let (_, end) = world.call_to_the_end("r", &world.upload(&text)).await;
    assert_eq!(end.text, r#"{"status":"success","processedItems":128572,"failedItems":21428}"#);
    let processed: String =
        text.lines().skip(1).filter(|line| line.contains(',')).map(|line| format!("{line}\r\n")).collect();
    assert!(world.concatenated("r", |files| files.processed).await == processed);
}

#[actix_web::test]
async fn a_record_over_the_limit_ends_no_step_in_its_middle() {
    let world = World::new(SMALL_STEPS).await.restarted(|now| now.max_record_bytes = 10_000);
    let long = "x".repeat(3 << 20);
    let file = world.upload(&format!("{}0,{long}\n{}", csv(1_000), &csv(1_000)["id,name\n".len()..]));
    let (names, end) = world.call_to_the_end("r", &file).await;
    assert!(names.len() > 4, "{names:?}");
    assert_eq!(end.text, r#"{"status":"success","processedItems":1716,"failedItems":285}"#);
}

#[actix_web::test]
async fn a_header_longer_than_the_first_look_is_read_whole() {
    let world = World::new(STEP_BYTES).await.restarted(|now| now.max_record_bytes = 4 << 20);
    let columns =
        vec!["a column with a name that goes on and on longer than anyone would make it"; 10_000].join(",");
    assert!(columns.len() > 512 << 10);
    let (_, end) = world.call_to_the_end("r", &world.upload(&format!("{columns}\n1,2\n"))).await;
    assert_eq!(end.text, r#"{"status":"success","processedItems":0,"failedItems":1}"#);
    let steps = world.processor.store.steps(&run_id("r")).await.unwrap();
    let plan: Plan = serde_json::from_str(&steps[0].result).unwrap();
    assert_eq!(plan.layout.header.len(), 10_000);
}

#[actix_web::test]
async fn a_plan_holds_after_a_restart_under_another_configuration() {
    let world = World::new(SMALL_STEPS).await;
    let file = world.upload(&csv(300));
    let mut memo = Memo::new();
    world.call(&call("r", &file, &memo, 0)).await.remember(&mut memo);
    let world = world.restarted(|now| {
        now.step_bytes = STEP_BYTES;
        now.max_record_bytes = 1;
    });
    let (names, end) = world.call_to_the_end("r", &file).await;
    assert!(names.len() > 3, "{names:?}");
    assert_eq!(end.text, r#"{"status":"success","processedItems":258,"failedItems":42}"#);
}

#[actix_web::test]
async fn executions_that_overlap_count_once_and_leave_no_files() {
    let world = World::new(STEP_BYTES).await;
    let file = world.upload(&csv(20_000));
    let mut memo = Memo::new();
    for step in ["plan", "rows-1"] {
        let body = call("r", &file, &memo, 0);
        let answers = join_all((0..4).map(|_| world.call(&body))).await;
        let texts: Vec<_> = answers.iter().map(|answer| answer.text.as_str()).collect();
        assert!(texts.iter().all(|text| *text == texts[0]), "{texts:#?}");
        assert_eq!(answers[0].remember(&mut memo), step);
    }
    let end = world.call(&call("r", &file, &memo, 0)).await;
    assert_eq!(end.text, r#"{"status":"success","processedItems":17143,"failedItems":2857}"#);
    assert_eq!(world.outputs(), world.named_outputs().await);
}

#[actix_web::test]
async fn a_step_that_is_done_is_answered_without_doing_it_again() {
    let world = World::new(SMALL_STEPS).await;
    let file = world.upload(&csv(200));
    let (names, end) = world.call_to_the_end("r", &file).await;
    let (steps, outputs) = (world.processor.store.steps(&run_id("r")).await.unwrap(), world.outputs());
    let plan: Plan = serde_json::from_str(&steps[0].result).unwrap();
    fs::remove_file(world.processor.storage.local().unwrap().path(&Key::from_stored(plan.source))).unwrap();
    // The engine has forgotten all of it.
    let (names_again, end_again) = world.call_to_the_end("r", &file).await;
    assert_eq!((names_again, &end_again.text), (names, &end.text));
    assert_eq!(world.processor.store.steps(&run_id("r")).await.unwrap(), steps);
    assert_eq!(world.outputs(), outputs);
}

#[actix_web::test]
async fn steps_that_only_the_engine_knows_cannot_be_gone_on_from() {
    let world = World::new(SMALL_STEPS).await;
    let file = world.upload(&csv(200));
    let mut memo = Memo::from([(step_id("plan"), json!({ "data": {} }))]);
    let gone = (
        "The earlier results of this run are no longer stored here. Run the import again.".to_owned(),
        false,
    );
    assert_eq!(world.call(&call("r", &file, &memo, 0)).await.failure(), gone);
    world.call(&call("r", &file, &Memo::new(), 0)).await.remember(&mut memo);
    memo.insert(step_id("rows-1"), json!({ "data": {} }));
    assert_eq!(world.call(&call("r", &file, &memo, 0)).await.failure(), gone);
}

#[actix_web::test]
async fn a_run_that_has_ended_is_refused() {
    let world = World::new(STEP_BYTES).await;
    let file = world.upload(&csv(10));
    let mut memo = Memo::new();
    world.call(&call("r", &file, &memo, 0)).await.remember(&mut memo);
    steps::close(&world.database, &run_id("r")).await;
    let answer = world.call(&call("r", &file, &memo, 0)).await;
    assert_eq!(answer.failure(), ("The run has already ended.".to_owned(), false));
    assert_eq!(world.processor.store.steps(&run_id("r")).await.unwrap().len(), 1);
    assert!(world.outputs().is_empty());
}

#[actix_web::test]
async fn a_step_that_is_told_to_stop_leaves_nothing() {
    let world = World::new(STEP_BYTES).await;
    let file = world.upload(&csv(10));
    let mut memo = Memo::new();
    world.call(&call("r", &file, &memo, 0)).await.remember(&mut memo);
    world.processor.progress.of(&run_id("r")).stop();
    let answer = world.call(&call("r", &file, &memo, 0)).await;
    assert_eq!(answer.failure(), ("The run was stopped.".to_owned(), true));
    assert!(world.outputs().is_empty());
    assert_eq!(world.error("r").await, None, "it was stopped on request");
}

#[actix_web::test]
async fn only_stored_files_with_a_good_link_and_public_addresses_are_opened() {
    let world = World::new(STEP_BYTES).await;
    let link = world.upload(&csv(3));
    let no_address = "The event's file is not an http or https address.";
    let not_public = "this address is on a private network. Ask the operator to allow it";
    let no_file = "The event does not name a file.";
    let gone = "The file is no longer stored here. Import it again.";
    for (data, sentence) in [
        (json!({ "file": "http://169.254.169.254/latest/meta-data/" }), not_public),
        (json!({ "file": "http://localhost/files.csv" }), not_public),
        (json!({ "file": "/etc/passwd" }), no_address),
        (json!({ "file": "file:///etc/passwd" }), no_address),
        (json!({ "file": link.split('?').next() }), not_public),
        (json!({ "file": link.replace("sig=", "sig=00") }), not_public),
        (json!({ "file": world.link(ImportId::generate()) }), gone),
        (json!({ "file": 7 }), no_file),
        (json!({}), no_file),
        (json!("text"), no_file),
        (Value::Null, no_file),
    ] {
        let mut body = call("r", "", &Memo::new(), 0);
        body["event"]["data"] = data.clone();
        let answer = world.call(&body).await;
        assert_eq!(answer.failure(), (sentence.to_owned(), false), "{data}");
        assert_eq!(world.error("r").await.as_deref(), Some(sentence), "{data}");
    }
}

#[actix_web::test]
async fn a_header_that_never_ends_fails_for_good() {
    let world = World::new(STEP_BYTES).await;
    let (names, end) = world.call_to_the_end("r", &world.upload("\"id,name\n1,2\n")).await;
    assert!(names.is_empty());
    let sentence = "The header cannot be read: its closing quote is missing.";
    assert_eq!(end.failure(), (sentence.to_owned(), false));
}

#[actix_web::test]
async fn a_failed_attempt_is_told_until_the_next_one_begins() {
    let world = World::new(STEP_BYTES).await;
    let file = world.upload(&csv(10));
    let mut memo = Memo::new();
    world.call(&call("r", &file, &memo, 0)).await.remember(&mut memo);
    let runs = world.folder.path().join("files/runs");
    fs::remove_dir(&runs).unwrap();
    let answer = world.call(&call("r", &file, &memo, 0)).await;
    let sentence = "A stored file could not be read or written. Ask the operator to check the disk.";
    assert_eq!(answer.failure(), (sentence.to_owned(), true));
    assert_eq!(answer.json()["line"], 2);
    assert_eq!(world.error("r").await.as_deref(), Some(sentence));

    fs::create_dir(&runs).unwrap();
    let progress = world.processor.progress.of(&run_id("r"));
    assert_eq!(progress.now().execution.unwrap().attempt, 1);
    world.call(&call("r", &file, &memo, 1)).await.remember(&mut memo);
    assert_eq!(progress.now().execution.unwrap().attempt, 2);
    assert_eq!(world.error("r").await, None);
}

#[actix_web::test]
async fn after_a_restart_progress_is_what_finished_steps_say() {
    let world = World::new(SMALL_STEPS).await;
    let text = csv(200);
    let file = world.upload(&text);
    let mut memo = Memo::new();
    for _ in 0..3 {
        world.call(&call("r", &file, &memo, 0)).await.remember(&mut memo);
    }
    let (counts, end_byte) = steps::sums(&world.processor.store, &run_id("r")).await;
    assert!(counts.processed > 0 && end_byte < text.len() as u64);
    let world = world.restarted(|_| {});
    let progress = world.processor.progress.of(&run_id("r"));
    progress.stop();
    world.call(&call("r", &file, &memo, 0)).await.failure();
    let now = progress.now();
    assert_eq!((now.counts, now.bytes, now.total_bytes), (Some(counts), end_byte, text.len() as u64));
}

#[actix_web::test]
async fn whoever_watches_hears_of_a_call_and_of_the_end() {
    let world = World::new(STEP_BYTES).await;
    let event = EventId::from("01M852BFZNDZSECF4ZXVXKXYMX".to_owned());
    let inbox = world.processor.progress.watch(&event);
    let file = world.upload(&csv(10));
    let called =
        |news: &News| matches!(news, News::Run(run) if run.run_id == run_id("r") && run.ended_at.is_none());
    world.call(&call("r", &file, &Memo::new(), 0)).await;
    let news = inbox.take();
    assert!(matches!(news.as_slice(), [news] if called(news)), "{news:?}");
    world.call_to_the_end("r", &file).await;
    let news = inbox.take();
    assert!(news.iter().rev().skip(1).all(called) && news.last() == Some(&News::Soon), "{news:?}");
}
