//! What the other replicas do for a run at the moment.

use std::time::Duration;

use tokio::time::Instant;

/// A replica that has told nothing for this long has died, and its work with it.
const GONE_AFTER: Duration = Duration::from_secs(6);
/// The most replicas that are remembered for one run. Usually it is one.
const MOST_REPLICAS: usize = 32;

/// The replicas that are busy with one run.
#[derive(Debug, Default)]
pub(super) struct RemoteWork(Vec<BusyReplica>);

#[derive(Debug)]
struct BusyReplica {
    replica: u64,
    /// A step is active there; otherwise a call waits for its slot.
    is_at_work: bool,
    told_at: Instant,
}

impl BusyReplica {
    fn is_alive(&self) -> bool {
        self.told_at.elapsed() < GONE_AFTER
    }
}

impl RemoteWork {
    /// `replica` has told what it does now.
    pub(super) fn note(&mut self, replica: u64, is_at_work: bool, is_waiting: bool) {
        self.0.retain(|busy| busy.replica != replica && busy.is_alive());
        if (is_at_work || is_waiting) && self.0.len() < MOST_REPLICAS {
            self.0.push(BusyReplica { replica, is_at_work, told_at: Instant::now() });
        }
    }

    pub(super) fn is_at_work(&self) -> bool {
        self.alive().any(|busy| busy.is_at_work)
    }

    /// Whether a step is active, or a call waits.
    pub(super) fn is_busy(&self) -> bool {
        self.alive().next().is_some()
    }

    fn alive(&self) -> impl Iterator<Item = &BusyReplica> {
        self.0.iter().filter(|busy| busy.is_alive())
    }
}
