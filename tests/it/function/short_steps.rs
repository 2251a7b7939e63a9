//! A step that cannot continue or is stopped ends with the records that it has finished.

use std::{fs, path::PathBuf};

use runboard::{csv::Counts, function::STEP_BYTES};

use super::world::{Memo, World, call, csv, run_id};
use crate::steps;

/// Truncates the stored upload of `world` after `bytes`. Returns its path.
async fn cut_off(world: &World, run: &str, bytes: u64) -> PathBuf {
    let path = world.stored(run).await;
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(bytes).unwrap();
    path
}

#[actix_web::test]
async fn a_step_that_cannot_read_on_ends_with_what_it_has_finished_and_the_next_one_fails() {
    let world = World::new(STEP_BYTES).await;
    let text = csv(150_000);
    let file = world.upload(&text);
    let mut memo = Memo::new();
    world.call(&call("r", &file, &memo, 0)).await.remember(&mut memo);
    let path = cut_off(&world, "r", (3 << 20) / 2).await;

    // The first block is complete.
    assert_eq!(world.call(&call("r", &file, &memo, 0)).await.remember(&mut memo), "rows-1");
    let first = world.processor.store.steps(&run_id("r")).await.unwrap().pop().unwrap();
    assert!(((1 << 20) - 100..(1 << 20) + 100).contains(&first.end_byte), "{first:?}");
    let shown = world.processor.progress.of(&run_id("r")).now();
    assert_eq!((shown.counts, shown.bytes), (Some(first.counts), first.end_byte));
    assert_eq!(world.error("r").await, None, "it was finished as far as it went");

    let answer = world.call(&call("r", &file, &memo, 0)).await;
    let sentence = "A stored file could not be read or written. Ask the operator to check the disk.";
    assert_eq!(answer.failure(), (sentence.to_owned(), true));
    let records = first.counts.processed + first.counts.failed;
    assert_eq!(answer.json()["line"], 1 + records + 1, "after the header and the counted records");
    assert_eq!(world.processor.store.steps(&run_id("r")).await.unwrap().len(), 2);

    fs::write(path, &text).unwrap();
    assert_eq!(world.call(&call("r", &file, &memo, 1)).await.remember(&mut memo), "rows-2");
    let end = world.call(&call("r", &file, &memo, 0)).await;
    assert_eq!(end.text, r#"{"status":"success","processedItems":128572,"failedItems":21428}"#);
    let processed: String =
        text.lines().skip(1).filter(|line| line.contains(',')).map(|line| format!("{line}\r\n")).collect();
    assert!(world.concatenated("r", |files| files.processed).await == processed);
    assert_eq!(world.outputs(), world.named_outputs().await);
}

#[actix_web::test]
async fn a_step_that_cannot_write_on_ends_with_what_it_has_finished() {
    let world = World::new(STEP_BYTES).await;
    // Its first failed record, and so the first byte of failed.csv, comes long after the folder is gone.
    let good: String = (1..=1_000_000).map(|id| format!("{id},name {id}\n")).collect();
    let file = world.upload(&format!("id,name\n{good}bad\n1,2\n"));
    let mut memo = Memo::new();
    world.call(&call("r", &file, &memo, 0)).await.remember(&mut memo);
    let runs = world.folder.path().join("files/runs");
    let progress = world.processor.progress.of(&run_id("r"));
    let away = runs.with_file_name("away");
    let mover = std::thread::spawn({
        let (runs, away) = (runs.clone(), away.clone());
        move || {
            while progress.now().bytes < 1 << 20 {
                std::thread::yield_now();
            }
            fs::rename(&runs, &away).unwrap();
            fs::write(&runs, "no folder").unwrap();
        }
    });
    assert_eq!(world.call(&call("r", &file, &memo, 0)).await.remember(&mut memo), "rows-1");
    mover.join().unwrap();
    fs::remove_file(&runs).unwrap();
    fs::rename(&away, &runs).unwrap();
    let first = world.processor.store.steps(&run_id("r")).await.unwrap().pop().unwrap();
    assert!(first.counts.processed < 1_000_000 && first.counts.failed == 0, "{first:?}");

    let (_, end) = world.call_to_the_end("r", &file).await;
    assert_eq!(end.text, r#"{"status":"success","processedItems":1000001,"failedItems":1}"#);
    let processed = format!("{good}1,2\n").replace('\n', "\r\n");
    assert!(world.concatenated("r", |files| files.processed).await == processed);
    assert_eq!(world.outputs(), world.named_outputs().await);
}

#[actix_web::test]
async fn a_step_ends_early_at_a_record_boundary_only() {
    let world = World::new(STEP_BYTES).await;
    // The rest of a record of 3 MiB is being skipped when the file ends too early.
    let good = "1,name\n".repeat(70_000);
    let file = world.upload(&format!("id,name\n{good}0,{}\n1,2\n", "x".repeat(3 << 20)));
    let mut memo = Memo::new();
    world.call(&call("r", &file, &memo, 0)).await.remember(&mut memo);
    cut_off(&world, "r", (5 << 20) / 2).await;
    world.call(&call("r", &file, &memo, 0)).await.remember(&mut memo);
    let first = world.processor.store.steps(&run_id("r")).await.unwrap().pop().unwrap();
    assert_eq!(first.counts, Counts { processed: 70_000, failed: 0 });
    assert_eq!(first.end_byte, ("id,name\n".len() + good.len()) as u64);
    assert_eq!((first.files.failed, first.files.raw), (None, None));
    let written = world.concatenated("r", |files| files.processed).await;
    assert!(written == good.replace('\n', "\r\n"));
    assert_eq!(world.outputs(), world.named_outputs().await);
}

#[actix_web::test]
async fn a_step_that_is_stopped_on_its_way_keeps_what_it_has_finished() {
    let world = World::new(STEP_BYTES).await;
    let text = csv(1_000_000);
    let file = world.upload(&text);
    let mut memo = Memo::new();
    world.call(&call("r", &file, &memo, 0)).await.remember(&mut memo);
    let progress = world.processor.progress.of(&run_id("r"));
    let stopper = std::thread::spawn(move || {
        while progress.now().bytes < 1 << 20 {
            std::thread::yield_now();
        }
        progress.stop();
    });
    assert_eq!(world.call(&call("r", &file, &memo, 0)).await.remember(&mut memo), "rows-1");
    stopper.join().unwrap();
    let first = world.processor.store.steps(&run_id("r")).await.unwrap().pop().unwrap();
    assert!(first.end_byte < text.len() as u64, "{first:?}");
    let shown = world.processor.progress.of(&run_id("r")).now();
    assert_eq!((shown.counts, shown.bytes), (Some(first.counts), first.end_byte));

    let answer = world.call(&call("r", &file, &memo, 0)).await;
    assert_eq!(answer.failure(), ("The run was stopped.".to_owned(), true));
    let (_, end) = world.restarted(|_| {}).call_to_the_end("r", &file).await;
    assert_eq!(end.text, r#"{"status":"success","processedItems":857143,"failedItems":142857}"#);
}

#[actix_web::test]
async fn what_a_stopped_step_has_finished_is_refused_once_the_run_has_ended() {
    let world = World::new(STEP_BYTES).await;
    let file = world.upload(&csv(1_000_000));
    let mut memo = Memo::new();
    world.call(&call("r", &file, &memo, 0)).await.remember(&mut memo);
    let progress = world.processor.progress.of(&run_id("r"));
    let body = call("r", &file, &memo, 0);
    let ending = async {
        while progress.now().counts.is_none_or(|counts| counts.processed == 0) {
            tokio::task::yield_now().await;
        }
        steps::close(&world.database, &run_id("r")).await;
        progress.stop();
    };
    let (answer, ()) = futures_util::future::join(world.call(&body), ending).await;
    assert_eq!(answer.failure(), ("The run has already ended.".to_owned(), false));
    assert_eq!(world.processor.store.steps(&run_id("r")).await.unwrap().len(), 1);
    assert!(world.outputs().is_empty());
}
