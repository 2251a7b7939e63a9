//! What the engine has in its queue for a run on which no step works here: when it goes on, or nothing, which
//! is how a run looks that the engine has lost.

use std::time::Duration;

use tokio::time::Instant;

use super::Watch;
use crate::{
    ids::RunId,
    imports::{Plan, Planned, RunSnapshot, Snapshot},
    inngest::{Client, Job, JobKind},
    store,
    time::UnixMillis,
};

/// A queue that holds nothing for a run says so twice, so far apart, and the list between says that the run has
/// not ended: servers keep this answer for five seconds, and a run may just be ending.
const TWICE_WITHIN: Duration = Duration::from_secs(6);
/// After news the first look that brings nothing new asks, then one of so many.
const EVERY: u32 = 3;
/// Of no more runs than this is asked at one look.
const MOST_RUNS: usize = 3;
/// The engine takes up a run a moment after its time.
const AFTER_PLAN: Duration = Duration::from_secs(1);

impl Watch {
    /// Asks what is planned for the runs of `import`, which the engine has just listed without anything new.
    /// `returned`: when it fell silent, if this was its first answer since.
    pub(super) async fn ask_for_plans(
        &mut self,
        client: &Client,
        import: &Snapshot,
        returned: Option<UnixMillis>,
    ) -> store::Result<()> {
        let now = UnixMillis::now();
        self.unchanged = self.unchanged.saturating_add(1);
        let is_turn = self.unchanged % EVERY == 1 || returned.is_some();
        let is_due = |run: &RunSnapshot| run.plan.is_some_and(|plan| plan.at <= now);
        // Our own function tells itself why it waits.
        let import = import.with_progress(&self.shared.live);
        let runs: Vec<RunSnapshot> = import
            .runs
            .iter()
            .filter(|run| run.ended_at.or(run.lost_at).is_none() && !run.is_gone)
            .filter(|run| run.waits_after().is_none() && !self.shared.live.is_active(&run.run_id))
            .filter(|run| is_turn || is_due(run) || self.doubts.iter().any(|(id, _)| *id == run.run_id))
            .take(MOST_RUNS)
            .cloned()
            .collect();
        // A dev server has everything in memory: one that has forgotten our functions has forgotten its runs.
        let renewed = self.shared.registrar.renewed_at().filter(|_| client.is_of_dev_server());
        let is_new_server = returned.zip(renewed).is_some_and(|(silent, renewed)| renewed > silent);
        for run in runs {
            if is_new_server {
                self.lose(&run.run_id).await?;
                continue;
            }
            match client.jobs(&run.run_id).await {
                Ok(jobs) if jobs.is_empty() => self.doubt(&run.run_id).await?,
                Ok(jobs) => {
                    self.doubts.retain(|(id, _)| *id != run.run_id);
                    self.show_plan(&run.run_id, plan(&jobs, now));
                }
                // Not every server knows this question, and the run's state is worth more.
                Err(error) => {
                    self.doubts.retain(|(id, _)| *id != run.run_id);
                    tracing::debug!(run = %run.run_id, %error, "the engine does not say what it plans");
                }
            }
        }
        Ok(())
    }

    async fn doubt(&mut self, run: &RunId) -> store::Result<()> {
        self.show_plan(run, None);
        let now = Instant::now();
        match self.doubts.iter().find(|(id, _)| id == run) {
            Some((_, first)) if first.elapsed() >= TWICE_WITHIN => return self.lose(run).await,
            Some(_) => {}
            None => self.doubts.push((run.clone(), now)),
        }
        self.pace.no_later_than(now + TWICE_WITHIN);
        Ok(())
    }

    async fn lose(&mut self, run: &RunId) -> store::Result<()> {
        let now = UnixMillis::now();
        self.doubts.retain(|(id, _)| id != run);
        self.shared.store.lose_run(self.id, run, now).await?;
        tracing::warn!(%run, "the engine has lost the run");
        self.change(|import| {
            for known in import.runs.iter_mut().filter(|known| known.run_id == *run) {
                known.lost_at = Some(now);
            }
        });
        Ok(())
    }

    fn show_plan(&mut self, run: &RunId, plan: Option<Plan>) {
        self.change(|import| {
            for known in import.runs.iter_mut().filter(|known| known.run_id == *run) {
                known.plan = plan;
            }
        });
        if let Some(plan) = plan {
            self.pace.no_later_than(Instant::now() + plan.at.since(UnixMillis::now()) + AFTER_PLAN);
        }
    }
}

/// What happens next, unless that is at once.
fn plan(jobs: &[Job], now: UnixMillis) -> Option<Plan> {
    if jobs.iter().any(|job| job.kind != JobKind::Pause && job.at <= now) {
        return None;
    }
    let next = jobs.iter().min_by_key(|job| job.at).filter(|job| job.at > now)?;
    let what = match next.kind {
        JobKind::Sleep => Planned::Wake,
        JobKind::Pause => Planned::Event,
        JobKind::Start | JobKind::Edge | JobKind::Other if next.attempt > 0 => {
            Planned::Attempt(next.attempt.saturating_add(1))
        }
        JobKind::Start | JobKind::Edge | JobKind::Other => return None,
    };
    Some(Plan { what, at: next.at })
}
