//! Ends that the v2 list omits. A server was seen to list a run as completed permanently without its end,
//! which v1 returns.

use std::time::Duration;

use tokio::time::Instant;

use super::Watch;
use crate::{
    base::ids::RunId,
    imports::Snapshot,
    inngest::{Client, Run},
    store,
};

/// Every server lists an ending run without its end for a moment.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// The pause before v1 is asked again after it did not confirm an end.
const UNCONFIRMED_PAUSE: Duration = Duration::from_secs(60);

/// A run that was listed as over, without an end.
#[derive(Debug)]
pub(super) struct MissingEnd {
    run: RunId,
    /// When v1 is asked, if the run is still listed so.
    ask_at: Instant,
}

impl Watch {
    /// Adds to `listed` the ends that are missing for the second time, if v1 confirms them.
    pub(super) async fn find_missing_ends(
        &mut self,
        client: &Client,
        import: &Snapshot,
        listed: &mut [Run],
    ) -> store::Result<()> {
        // v1's list has terminal statuses for runs that sleep or wait for a retry, but never omits an end.
        if !client.has_v2() {
            return Ok(());
        }
        let known = |id: &RunId| import.runs.iter().find(|known| known.row.run_id == *id);
        let is_reported =
            |id: &RunId| self.reports.iter().any(|report| report.run_id == *id && report.ended_at.is_some());
        let lacks_end = |run: &&mut Run| {
            run.ended_at.is_none()
                && run.status.is_terminal_word()
                && known(&run.run_id).is_none_or(|known| known.row.ended_at.is_none())
                && !is_reported(&run.run_id)
        };
        let lacking: Vec<&mut Run> = listed.iter_mut().filter(lacks_end).collect();
        self.missing_ends.retain(|missing| lacking.iter().any(|run| run.run_id == missing.run));
        for run in lacking {
            let now = Instant::now();
            let Some(missing) = self.missing_ends.iter_mut().find(|missing| missing.run == run.run_id) else {
                self.missing_ends.push(MissingEnd { run: run.run_id.clone(), ask_at: now + AGAIN_AFTER });
                continue;
            };
            if missing.ask_at > now {
                continue;
            }
            missing.ask_at = now + UNCONFIRMED_PAUSE;
            match self.meanwhile(client.run(&run.run_id)).await? {
                // A terminal status without an end, or an end without a terminal status, is no proof.
                Ok(said) if said.data.ended_at.is_some() && said.data.status.is_terminal_word() => {
                    // v1's status may belong to another attempt or step, so v2's is kept.
                    run.ended_at = said.data.ended_at;
                    run.output = run.output.take().or(said.data.output);
                }
                Ok(said) => {
                    let Run { run_id, status, ended_at, .. } = said.data;
                    tracing::debug!(run = %run_id, %status, ?ended_at, "v1 does not confirm that the run is over");
                }
                Err(error) => {
                    tracing::debug!(run = %run.run_id, %error, "v1 does not say when the run ended");
                }
            }
        }
        Ok(())
    }

    /// Makes sure that the next list comes in time to ask v1.
    pub(super) fn look_for_missing_ends(&mut self) {
        if let Some(at) = self.missing_ends.iter().map(|missing| missing.ask_at).min() {
            self.pace.no_later_than(at);
        }
    }
}
