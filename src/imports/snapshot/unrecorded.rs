//! What only the watcher of an import knows: state that is in no row.

use serde::{Deserialize, Serialize};

use super::{EnginePlan, NextAttempt, Snapshot};
use crate::{
    base::{ids::RunId, time::UnixMillis},
    imports::EngineOutage,
};

/// The state of a [`Snapshot`] that its rows do not contain, as replicas tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unrecorded {
    is_untaken: bool,
    answered_at: Option<UnixMillis>,
    outage: Option<EngineOutage>,
    runs: Vec<UnrecordedRun>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct UnrecordedRun {
    run: RunId,
    seen_queued_at: Option<UnixMillis>,
    is_gone: bool,
    next_attempt: Option<NextAttempt>,
    plan: Option<EnginePlan>,
}

impl Unrecorded {
    pub fn outage(&self) -> Option<EngineOutage> {
        self.outage
    }
}

impl Snapshot {
    pub(in crate::imports) fn unrecorded(&self) -> Unrecorded {
        let runs = self.runs.iter().map(|run| UnrecordedRun {
            run: run.row.run_id.clone(),
            seen_queued_at: run.seen_queued_at,
            is_gone: run.is_gone,
            next_attempt: run.next_attempt,
            plan: run.plan,
        });
        Unrecorded {
            is_untaken: self.is_untaken,
            answered_at: self.answered_at,
            outage: self.outage,
            runs: runs.collect(),
        }
    }

    /// Takes over what the watcher of this import knows.
    pub(in crate::imports) fn set_unrecorded(&mut self, told: &Unrecorded) {
        self.is_untaken = told.is_untaken;
        self.answered_at = self.answered_at.max(told.answered_at);
        self.outage = told.outage;
        for run in &mut self.runs {
            if let Some(told) = told.runs.iter().find(|told| told.run == run.row.run_id) {
                run.seen_queued_at = told.seen_queued_at;
                run.is_gone = told.is_gone;
                run.next_attempt = told.next_attempt;
                run.plan = told.plan.filter(|_| run.row.ended_at.is_none());
            }
        }
    }

    /// Whether what the database says of the import is the same.
    pub(in crate::imports) fn is_recorded_as(&self, other: &Self) -> bool {
        let runs = self.runs.iter().map(|run| (&run.row, &run.committed));
        self.row == other.row
            && self.retries == other.retries
            && runs.eq(other.runs.iter().map(|run| (&run.row, &run.committed)))
    }
}
