//! Reports about runs of events without a watcher.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::{inbox::MOST, reported::ReportedRun};
use crate::base::ids::EventId;

/// A larger run is not kept, because the event may be a stranger's, and such runs would use up the watchers'
/// memory.
const MOST_BYTES_OF_ONE: usize = 16 << 10;
/// The most events that are kept for polling, and the longest id of one. Our ids have 26 characters.
const MOST_EVENTS: usize = 50_000;
pub(super) const LONGEST_EVENT_ID: usize = 64;

/// A report about an event without a watcher.
#[derive(Clone, Debug, PartialEq)]
pub enum Late {
    /// This run of it was called, or has ended.
    Run(EventId, Arc<ReportedRun>),
    /// A run of it did not fit into memory, so the engine must be polled.
    Missed(EventId),
}

/// The reported runs without a watcher. If there are too many, only their events are kept.
#[derive(Debug, Default)]
pub struct LateRuns {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    runs: Vec<(EventId, Arc<ReportedRun>)>,
    missed: HashSet<EventId>,
    is_full: bool,
}

impl LateRuns {
    pub(super) fn put(&self, event: &EventId, run: Arc<ReportedRun>) {
        let mut waiting = self.waiting();
        if waiting.runs.len() < MOST && run.bytes() <= MOST_BYTES_OF_ONE {
            waiting.runs.push((event.clone(), run));
        } else {
            waiting.miss(event);
        }
        self.arrived.notify_one();
    }

    /// Records that the engine must be polled for the runs of `event`.
    pub fn miss(&self, event: &EventId) {
        self.waiting().miss(event);
        self.arrived.notify_one();
    }

    /// Waits until there is something.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Everything so far: the runs, oldest first, then the events to poll for.
    #[must_use]
    pub fn take(&self) -> Vec<Late> {
        let Waiting { runs, missed, .. } = std::mem::take(&mut *self.waiting());
        let runs = runs.into_iter().map(|(event, run)| Late::Run(event, run));
        runs.chain(missed.into_iter().map(Late::Missed)).collect()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn miss(&mut self, event: &EventId) {
        // A longer id is not one of ours.
        if event.as_str().len() > LONGEST_EVENT_ID {
            return;
        }
        if self.missed.len() < MOST_EVENTS {
            self.missed.insert(event.clone());
        } else if !std::mem::replace(&mut self.is_full, true) {
            tracing::warn!("more late runs were reported than can be looked up; some are not shown");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        base::{ids::RunId, time::UnixMillis},
        inngest::{Run, RunStatus},
        progress::{News, ProgressRegistry},
    };

    fn run(output: Value) -> Run {
        Run {
            run_id: RunId::from("r".to_owned()),
            function_id: "f".to_owned(),
            function_name: None,
            event_id: EventId::from("e".to_owned()),
            status: RunStatus::Completed,
            run_started_at: UnixMillis(0),
            ended_at: Some(UnixMillis(1)),
            output: Some(output),
        }
    }

    fn event(number: usize) -> EventId {
        EventId::from(number.to_string())
    }

    #[test]
    fn of_more_late_runs_than_are_kept_the_events_are_and_of_those_a_bounded_number() {
        let registry = ProgressRegistry::default();
        for number in 0..MOST + MOST_EVENTS + 10 {
            registry.tell_run(&[event(number)], run(json!({"rows": 1})));
        }
        registry.tell_run(&[EventId::from("x".repeat(LONGEST_EVENT_ID + 1))], run(json!(1)));
        let late = registry.late_runs().take();
        assert_eq!(late.len(), MOST + MOST_EVENTS);
        assert!(matches!(&late[MOST - 1], Late::Run(of, _) if *of == event(MOST - 1)));
        assert!(late[MOST..].iter().all(|late| matches!(late, Late::Missed(_))));
        assert!(late.contains(&Late::Missed(event(MOST))), "the oldest of them");
        assert!(registry.late_runs().take().is_empty());
    }

    #[test]
    fn a_large_late_run_is_asked_for() {
        let registry = ProgressRegistry::default();
        registry.tell_run(&[event(1)], run(json!("x".repeat(MOST_BYTES_OF_ONE))));
        assert_eq!(registry.late_runs().take(), [Late::Missed(event(1))]);
    }

    /// A batch's output is in memory once. A run that does not fit is polled for, and reading the others
    /// frees memory.
    /// does was read.
    #[test]
    fn all_that_is_told_shares_one_amount_of_memory() {
        const LARGE: usize = 4 << 20;
        let registry = ProgressRegistry::default();
        let watched: Vec<_> = (0..20).map(|number| registry.watch(&event(number))).collect();
        let events: Vec<_> = (0..20).map(event).collect();
        for _ in 0..10 {
            registry.tell_run(&events, run(json!("x".repeat(LARGE))));
        }
        for inbox in &watched {
            let news = inbox.take();
            let kept = news.iter().filter(|news| matches!(news, News::Run(_))).count();
            assert_eq!((kept, news.len()), (7, 10), "of 32 MiB");
            assert_eq!(news.last(), Some(&News::Missed));
        }
        registry.tell_run(&events, run(json!("x".repeat(LARGE))));
        assert!(matches!(watched[0].take().as_slice(), [News::Run(_)]), "what was read has made room");
    }

    #[test]
    fn what_a_watcher_has_missed_is_not_lost_with_it() {
        let registry = ProgressRegistry::default();
        let watched = registry.watch(&event(1));
        for _ in 0..=MOST {
            registry.tell_run(&[event(1)], run(json!(1)));
        }
        drop(watched);
        assert!(registry.late_runs().take().contains(&Late::Missed(event(1))));
    }
}
