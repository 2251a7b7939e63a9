//! An import at one moment: what is recorded of it, and beside it what its functions have told since.

use std::sync::Arc;

use super::{ImportState, Snapshot};
use crate::{
    base::{ids::ImportId, time::UnixMillis},
    progress::{ProgressRegistry, ProgressSnapshot},
};

/// Equal ones say the same of the import.
#[derive(Clone, Debug)]
pub struct Current {
    recorded: Arc<Snapshot>,
    progress: Vec<(usize, ProgressSnapshot)>,
}

impl PartialEq for Current {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.recorded, &other.recorded) && self.progress == other.progress
    }
}

impl Current {
    pub(super) fn of(recorded: Arc<Snapshot>, live: &ProgressRegistry) -> Self {
        Self { progress: recorded.progress(live), recorded }
    }

    /// An import that is not in memory, so that no function works on it here.
    pub(super) fn recalled(recorded: Snapshot) -> Self {
        Self { recorded: Arc::new(recorded), progress: Vec::new() }
    }

    #[must_use]
    pub fn id(&self) -> ImportId {
        self.recorded.id
    }

    #[must_use]
    pub fn state(&self) -> ImportState {
        self.recorded.state()
    }

    /// When the import was last heard of.
    #[must_use]
    pub fn as_of(&self) -> UnixMillis {
        let told = self.progress.iter().filter_map(|(_, progress)| progress.heard_at).max();
        self.recorded.as_of.max(told).unwrap_or(self.recorded.received_at)
    }

    /// Both together.
    #[must_use]
    pub fn merged(&self) -> Snapshot {
        self.recorded.advanced(self.progress.clone())
    }

    pub(super) fn recorded(&self) -> &Snapshot {
        &self.recorded
    }
}
