//! What the replicas tell each other of runs: each mirrors the progress of the steps that run on the others, and passes
//! on what is for another one.
//!
//! What is lost on the way is told again or found by polling: so a replica that has missed messages does nothing about
//! it here.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    News, ProgressRegistry, RunProgress,
    changed::level,
    lock,
    messages::{
        EngineMessage, FrontMessage, NewsMessage, NewsWord, OverMessage, ReportMessage, RunMessage,
        StopMessage,
    },
};
use crate::{
    base::{ids::RunId, time::UnixMillis},
    csv::Stretches,
    replicas::{Heard, Message},
};

/// How often changes are told, and how soon after the last time if a step begins or ends.
const TOLD_EVERY: Duration = Duration::from_secs(1);
const URGENT_AFTER: Duration = Duration::from_millis(200);
/// A step begins a moment after its call has waited: both are told at once.
const GATHERED_FOR: Duration = Duration::from_millis(10);
/// How soon an active run is told that has not changed. Shorter than the time after which its replica counts as dead.
const ALIVE_EVERY: Duration = Duration::from_secs(2);
/// How often watched runs are told that have not changed, for replicas that have begun since.
const REMIND_EVERY: Duration = Duration::from_secs(4 * 60);
/// A run that nobody watches here is dropped if nothing was told of it for this long. Longer than two reminders.
const DROPPED_AFTER: Duration = Duration::from_secs(10 * 60);
/// The most runs that are kept for other replicas, and the longest id of one.
const MOST_MIRRORED: usize = 20_000;
const LONGEST_RUN_ID: usize = 256;

/// What was last told of a run.
#[derive(Debug, Default)]
struct LastTold {
    at: Option<Instant>,
    stretches: Option<Arc<Stretches>>,
    /// The same was told twice.
    is_repeated: bool,
}

impl ProgressRegistry {
    /// Tells the other replicas what changes here, and takes what they tell, until `stopping`.
    pub async fn exchange(self, stopping: CancellationToken) {
        if self.bus.is_alone() {
            return;
        }
        let work = async {
            tokio::join!(
                self.tell_changes(),
                self.remind_and_drop(),
                self.hear(Self::take_news),
                self.hear(Self::take_run),
                self.hear(Self::take_front),
                self.hear(Self::take_over),
                self.hear(Self::take_stop),
                self.hear(Self::take_report),
                self.hear(Self::take_fact),
            )
        };
        stopping.run_until_cancelled(work).await;
    }

    async fn hear<M: Message>(&self, take: impl Fn(&Self, M)) {
        let mut listener = self.bus.listen::<M>();
        loop {
            match listener.next().await {
                Heard::Told(message) => take(self, message),
                Heard::Missed => {}
            }
        }
    }

    async fn tell_changes(&self) {
        let mut told: HashMap<RunId, LastTold> = HashMap::new();
        let mut next = Instant::now();
        loop {
            tokio::select! {
                () = self.changed.is_urgent() => sleep(GATHERED_FOR).await,
                () = sleep_until(next) => {}
            }
            for run in self.changed.take() {
                told.entry(run).or_default();
            }
            let now = Instant::now();
            next = now + TOLD_EVERY;
            told.retain(|run, last| {
                let Some(progress) = self.known(run) else { return false };
                let due = due(&progress, last, now);
                if due.is_some_and(|due| due <= now) {
                    self.tell_progress(run, &progress, last);
                    last.at = Some(now);
                }
                next = next.min(due.filter(|due| *due > now).unwrap_or(next));
                // One that is over now stays until it may be told again, so that none is told too often.
                due.is_some() || last.at.is_some_and(|at| at + TOLD_EVERY > now)
            });
        }
    }

    fn tell_progress(&self, run: &RunId, progress: &RunProgress, last: &mut LastTold) {
        last.is_repeated = progress.take_change() == level::NONE;
        let mut message = progress.message(self.process, run);
        let stretches = progress.current_stretches();
        let is_same = match (&stretches, &last.stretches) {
            (Some(now), Some(told)) => Arc::ptr_eq(now, told),
            (now, _) => now.is_none(),
        };
        if !is_same {
            message.stretches = stretches.as_deref().cloned();
            last.stretches = stretches;
        }
        if !self.bus.tell(&message) {
            message.stretches = None;
            if !self.bus.tell(&message) {
                message.execution = None;
                message.file_name = None;
                self.bus.tell(&message);
            }
        }
        for front in progress.take_front(run).into_iter().flatten() {
            // One that is too large is shown once it is read from the database.
            self.bus.tell(&front);
        }
    }

    /// Tells of watched runs again, and drops runs that nobody watches here and nothing is told of.
    async fn remind_and_drop(&self) {
        loop {
            sleep(REMIND_EVERY).await;
            let mut runs = lock(&self.runs);
            runs.retain(|_, progress| {
                let accepts_reports = progress.accepts_reports.load(Ordering::Relaxed);
                // A call that is between two steps has it in its hands.
                let is_held = Arc::strong_count(progress) > 1;
                accepts_reports || is_held || !progress.is_idle_for(DROPPED_AFTER)
            });
            let watched = runs.values().filter(|progress| progress.accepts_reports.load(Ordering::Relaxed));
            watched.filter(|progress| progress.is_heard()).for_each(|progress| progress.mark(level::CHANGED));
        }
    }

    /// Not told again: without a watcher here it is for another replica.
    fn take_news(&self, NewsMessage { event, news }: NewsMessage) {
        // What has no watcher must take no memory.
        if !lock(&self.waiting).contains_key(&event) {
            return;
        }
        let news = match news {
            NewsWord::Run { mut run, function_name } => {
                run.function_name = function_name;
                self.report_budget.keep(*run).map_or(News::Missed, News::Run)
            }
            NewsWord::Missed => News::Missed,
            NewsWord::Soon => News::Soon,
            NewsWord::Look => News::Look,
        };
        self.tell_watcher(&event, news);
    }

    fn take_run(&self, message: RunMessage) {
        let Some(progress) = self.mirrored(&message.run) else { return };
        let (is_at_work, run) = (message.is_at_work, message.run.clone());
        progress.mirror(message);
        // The step has begun before it could hear that it must stop.
        if is_at_work && progress.is_stopped() && progress.accepts_reports.load(Ordering::Relaxed) {
            self.bus.tell(&StopMessage { run });
        }
    }

    fn take_front(&self, FrontMessage { run, first_rows, read_as }: FrontMessage) {
        if let Some(progress) = self.mirrored(&run) {
            progress.show_plan(read_as, first_rows);
        }
    }

    fn take_over(&self, OverMessage { run }: OverMessage) {
        lock(&self.runs).remove(&run);
        self.report_gate.forget(&run);
    }

    fn take_stop(&self, StopMessage { run }: StopMessage) {
        if let Some(progress) = self.known(&run) {
            progress.stop();
        }
    }

    fn take_report(&self, ReportMessage { run, report }: ReportMessage) {
        if let Some(progress) = self.known(&run) {
            progress.report(report, UnixMillis::now());
        }
    }

    fn take_fact(&self, fact: EngineMessage) {
        self.engine.learn(&fact);
    }

    /// The progress of a run that another replica works on, created on first use. None if there are too many.
    fn mirrored(&self, run: &RunId) -> Option<Arc<RunProgress>> {
        if let Some(known) = self.known(run) {
            return Some(known);
        }
        let has_room = lock(&self.runs).len() < MOST_MIRRORED && run.as_str().len() <= LONGEST_RUN_ID;
        has_room.then(|| self.of(run))
    }
}

/// When a run must be told. None: not before it changes.
fn due(progress: &RunProgress, last: &LastTold, now: Instant) -> Option<Instant> {
    let pause = match progress.change() {
        // Its watcher waits for it, before it records the end of the run.
        level::URGENT if progress.is_stopped() && !progress.is_busy_here() => Duration::ZERO,
        level::URGENT => URGENT_AFTER,
        level::CHANGED => TOLD_EVERY,
        // The last change is told once more, because the first message may be lost.
        _ if progress.is_busy_here() || !last.is_repeated => ALIVE_EVERY,
        _ => return None,
    };
    Some(last.at.map_or(now, |at| at + pause))
}

#[cfg(test)]
mod tests;
