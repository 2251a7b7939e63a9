//! The positions of a run's rows in the file, as its steps record them.

use std::fs;

use runboard::{
    csv::{Counts, Stretches},
    function::STEP_BYTES,
    results::findings,
};

use super::world::{Memo, World, call, csv, run_id};

/// The rows and failed rows of each stretch.
fn rows(stretches: &Stretches) -> Vec<(u64, u64)> {
    stretches.all().iter().map(|stretch| (stretch.rows, stretch.failed)).collect()
}

/// The same by a simple count: a row belongs to the stretch in which it begins.
fn by_hand(text: &str) -> Vec<(u64, u64)> {
    let mut stretches = Stretches::new(text.len() as u64);
    let mut byte = text.find('\n').unwrap() as u64 + 1;
    for line in text.lines().skip(1) {
        let failed = u64::from(!line.contains(','));
        stretches.count(byte, Counts { processed: 1 - failed, failed });
        byte += line.len() as u64 + 1;
    }
    rows(&stretches)
}

#[actix_web::test]
async fn each_row_is_counted_in_its_stretch_however_many_steps_there_are() {
    let text = csv(150_000);
    for step_bytes in [STEP_BYTES, 100_000..=100_000] {
        let world = World::new(step_bytes).await;
        let (_, end) = world.call_to_the_end("r", &world.upload(&text)).await;
        assert_eq!(end.text, r#"{"status":"success","processedItems":128572,"failedItems":21428}"#);
        let recorded = world.processor.store.stretches(&run_id("r")).await.unwrap().unwrap();
        assert!(recorded.all().len() > 30, "{recorded:?}");
        assert_eq!(rows(&recorded), by_hand(&text));
        assert!(recorded.all().iter().all(|stretch| stretch.micros > 0), "{recorded:?}");
        let shown = world.processor.progress.of(&run_id("r")).now();
        assert_eq!(shown.stretches.as_deref(), Some(&recorded));
        let found = findings::of(&world.processor.store, &run_id("r")).await.unwrap();
        assert_eq!(
            (found.stretches, found.first_rows.as_ref()),
            (Some(recorded), shown.first_rows.as_deref())
        );
    }
}

#[actix_web::test]
async fn a_step_that_ended_early_or_is_done_again_counts_no_row_twice() {
    let world = World::new(STEP_BYTES).await;
    let text = csv(150_000);
    let file = world.upload(&text);
    let mut memo = Memo::new();
    world.call(&call("r", &file, &memo, 0)).await.remember(&mut memo);
    let path = world.stored("r").await;
    // The step reads a block, and ends in the second.
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len((3 << 20) / 2).unwrap();
    world.call(&call("r", &file, &memo, 0)).await.remember(&mut memo);
    assert!(!world.call(&call("r", &file, &memo, 0)).await.status.is_success());
    fs::write(path, &text).unwrap();
    // Two executions of one step, and another process without any state.
    let step = call("r", &file, &memo, 1);
    futures_util::future::join(world.call(&step), world.call(&step)).await;
    let world = world.restarted(|_| {});
    world.call_to_the_end("r", &file).await;
    let recorded = world.processor.store.stretches(&run_id("r")).await.unwrap().unwrap();
    assert_eq!(rows(&recorded), by_hand(&text));
    let shown = world.processor.progress.of(&run_id("r")).now();
    assert_eq!(shown.stretches.as_deref(), Some(&recorded));
}

#[actix_web::test]
async fn of_a_run_that_the_version_before_has_begun_no_part_is_taken_for_all() {
    let world = World::new(1_500_000..=1_500_000).await;
    let file = world.upload(&csv(150_000));
    let mut memo = Memo::new();
    for step in ["plan", "rows-1"] {
        assert_eq!(world.call(&call("r", &file, &memo, 0)).await.remember(&mut memo), step);
    }
    let half = "UPDATE step SET stretches = NULL WHERE step_id = 'rows-1'";
    assert_eq!(sqlx::query(half).execute(&world.database).await.unwrap().rows_affected(), 1);
    let world = world.restarted(|_| {});
    let (names, _) = world.call_to_the_end("r", &file).await;
    assert_eq!(names, ["plan", "rows-1", "rows-2"]);
    let shown = world.processor.progress.of(&run_id("r")).now();
    assert_eq!(shown.counts, Some(Counts { processed: 128_572, failed: 21_428 }));
    assert_eq!(shown.stretches, None);
    assert_eq!(world.processor.store.stretches(&run_id("r")).await.unwrap(), None);
    assert_eq!(findings::of(&world.processor.store, &run_id("r")).await.unwrap().stretches, None);
}

#[actix_web::test]
async fn a_record_longer_than_a_stretch_belongs_where_it_begins() {
    let world = World::new(STEP_BYTES).await;
    let good = "1,name\n".repeat(20_000);
    // Longer than a record may be, and longer than two blocks.
    let text = format!("id,name\n{good}0,{}\n{good}", "x".repeat(3 << 20));
    world.call_to_the_end("r", &world.upload(&text)).await;
    let recorded = world.processor.store.stretches(&run_id("r")).await.unwrap().unwrap();
    let failed: Vec<usize> =
        (0..recorded.all().len()).filter(|index| recorded.all()[*index].failed > 0).collect();
    let begins = good.len() as u64 * recorded.all().len() as u64 / text.len() as u64;
    assert_eq!(failed, [usize::try_from(begins).unwrap()]);
    assert_eq!((recorded.total().rows, recorded.total().failed), (40_001, 1));
}

#[actix_web::test]
async fn a_plan_without_first_rows_is_obeyed_and_shows_none() {
    let world = World::new(STEP_BYTES).await;
    let file = world.upload("id,name\n1,Ann\n2\n");
    let mut memo = Memo::new();
    let told = world.call(&call("r", &file, &memo, 0)).await;
    assert!(!told.text.contains("Ann"), "the engine is not told rows: {}", told.text);
    told.remember(&mut memo);
    let store = &world.processor.store;
    let plan = store.steps(&run_id("r")).await.unwrap().pop().unwrap().result;
    let mut old: serde_json::Value = serde_json::from_str(&plan).unwrap();
    let rows = old.as_object_mut().unwrap().remove("first_rows").expect("it is kept");
    assert_eq!(rows["rows"][0]["cells"], serde_json::json!(["1", "Ann"]));
    sqlx::query("UPDATE step SET result = $1").bind(old.to_string()).execute(&world.database).await.unwrap();

    let world = world.restarted(|_| {});
    let (_, end) = world.call_to_the_end("r", &file).await;
    assert_eq!(end.text, r#"{"status":"success","processedItems":1,"failedItems":1}"#);
    let found = findings::of(&world.processor.store, &run_id("r")).await.unwrap();
    assert_eq!((found.first_rows, found.reasons.total()), (None, 1));
    assert_eq!(world.processor.progress.of(&run_id("r")).now().first_rows, None);
}
