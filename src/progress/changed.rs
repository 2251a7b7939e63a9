//! The runs whose progress has changed here since the other replicas were told.

use std::sync::Mutex;

use tokio::sync::Notify;

use super::lock;
use crate::base::ids::RunId;

/// What a change of a run is to the other replicas.
pub(super) mod level {
    /// They know it already.
    pub const NONE: u8 = 0;
    /// Told with the next ones.
    pub const CHANGED: u8 = 1;
    /// Told at once: whether a step is active.
    pub const URGENT: u8 = 2;
}

/// Invariant: a run is here once at most, because its progress remembers that it is here.
#[derive(Debug, Default)]
pub(super) struct ChangedRuns {
    runs: Mutex<Vec<RunId>>,
    urgent: Notify,
}

impl ChangedRuns {
    pub(super) fn put(&self, run: &RunId) {
        lock(&self.runs).push(run.clone());
    }

    pub(super) fn take(&self) -> Vec<RunId> {
        std::mem::take(&mut *lock(&self.runs))
    }

    pub(super) fn hurry(&self) {
        self.urgent.notify_one();
    }

    /// Waits until a run must be told at once.
    pub(super) async fn is_urgent(&self) {
        self.urgent.notified().await;
    }
}
