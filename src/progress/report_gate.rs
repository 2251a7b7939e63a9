//! Which reports of other functions are passed on to the replica that watches their run.
//!
//! Anyone with an event key can report about runs that do not exist. So the runs of the imports that are followed here are
//! told apart, and what is made up takes nothing from them.

use std::{collections::HashMap, sync::Mutex};

use tokio::time::Instant;

use super::{lock, run::REPORTS_APART};
use crate::base::ids::RunId;

/// The most unknown runs whose reports are passed on within [`REPORTS_APART`]. One that has just begun is unknown until
/// its row is read here, and one that nobody asks for here stays so.
const MOST_UNKNOWN: usize = 1_000;
/// A longer id is not one of an engine.
const LONGEST_RUN_ID: usize = 64;

/// When a report about each run was last passed on.
#[derive(Debug, Default)]
pub(super) struct ReportGate(Mutex<Passed>);

#[derive(Debug, Default)]
struct Passed {
    /// The unfinished runs of the imports that are followed here and watched by other replicas.
    expected: HashMap<RunId, Option<Instant>>,
    unknown: HashMap<RunId, Instant>,
}

impl ReportGate {
    /// `run` has not ended, and its import is followed here.
    pub(super) fn expect(&self, run: &RunId) {
        let mut passed = lock(&self.0);
        if !passed.expected.contains_key(run) {
            passed.expected.insert(run.clone(), None);
        }
    }

    /// Ends [`expect`](Self::expect).
    pub(super) fn forget(&self, run: &RunId) {
        lock(&self.0).expected.remove(run);
    }

    /// Whether a report about `run` is passed on now.
    pub(super) fn passes(&self, run: &RunId) -> bool {
        let mut passed = lock(&self.0);
        let Passed { expected, unknown } = &mut *passed;
        let is_recent = |at: &Instant| at.elapsed() < REPORTS_APART;
        if let Some(at) = expected.get_mut(run) {
            let passes = !at.as_ref().is_some_and(is_recent);
            if passes {
                *at = Some(Instant::now());
            }
            return passes;
        }
        if run.as_str().len() > LONGEST_RUN_ID || unknown.get(run).is_some_and(is_recent) {
            return false;
        }
        if unknown.len() >= MOST_UNKNOWN {
            unknown.retain(|_, at| is_recent(at));
        }
        if unknown.len() >= MOST_UNKNOWN {
            return false;
        }
        unknown.insert(run.clone(), Instant::now());
        true
    }
}
