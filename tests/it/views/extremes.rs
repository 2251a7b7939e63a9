//! Extreme numbers from outside: a page is rendered for any number.

use askama::Template;
use proptest::prelude::*;
use runboard::{
    base::time::UnixMillis,
    csv::Counts,
    imports::RunSnapshot,
    inngest::RunStatus,
    progress::{Copying, ReadSince, Receiving},
    web::views::ImportPanel,
};

use super::{PACE, panel, report_inputs};
use crate::views::snapshots::{run_row, running, told, with};

/// The last millisecond that RFC 3339 can express.
const END_OF_TIME: i64 = 253_402_300_799_999;

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(1),
        Just((1 << 53) - 1),
        Just(1 << 53),
        Just(u64::MAX - 1),
        Just(u64::MAX),
        any::<u64>(),
        0..1_000_000_u64,
    ]
}

fn time() -> impl Strategy<Value = UnixMillis> {
    prop_oneof![Just(-END_OF_TIME / 4), Just(0), Just(END_OF_TIME), 0..END_OF_TIME, Just(1_795_467_800_000)]
        .prop_map(UnixMillis)
}

prop_compose! {
    fn run()(
        counts in prop::option::of((number(), number())),
        (bytes, total_bytes) in (number(), number()),
        total_rows in prop::option::of(number()),
        receiving in prop::option::of((number(), prop::option::of(number()), time())),
        (queued_at, news_at, started_at) in (time(), time(), time()),
        ended_at in prop::option::of(time()),
        read_since in prop::option::of((time(), number(), number())),
        is_called in any::<bool>(),
    ) -> RunSnapshot {
        let run = run_row(running(), |row| {
            row.counts = counts.map(|(processed, failed)| Counts { processed, failed });
            row.bytes = bytes;
            (row.queued_at, row.news_at, row.ended_at) = (queued_at, news_at, ended_at);
            if ended_at.is_some() {
                row.status = RunStatus::Completed;
            }
            row.execution.take_if(|_| !is_called);
            if let Some(execution) = &mut row.execution {
                execution.started_at = started_at;
            }
        });
        let run = told(run, |live| {
            live.total_rows = total_rows;
            live.receiving = receiving.map(|(bytes, total, since)| Receiving {
                copying: Copying::Fetching,
                bytes,
                total,
                since,
            });
            live.read_since = read_since.map(|(at, rows, bytes)| ReadSince { at, rows, bytes });
        });
        RunSnapshot { upload_bytes: total_bytes, ..run }
    }
}

proptest! {
    #[test]
    fn a_panel_is_written_whatever_it_is_told(run in run()) {
        let snapshot = with(run);
        prop_assert!(panel(&snapshot).contains("data-run-id"));
        prop_assert!(ImportPanel::new(&snapshot, &report_inputs(), PACE).render().is_ok());
    }
}

/// As another function reports it by `imports/csv.progress`.
#[test]
fn a_total_of_two_to_the_53_leaves_no_time_that_could_be_said() {
    let run = run_row(running(), |row| {
        (row.execution, row.bytes) = (None, 0);
        row.counts = Some(Counts { processed: 1, failed: 0 });
    });
    let run = told(run, |live| live.total_rows = Some(1 << 53));
    let html = panel(&with(RunSnapshot { upload_bytes: 0, ..run }));
    assert!(html.contains("9,007,199,254,740,992"), "{html}");
    assert!(!html.contains(" left"), "{html}");
}
