//! Decides after a poll whether more runs may come, whether any function accepts the event, and when the
//! watch ends.

use std::time::Duration;

use tokio::time::Instant;

use super::{Begin, Outcome, Watch, pace};
use crate::{
    base::time::UnixMillis,
    imports::{Snapshot, outbox},
    store,
};

/// After the first reported end, the list of the event's other runs is requested within this.
const FIRST_LIST: Duration = Duration::from_secs(1);
/// How long a run may still appear of a cancelled event that may have been sent.
const LATE_RUNS_OF_CANCELLED: Duration = Duration::from_secs(30);
/// When an event is shown as accepted by no function, and when it is given up.
const NO_FUNCTION_AFTER: Duration = Duration::from_secs(30);
const NO_RUN_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// When an event without a run makes us check whether the engine still knows our functions.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(4);

impl Watch {
    pub(super) async fn what_next(&mut self, import: &Snapshot) -> store::Result<Outcome> {
        if !import.state().is_final() {
            self.over_since = None;
            if import.runs.is_empty() {
                return self.look_for_function(import).await;
            }
            return Ok(Outcome::Again);
        }
        let over_since = *self.over_since.get_or_insert_with(Instant::now);
        if self.begin == Begin::Reopened && !import.runs.is_empty() {
            return self.finish(import).await;
        }
        let Some(listed) = self.listed else {
            // The event's other runs are unknown, so the import is not over before the engine has answered.
            self.pace.no_later_than(Instant::now() + FIRST_LIST);
            return Ok(Outcome::Again);
        };
        // One last list, at a time when no further run is expected.
        let late = if import.runs.is_empty() { LATE_RUNS_OF_CANCELLED } else { self.shared.late_runs };
        let last = over_since + late;
        if listed >= last {
            return self.finish(import).await;
        }
        let last_list = last.max(self.same_list_until);
        let waits_for_more = import.runs.is_empty();
        self.pace.at(if waits_for_more { self.pace.due().min(last_list) } else { last_list });
        Ok(Outcome::Again)
    }

    /// No function has accepted the event. A restarted engine may have forgotten our functions: they are
    /// registered again, and the event is sent again, whose seed prevents a second run.
    async fn look_for_function(&mut self, import: &Snapshot) -> store::Result<Outcome> {
        let (Some(sent), Some(sent_at)) = (self.sent, import.row.sent_at) else { return Ok(Outcome::Again) };
        let (Some(listed), waited) = (self.listed, sent.so_far()) else { return Ok(Outcome::Again) };
        if sent.at(listed) >= NO_FUNCTION_AFTER {
            if waited >= NO_RUN_FOR {
                return self.finish(import).await;
            }
            self.change(|import| import.is_untaken = true);
        } else {
            self.pace.no_later_than(Instant::now() + NO_FUNCTION_AFTER.saturating_sub(waited));
        }
        if self.sent_again || waited < FORGOTTEN_AFTER {
            return Ok(Outcome::Again);
        }
        self.shared.registrar.remind().await;
        if self.shared.registrar.renewed_at().is_some_and(|renewed| renewed > sent_at) {
            self.sent_again = true;
            tracing::warn!(import = %self.id, "no function started for the event; sending it again");
            outbox::send_again(&self.shared, self.id).await?;
            self.pace.news(pace::UNREPORTED);
        }
        Ok(Outcome::Again)
    }

    pub(super) async fn finish(&mut self, import: &Snapshot) -> store::Result<Outcome> {
        let now = UnixMillis::now();
        let is_cancelled = import.row.cancel_requested_at.is_some();
        if !self.shared.store.finish_import(self.id, is_cancelled, now).await? {
            return self.cannot_finish(is_cancelled).await;
        }
        if !self.news.is_current() {
            // The import was reopened in the meantime, and has another watcher.
            return Ok(Outcome::Over);
        }
        self.change(|import| import.row_mut().finished_at = Some(now));
        // Not earlier: a reader of a snapshot from before the end still adds the progress to it, and counts
        // must not decrease.
        for run in &import.runs {
            self.shared.progress.forget(&run.row.run_id);
        }
        self.shared.snapshots.retire(self.owner, self.id);
        Ok(Outcome::Over)
    }

    /// A request to cancel has just been recorded, another replica watches the import, or it is gone.
    async fn cannot_finish(&mut self, is_cancelled: bool) -> store::Result<Outcome> {
        let Some(row) = self.shared.store.import(self.id).await? else { return Ok(Outcome::Over) };
        if let Some(at) = row.cancel_requested_at.filter(|_| !is_cancelled) {
            self.change(|import| {
                import.row_mut().cancel_requested_at.get_or_insert(at);
            });
            self.must_look = true;
        } else if !self.shared.replicas.is_alone() {
            return Ok(Outcome::LeftToAnother);
        }
        self.pace.at(Instant::now() + FIRST_LIST);
        Ok(Outcome::Again)
    }
}
