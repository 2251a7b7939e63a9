//! The counts of a running step, which only the replica that runs it knows at first.
//!
//! The test holds what the step reads of the bucket, and lets one part of the file pass after the other. So the step
//! cannot end before the test wants it, and counts that are shown meanwhile were told while it ran.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::StdRng};
use tokio::time::sleep;

use super::{
    check_outputs,
    cluster::{Cluster, REPLICAS},
    witness::{Seen, is_terminal},
};
use crate::{
    crash::sample::Sample,
    support::visitor::{Panel, Visitor},
};

/// The size of a file of one step, whose parts have at most 4 MiB: more of them than the test lets pass.
const ONE_STEP: usize = 15 << 20;

/// How many different counts each replica must show before the step ends.
const DIFFERENT: usize = 3;

/// How long the next count may take. A step whose file does not come goes on for longer: what tells counts only at its
/// end is too late.
const NEXT_WITHIN: Duration = Duration::from_secs(60);

/// How often the pages are looked at.
const PAUSE: Duration = Duration::from_millis(20);

/// For the figures: a file whose parts pass at this pace takes a step ten seconds.
const LARGE: usize = 96 << 20;
const PASS_EVERY: Duration = Duration::from_millis(400);
const MEASURED_WITHIN: Duration = Duration::from_secs(300);

/// How many records of its only run a page counts.
fn counted(panel: &Panel) -> u64 {
    // Empty while unknown.
    let number = |text: &str| if text.is_empty() { 0 } else { text.parse::<u64>().unwrap() };
    panel.runs.first().map_or(0, |run| number(&run.processed) + number(&run.failed))
}

#[tokio::test]
async fn every_replica_shows_the_counts_of_a_step_while_it_runs() {
    let sample = Sample::generate(ONE_STEP, &mut StdRng::seed_from_u64(8));
    // The only worker has no idle one beside it that reads parts of the file ahead.
    let cluster = Cluster::start_with(REPLICAS, |command, _| {
        command.env("RUNBOARD_WORKERS", "1");
    })
    .await;
    let mira = cluster.signed_in("mira@example.org").await;
    let everywhere: Vec<Visitor> = (0..REPLICAS).map(|number| cluster.at(number, &mira)).collect();
    cluster.hold_reads();
    let import = mira.upload("long.csv", &sample.bytes).await;
    // The states and the different counts that each replica has shown.
    let mut states = vec![Seen::default(); REPLICAS];
    let mut shown = vec![vec![0]; REPLICAS];
    let (mut passed_at, mut changed_at) = (0, Instant::now());
    while shown.iter().any(|counts| counts.len() <= DIFFERENT) {
        // Before the counts are looked at: a step that waits has counted what it read.
        let waits = !cluster.readers().is_empty();
        let mut now = BTreeSet::new();
        for ((visitor, states), counts) in everywhere.iter().zip(&mut states).zip(&mut shown) {
            // None: the answer is that of an outage.
            let count = states.look(visitor, &import).await.map(|panel| counted(&panel));
            let last = counts[counts.len() - 1];
            assert!(
                count.is_none_or(|count| count >= last),
                "{count:?} at {} after {counts:?}",
                visitor.origin
            );
            if let Some(count) = count.filter(|count| *count > last) {
                counts.push(count);
                changed_at = Instant::now();
            }
            now.insert(count);
        }
        // Each part must be counted everywhere before the next one passes. Some are read before the first record.
        if let (true, 1, Some(Some(count))) = (waits, now.len(), now.first().copied())
            && (count == 0 || count > passed_at)
        {
            passed_at = count;
            cluster.let_held_reads_pass();
        }
        assert!(changed_at.elapsed() < NEXT_WITHIN, "no further count; shown so far: {shown:?}");
        sleep(PAUSE).await;
    }
    let ended = cluster.rows.count("step WHERE step_id LIKE 'rows-%'").await;
    assert_eq!(ended, 0, "the step still runs; shown so far: {shown:?}");
    cluster.release_reads();
    let panel = cluster.until_ended(&[0, 1, 2], &mira, &import).await;
    check_outputs(&mira, &import, &panel, &sample).await;
}

/// How old the counts of a running step were at the replicas that do not run it, in seconds, at each of many looks.
pub async fn ages(cluster: &Cluster, visitor: &Visitor) -> Vec<f64> {
    let everywhere: Vec<Visitor> = (0..cluster.len()).map(|number| cluster.at(number, visitor)).collect();
    let line = "1234567,paid\n";
    let file = format!("id,state\n{}", line.repeat(LARGE / line.len()));
    cluster.hold_reads();
    let import = visitor.upload("large.csv", file).await;
    let start = Instant::now();
    // Where the step runs, and when it was seen to have counted so many.
    let (mut runs_at, mut counts, mut passed_at) = (None, Vec::new(), start);
    let (mut states, mut ages) = (vec![Seen::default(); cluster.len()], Vec::new());
    loop {
        assert!(start.elapsed() < MEASURED_WITHIN, "{import} does not end: {counts:?}");
        sleep(PAUSE).await;
        runs_at = cluster.readers().first().copied().or(runs_at);
        if passed_at.elapsed() >= PASS_EVERY {
            passed_at = Instant::now();
            cluster.let_held_reads_pass();
        }
        let Some(runs_at) = runs_at else { continue };
        let Some(panel) = states[runs_at].look(&everywhere[runs_at], &import).await else { continue };
        if is_terminal(&panel.state) {
            assert_eq!(panel.state, "Completed", "{}", panel.html);
            cluster.release_reads();
            return ages;
        }
        let count = counted(&panel);
        if counts.last().map_or(0, |(_, last)| *last) < count {
            counts.push((Instant::now(), count));
        }
        if counts.is_empty() {
            continue;
        }
        for number in (0..everywhere.len()).filter(|number| *number != runs_at) {
            let Some(panel) = states[number].look(&everywhere[number], &import).await else { continue };
            let shown = counted(&panel);
            // A count is as old as the first one that is higher.
            let since = counts.iter().find(|(_, count)| *count > shown);
            ages.push(since.map_or(0.0, |(at, _)| at.elapsed().as_secs_f64()));
        }
    }
}
