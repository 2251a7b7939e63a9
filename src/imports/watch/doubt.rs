//! The engine's jobs for a run without an active step here: when it continues, or no job at all, as for a run
//! that has just ended or that the engine has lost.

use std::time::Duration;

use tokio::time::Instant;

use super::{Watch, pace};
use crate::{
    base::{ids::RunId, time::UnixMillis},
    imports::{EnginePlan, Planned, RunSnapshot, Snapshot},
    inngest::{Client, Job, JobKind, RunStatus},
    store,
};

/// A queue without a job for the run must say so twice, this far apart, and the list in between must show no
/// end: servers cache this answer for five seconds, and a run may just be ending.
const TWICE_WITHIN: Duration = Duration::from_secs(6);
/// After news, the first poll without anything new asks for jobs, then one in this many; if polls are rare,
/// each.
const EVERY: u32 = 3;
/// The most runs whose jobs are requested in one poll.
const MOST_RUNS: usize = 3;
/// The engine continues a run a moment after its time.
const AFTER_PLAN: Duration = Duration::from_secs(1);

impl Watch {
    /// Instead of the list, the first poll after news requests the jobs of the unfinished runs, which also
    /// shows that they are unfinished. The next poll requests the list. Returns false if the answers are
    /// missing or not sufficient.
    pub(super) async fn ask_for_plans_alone(
        &mut self,
        client: &Client,
        import: &Snapshot,
    ) -> store::Result<bool> {
        let is_first = self.rule == pace::REPORTED && self.unchanged == 0 && self.listed.is_some();
        if !is_first || import.outage.is_some() || import.row.cancel_requested_at.is_some() {
            return Ok(false);
        }
        let runs = self.idle_runs(import);
        // A queued run also has a job, and only the list shows when it has begun.
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

    /// Requests the jobs of the runs of `import`, which the engine has just listed without anything new.
    /// `returned` is when its silence began, if this was its first answer since.
    pub(super) async fn ask_for_plans(
        &mut self,
        client: &Client,
        import: &Snapshot,
        returned: Option<UnixMillis>,
    ) -> store::Result<()> {
        let now = UnixMillis::now();
        self.unchanged = self.unchanged.saturating_add(1);
        let is_turn = self.rule == pace::REPORTED || self.unchanged % EVERY == 1 || returned.is_some();
        let is_due = |run: &RunSnapshot| run.plan.is_some_and(|plan| plan.at <= now);
        let is_asked = |run: &RunSnapshot| {
            is_turn || is_due(run) || self.doubts.iter().any(|(id, _)| *id == run.row.run_id)
        };
        let runs: Vec<RunSnapshot> =
            self.idle_runs(import).into_iter().filter(is_asked).take(MOST_RUNS).collect();
        // A dev server has everything in memory, so one that has forgotten our functions has forgotten its
        // runs.
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

    /// The unfinished runs without an active step here. Our own function reports why it waits.
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

    /// Requests the jobs of one run. Returns whether the engine answered.
    async fn ask_for_plan(&mut self, client: &Client, run: &RunId) -> store::Result<bool> {
        match self.meanwhile(client.jobs(run)).await? {
            Ok(jobs) if jobs.is_empty() => self.doubt(run).await?,
            Ok(jobs) => {
                self.doubts.retain(|(id, _)| id != run);
                self.show_plan(run, plan(&jobs, UnixMillis::now()));
            }
            // Not every server supports this request, and the run's state is more important.
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

/// The next action, unless it is due at once.
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
