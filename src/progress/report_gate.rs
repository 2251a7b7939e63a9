//! Which reports of other functions are passed on to the replica that follows their run.

use std::{collections::HashMap, sync::Mutex};

use tokio::time::Instant;

use super::{lock, run::REPORTS_APART};
use crate::base::ids::RunId;

/// The most runs whose reports are passed on within [`REPORTS_APART`]. Anyone with an event key can make up ids of
/// runs.
const MOST_RUNS: usize = 1_000;
/// A longer id is not one of an engine.
const LONGEST_RUN_ID: usize = 64;

/// When a report about each run was last passed on.
#[derive(Debug, Default)]
pub(super) struct ReportGate(Mutex<HashMap<RunId, Instant>>);

impl ReportGate {
    /// Whether a report about `run` is passed on now.
    pub(super) fn passes(&self, run: &RunId) -> bool {
        let mut passed = lock(&self.0);
        let is_recent = |at: &Instant| at.elapsed() < REPORTS_APART;
        if run.as_str().len() > LONGEST_RUN_ID || passed.get(run).is_some_and(is_recent) {
            return false;
        }
        if passed.len() >= MOST_RUNS {
            passed.retain(|_, at| is_recent(at));
        }
        if passed.len() >= MOST_RUNS {
            return false;
        }
        passed.insert(run.clone(), Instant::now());
        true
    }
}
