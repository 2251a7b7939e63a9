//! Deletes events that belong to no import, with their runs, a day after the last run ended: events of other
//! programs, the engine's own events, and events of imports that were deleted during a run. An import's event is
//! kept as long as the import.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::{
    base::time::UnixMillis,
    store::{
        self, Store,
        engine::prune::{PruneBy, PruneCursor},
    },
};

/// Also how long a sender's own event id prevents a second run.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// The setting with the time up to which events were pruned. Only later ones are read.
const PRUNED_UNTIL: &str = "engine_pruned_until";

/// Deletes them and returns the number of events. Ends early once `stopping` is cancelled; the next call begins
/// again.
///
/// # Errors
/// When the database fails.
pub async fn prune(store: &Store, stopping: &CancellationToken, now: UnixMillis) -> store::Result<u64> {
    let before = now.minus(KEPT_FOR);
    let until = store.setting_if_known(PRUNED_UNTIL).await?;
    let until = until.and_then(|at| at.parse().ok()).map_or(UnixMillis(0), UnixMillis);
    // If it is later, the clock was set back, and runs may have ended at times that were read before.
    let after = if until <= before { until } else { UnixMillis(0) };
    let mut events = 0;
    for by in [PruneBy::EndOfRun, PruneBy::Event] {
        let mut next = Some(PruneCursor { at: after, id: String::new() });
        while let Some(cursor) = next {
            if stopping.is_cancelled() {
                return Ok(events);
            }
            let pruned = store.engine_prune(by, &cursor, before).await?;
            events += pruned.events;
            next = pruned.next;
        }
    }
    store.change_setting(PRUNED_UNTIL, &before.0.to_string()).await?;
    Ok(events)
}
