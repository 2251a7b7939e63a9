//! The figures of a run: known numbers, and estimates from them.

use std::time::Duration;

use super::{
    badge::BadgeState,
    format::{bytes, grouped, rounded},
};
use crate::{
    base::{ids::ImportId, time::UnixMillis},
    csv::Counts,
    imports::RunSnapshot,
    inngest::RunStatus,
    progress::{Copying, Receiving},
};

/// The significant digits of an estimate.
const ESTIMATE_DIGITS: u32 = 3;

/// Before this time a speed, and the remaining time from it, is not meaningful.
const SHORTEST_MEASURE: Duration = Duration::from_secs(1);

/// In microseconds. Rows that were read in less time give no meaningful speed.
pub const SHORTEST_READING: u64 = 5_000;

/// A longer forecast is not meaningful.
const LONGEST_LEFT: Duration = Duration::from_secs(100 * 24 * 60 * 60);

/// None if `seconds` is too large for a forecast: totals that other functions report can be any number.
fn time_left(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().filter(|left| *left <= LONGEST_LEFT)
}

/// The figures of one run at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// None while unknown.
    pub counts: Option<Counts>,
    /// The share of the file that is read, 0 to 1.
    pub share: Option<f64>,
    /// Set while the file is being fetched, unpacked or decoded, and no row can be read yet.
    pub receipt: Option<Receipt>,
    /// The total number of rows.
    pub total: Option<Total>,
    /// Since the first call; for a run whose calls we do not see, since it was queued.
    pub elapsed: Duration,
    pub rows_per_second: Option<u64>,
    pub left: Option<Duration>,
}

/// How much of a file has arrived, or is unpacked or decoded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Receipt {
    pub copying: Copying,
    pub bytes: u64,
    pub total: Option<u64>,
    pub bytes_per_second: Option<u64>,
}

impl Receipt {
    fn of(receiving: Receiving, at: UnixMillis) -> Self {
        let elapsed = at.since(receiving.since);
        let is_measured = elapsed >= SHORTEST_MEASURE && receiving.bytes > 0;
        Self {
            copying: receiving.copying,
            bytes: receiving.bytes,
            total: receiving.total.filter(|total| *total > 0),
            bytes_per_second: is_measured.then(|| (receiving.bytes as f64 / elapsed.as_secs_f64()) as u64),
        }
    }

    /// 0 to 1.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        self.total.map(|total| (self.bytes as f64 / total as f64).min(1.0))
    }

    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        let to_go = self.total?.saturating_sub(self.bytes);
        let speed = self.bytes_per_second.filter(|speed| *speed > 0)?;
        time_left(to_go as f64 / speed as f64)
    }

    /// What is done with the bytes.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self.copying {
            Copying::Fetching => "received",
            Copying::Unpacking => "unpacked",
            Copying::Decoding => "decoded",
        }
    }

    /// `42% of 1.2 GB received`, `12.0 MB unpacked`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let verb = self.verb();
        match (self.share(), self.total) {
            (Some(share), Some(total)) => format!("{}% of {} {verb}", whole_percent(share), bytes(total)),
            _ => format!("{} {verb}", bytes(self.bytes)),
        }
    }
}

/// The rows per second of a run that has ended. Only the reading time counts, not the fetch, waits or
/// downtime. None if it is unknown or too short.
fn average(run: &RunSnapshot) -> Option<f64> {
    let read = run.stretches()?.total();
    let is_measured = read.rows > 0 && read.micros >= SHORTEST_READING;
    is_measured.then(|| read.rows as f64 * 1e6 / read.micros as f64)
}

/// The growth within some time, from which the speed and the remaining time are calculated.
#[derive(Clone, Copy, Debug)]
struct Growth {
    seconds: f64,
    rows: u64,
    /// The share of the file, 0 to 1; 0 while unknown.
    share: f64,
}

impl Growth {
    /// Our own function reports when it began to read; another function is measured from its start.
    fn of(
        run: &RunSnapshot,
        at: UnixMillis,
        elapsed: Duration,
        rows: Option<u64>,
        share: Option<f64>,
    ) -> Option<Self> {
        let (time, rows_before, share_before) = match run.read_since() {
            Some(since) => {
                let share_before = since.bytes as f64 / run.total_bytes().max(1) as f64;
                (at.since(since.at), since.rows, share_before)
            }
            None if run.is_ours() => return None,
            None => (elapsed, 0, 0.0),
        };
        (time >= SHORTEST_MEASURE).then(|| Self {
            seconds: time.as_secs_f64(),
            rows: rows.unwrap_or(0).saturating_sub(rows_before),
            share: (share.unwrap_or(0.0) - share_before).max(0.0),
        })
    }

    fn rows_per_second(self) -> Option<f64> {
        (self.rows > 0).then(|| self.rows as f64 / self.seconds)
    }

    /// The remaining time when `share` of the file is read.
    fn time_left(self, share: f64) -> Option<Duration> {
        (self.share > 0.0).then(|| time_left(self.seconds * (1.0 - share) / self.share)).flatten()
    }
}

/// The total number of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    pub rows: u64,
    /// Counted to the end, not estimated from bytes.
    pub exact: bool,
}

impl Progress {
    /// The figures of `run` at `at`: now, or when it was last heard of.
    #[must_use]
    pub fn of(run: &RunSnapshot, at: UnixMillis) -> Self {
        let completed = run.row.ended_at.is_some() && run.row.status == RunStatus::Completed;
        let waits = BadgeState::of_run(run) == BadgeState::Retrying;
        let rows = run.counts().map(|counts| counts.total());
        let share_of = |done: u64, all: u64| (all > 0).then(|| (done as f64 / all as f64).min(1.0));
        let share = if completed {
            Some(1.0)
        } else {
            share_of(run.bytes(), run.total_bytes()).or_else(|| share_of(rows?, run.total_rows()?))
        };
        let elapsed = run.row.ended_at.unwrap_or(at).since(run.began_at().unwrap_or(run.row.queued_at));
        // While no step is active, the remaining time is unknown.
        let is_growing = run.is_active() && !waits && run.row.ended_at.is_none();
        let growth = if is_growing { Growth::of(run, at, elapsed, rows, share) } else { None };
        let speed =
            if run.row.ended_at.is_some() { average(run) } else { growth.and_then(Growth::rows_per_second) };
        Self {
            // No row can be read before the file is complete, and zeros would say that none was read.
            counts: run.counts().filter(|counts| run.receiving().is_none() || *counts != Counts::default()),
            share,
            receipt: run.receiving().map(|receiving| Receipt::of(receiving, at)),
            total: match run.total_rows().filter(|_| run.row.ended_at.is_none()) {
                Some(told) => Some(Total { rows: told.max(rows.unwrap_or(0)), exact: true }),
                None => rows.zip(share).and_then(|(rows, share)| Total::reckon(rows, share)),
            },
            elapsed,
            rows_per_second: speed.map(|speed| rounded(speed as u64, ESTIMATE_DIGITS)),
            left: share.zip(growth).and_then(|(share, growth)| growth.time_left(share)),
        }
    }

    /// The figures of an import without runs.
    #[must_use]
    pub fn unknown() -> Self {
        Self {
            counts: None,
            share: None,
            receipt: None,
            total: None,
            elapsed: Duration::ZERO,
            rows_per_second: None,
            left: None,
        }
    }

    /// Processed and failed rows together.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        self.counts.map(|counts| counts.total())
    }

    fn to_go(&self) -> Option<u64> {
        let (total, rows) = (self.total?, self.rows()?);
        let to_go = total.rows.saturating_sub(rows);
        Some(if total.exact { to_go } else { rounded(to_go, ESTIMATE_DIGITS) })
    }

    /// The share of the file that is read. A run that has completed without counts may not have read it.
    fn share_read(&self) -> Option<f64> {
        self.share.filter(|share| *share < 1.0 || self.counts.is_some())
    }

    /// In whole per cent.
    #[must_use]
    pub fn percent(&self) -> Option<u64> {
        self.share_read().map(whole_percent)
    }

    /// The row of figures. `ended` changes their names, and omits a speed that will not be known any more.
    #[must_use]
    pub fn figures(&self, ended: bool) -> Figures {
        let count = |number: Option<u64>| number.map(grouped);
        let percent = |number: Option<u64>| number.map(|number| format!("{number}%"));
        let failed = self.counts.map(|counts| counts.failed);
        let left_over = if ended && self.share != Some(1.0) { "not read" } else { "to go" };
        let speed = if ended { "rows/s on average" } else { "rows/s" };
        let mut all = vec![
            Figure::new("processed", "processed", count(self.counts.map(|counts| counts.processed))),
            Figure::new("failed", "failed", count(failed)),
            Figure::new("to-go", left_over, count(self.to_go())),
        ];
        if !ended || self.rows_per_second.is_some() {
            all.push(Figure::new("speed", speed, count(self.rows_per_second)));
        }
        all.push(match &self.receipt {
            Some(receipt) => Figure::new("read", receipt.verb(), percent(receipt.share().map(whole_percent))),
            None => Figure::new("read", "read", percent(self.percent())),
        });
        Figures { all }
    }

    /// The text of the bar.
    #[must_use]
    pub fn in_words(&self) -> String {
        if let Some(receipt) = &self.receipt {
            return receipt.in_words();
        }
        let mut words = Vec::new();
        if let Some(percent) = self.percent() {
            words.push(format!("{percent}% read"));
        }
        if let Some(counts) = self.counts {
            words.push(format!("{} processed", grouped(counts.processed)));
            words.push(format!("{} failed", grouped(counts.failed)));
        }
        if words.is_empty() { "Nothing counted yet".to_owned() } else { words.join(", ") }
    }
}

/// Whole per cent, rounded down, so that 100 appears only at the end.
fn whole_percent(share: f64) -> u64 {
    (share * 100.0) as u64
}

impl Total {
    fn reckon(rows: u64, share: f64) -> Option<Self> {
        if share >= 1.0 {
            Some(Self { rows, exact: true })
        } else if rows == 0 || share <= 0.0 {
            None
        } else {
            let reckoned = rounded((rows as f64 / share) as u64, ESTIMATE_DIGITS);
            Some(Self { rows: reckoned.max(rows), exact: false })
        }
    }
}

/// The row of figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    pub all: Vec<Figure>,
}

impl Figures {
    /// The same with a link from the failed rows, if there are any, to the reasons on the page of `import`.
    #[must_use]
    pub fn with_reasons(mut self, import: ImportId) -> Self {
        for failed in self.all.iter_mut().filter(|figure| figure.kind == "failed" && !figure.is_quiet()) {
            failed.reasons_of = Some(import);
        }
        self
    }
}

/// A number with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// What it counts, in one word for scripts and styles.
    pub kind: &'static str,
    pub label: &'static str,
    /// None while unknown.
    pub number: Option<String>,
    /// The import whose page shows why these rows failed.
    pub reasons_of: Option<ImportId>,
}

impl Figure {
    /// The most characters that fit into a column at full size (`99,999,999`).
    const WIDEST: usize = 10;
    /// The same for the failed rows of a card, whose column is narrower (`99,999`).
    const WIDEST_FAILED: usize = 6;

    fn new(kind: &'static str, label: &'static str, number: Option<String>) -> Self {
        Self { kind, label, number, reasons_of: None }
    }

    /// Whether there is no number, so that it is drawn in a lighter colour.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.number.as_deref().is_none_or(|number| number == "0")
    }

    /// Whether it is too long for its column and needs a smaller size.
    #[must_use]
    pub fn is_long(&self) -> bool {
        let widest = if self.kind == "failed" { Self::WIDEST_FAILED } else { Self::WIDEST };
        self.number.as_ref().is_some_and(|number| number.len() > widest)
    }
}
