//! What the engine has in its queue for a run on which no step works here: when it goes on, or nothing, which
//! is how a run looks that has just ended or that the engine has lost.

use std::time::Duration;

use tokio::time::Instant;

use super::{Watch, pace};
use crate::{
    base::{ids::RunId, time::UnixMillis},
    imports::{EnginePlan, Planned, RunSnapshot, Snapshot},
    inngest::{Client, Job, JobKind, RunStatus},
    store,
};

/// A queue that holds nothing for a run says so twice, so far apart, and the list between says that the run has
/// not ended: servers keep this answer for five seconds, and a run may just be ending.
const TWICE_WITHIN: Duration = Duration::from_secs(6);
/// After news the first look that brings nothing new asks, then one of so many; where looks are rare, each.
const EVERY: u32 = 3;
/// Of no more runs than this is asked at one look.
const MOST_RUNS: usize = 3;
/// The engine takes up a run a moment after its time.
const AFTER_PLAN: Duration = Duration::from_secs(1);

impl Watch {
    /// Instead of the list: the first look after news asks what is planned for the runs that go on, which also
    /// says that they do. The list is asked for by the next one. False if that does not say enough, or is not
    /// said.
    pub(super) async fn ask_for_plans_alone(
        &mut self,
        client: &Client,
        import: &Snapshot,
    ) -> store::Result<bool> {
        let is_first = self.rule == pace::TOLD && self.unchanged == 0 && self.listed.is_some();
        if !is_first || import.outage.is_some() || import.row.cancel_requested_at.is_some() {
            return Ok(false);
        }
        let runs = self.idle_runs(import);
        // A run that waits in the engine's queue has a job, too: only the list says when it has begun.
        let is_enough = runs.iter().all(|run| run.row.status == RunStatus::Running)
            && runs.len() == import.runs.iter().filter(|run| run.row.ended_at.is_none()).count();
        if runs.is_empty() || runs.len() > MOST_RUNS || !is_enough {
            return Ok(false);
        }
        self.pace.no_news(self.rule);
        let mut is_said = true;
        for run in runs {
            is_said &= self.ask_for_plan(client, &run.row.run_id).await?;
        }
        self.unchanged = u32::from(is_said);
        Ok(is_said)
    }

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
        let is_turn = self.rule == pace::TOLD || self.unchanged % EVERY == 1 || returned.is_some();
        let is_due = |run: &RunSnapshot| run.plan.is_some_and(|plan| plan.at <= now);
        let is_asked = |run: &RunSnapshot| {
            is_turn || is_due(run) || self.doubts.iter().any(|(id, _)| *id == run.row.run_id)
        };
        let runs: Vec<RunSnapshot> =
            self.idle_runs(import).into_iter().filter(is_asked).take(MOST_RUNS).collect();
        // A dev server has everything in memory: one that has forgotten our functions has forgotten its runs.
        let renewed = self.shared.registrar.renewed_at().filter(|_| client.is_of_dev_server());
        let is_new_server = returned.zip(renewed).is_some_and(|(silent, renewed)| renewed > silent);
        for run in runs {
            if is_new_server {
                self.lose(&run.row.run_id).await?;
            } else {
                self.ask_for_plan(client, &run.row.run_id).await?;
            }
        }
        Ok(())
    }

    /// The runs that go on and on which no step works here. Our own function tells itself why it waits.
    fn idle_runs(&self, import: &Snapshot) -> Vec<RunSnapshot> {
        let mut runs = import.with_progress(&self.shared.progress).runs;
        runs.retain(|run| {
            run.row.ended_at.or(run.row.lost_at).is_none()
                && !run.is_gone
                && run.waits_after().is_none()
                && !self.shared.progress.is_active(&run.row.run_id)
        });
        runs
    }

    /// Asks what is planned for one run. Whether the engine said it.
    async fn ask_for_plan(&mut self, client: &Client, run: &RunId) -> store::Result<bool> {
        match self.meanwhile(client.jobs(run)).await? {
            Ok(jobs) if jobs.is_empty() => self.doubt(run).await?,
            Ok(jobs) => {
                self.doubts.retain(|(id, _)| id != run);
                self.show_plan(run, plan(&jobs, UnixMillis::now()));
            }
            // Not every server knows this question, and the run's state is worth more.
            Err(error) => {
                self.doubts.retain(|(id, _)| id != run);
                tracing::debug!(%run, %error, "the engine does not say what it plans");
                return Ok(false);
            }
        }
        Ok(true)
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
            for known in import.runs.iter_mut().filter(|known| known.row.run_id == *run) {
                known.row_mut().lost_at = Some(now);
            }
        });
        Ok(())
    }

    fn show_plan(&mut self, run: &RunId, plan: Option<EnginePlan>) {
        self.change(|import| {
            for known in import.runs.iter_mut().filter(|known| known.row.run_id == *run) {
                known.plan = plan;
            }
        });
        if let Some(plan) = plan {
            self.pace.no_later_than(Instant::now() + plan.at.since(UnixMillis::now()) + AFTER_PLAN);
        }
    }
}

/// What happens next, unless that is at once.
fn plan(jobs: &[Job], now: UnixMillis) -> Option<EnginePlan> {
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
    Some(EnginePlan { what, at: next.at })
}
