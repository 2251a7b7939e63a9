//! Records of many MiB.

use std::time::Duration;

use futures_util::future::{join, join_all};
use runboard::function::{STEP_BYTES, Share, Slots};
use tempfile::tempdir;
use tokio::time::timeout;

use super::world::{Memo, World, call, run_id};
use crate::support::{
    binary::{Binary, runboard},
    until_equal,
    visitor::Visitor,
};

const MIB: usize = 1 << 20;

/// A file with this record behind many others and in front of one.
fn file_with(record: &[u8]) -> Vec<u8> {
    [&b"a,b\n"[..], &b"1,2\n".repeat(100_000)[..], record, b"\n3,4\n"].concat()
}

/// Uses the real program, whose memory can be measured.
#[tokio::test]
async fn several_long_records_at_once_take_little_memory() {
    let data = tempdir().unwrap();
    let server = Binary::start(runboard(data.path()).env("RUNBOARD_WORKERS", "2"));
    let mut visitor = Visitor::new(&server.origin);
    visitor.sign_up("mira@example.org").await;
    let before = server.most_resident();
    let text = [&[b'x'; 62][..], b"\"\""].concat().repeat(15 * MIB / 64);
    let files = [
        // Quotes in a column, quotes without a column, bytes that become three each, and a record that is accepted.
        (file_with(&[&b"1,\""[..], &text[..], b"\",x"].concat()), 1),
        (file_with(&[&b"1,2,\""[..], &text[..], b"\""].concat()), 1),
        (file_with(&[&b"1,"[..], &vec![0; 15 * MIB]].concat()), 1),
        (file_with(&[&b"1,\""[..], &text[..], b"\""].concat()), 0),
    ];
    let visitor = &visitor;
    join_all(files.iter().map(|(file, failed)| async move {
        let import = visitor.upload("long.csv", file).await;
        let panel = visitor.wait_for_state(&import, "Completed").await;
        assert_eq!(panel.counts(), (100_002 - failed, *failed));
    }))
    .await;
    let more = (server.most_resident() - before) / MIB as u64;
    assert!(more < 80, "{more} MiB more than before");
}

#[actix_web::test]
async fn a_step_that_waits_for_memory_gives_its_worker_up_and_can_be_stopped() {
    let world = World::new(STEP_BYTES).await.restarted(|now| {
        now.max_record_bytes = 16 << 20;
        now.work = Slots::new(1, Share::All);
    });
    let records = world.processor.large_memory.records.clone();
    let held = records.acquire("another user").await;
    let file = world.upload(&file_with(&[&b"1,\""[..], &vec![b'x'; 6 * MIB], b"\""].concat()));
    let mut memo = Memo::new();
    world.call(&call("long", &file, &memo, 0)).await.remember(&mut memo);
    // The records before the long one.
    assert_eq!(world.call(&call("long", &file, &memo, 0)).await.remember(&mut memo), "rows-1");
    let progress = world.processor.progress.of(&run_id("long"));
    let others = async {
        let waits = || progress.now().is_waiting && world.processor.work.idle() == 1;
        until_equal("the step to wait without a worker", waits, true).await;
        let small = world.upload("a,b\n1,2\n");
        let small = world.call_to_the_end("small", &small);
        let (_, end) = timeout(Duration::from_secs(60), small).await.expect("the only worker is free");
        assert_eq!(end.text, r#"{"status":"success","processedItems":1,"failedItems":0}"#);
        progress.stop();
    };
    let body = call("long", &file, &memo, 0);
    let (answer, ()) = join(world.call(&body), others).await;
    assert_eq!(answer.failure(), ("The run was stopped.".to_owned(), true));
    drop(held);
    let world = world.restarted(|_| {});
    let (_, end) = world.call_to_the_end("long", &file).await;
    assert_eq!(end.text, r#"{"status":"success","processedItems":100002,"failedItems":0}"#);
}
