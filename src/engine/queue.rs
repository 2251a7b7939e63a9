//! The dispatch loop: claims the next run, calls its function, applies the answer.
//!
//! A single loop reads the queue, so that an event wakes one reader, and a pass that finds nothing due only
//! reads. The calls are separate tasks. Most of them wait for their function, which limits its own concurrent
//! work.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Engine, answer, end::unkept, share::ActiveCall};
use crate::{
    base::{ids::RunId, time::UnixMillis},
    inngest::Run,
    store::{
        self,
        engine::queue::{Claim, Transition},
    },
};

/// How long calls in progress may continue after a stop. Interrupted calls are repeated at the next start.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// The pause after a database failure.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// The longest wait for a due time, because the clock may be set meanwhile.
const LONGEST_NAP: Duration = Duration::from_secs(60);

/// How often leases without a call are searched for.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// The pause before one of several replicas tries again to claim a run.
const UNCLAIMED_PAUSE: Duration = Duration::from_millis(50);

/// How often an answer is offered to a database that refuses its data.
const MOST_REFUSALS: u32 = 3;

/// The result of reading the queue.
enum Next {
    /// This run is claimed and must be called.
    Claimed(Box<Claim>, ActiveCall),
    /// No call can begin before this time, or before another call ends.
    Idle { until: Option<UnixMillis> },
}

/// The result of one step of the dispatch loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DispatchOutcome {
    /// Nothing is due before this time. `None`: no run is scheduled.
    Idle { until: Option<UnixMillis> },
    /// The function finished steps, and is called again at once.
    Advanced(RunId),
    /// The attempt failed, and the next one is scheduled.
    Retrying(RunId),
    /// The run has its terminal record.
    Ended(RunId),
    /// The run was cancelled or taken over during the call, so the answer had no effect.
    Dropped(RunId),
}

impl Engine {
    /// Runs until `shutdown`. First repeats the calls that an earlier process lost. Only one process may run
    /// an engine over a database: of several replicas, the one that leads. Retries after database failures.
    pub async fn run(self, shutdown: CancellationToken) {
        while let Err(error) = self.take_over().await {
            tracing::error!(%error, "cannot take over the queue yet");
            if shutdown.run_until_cancelled(sleep(FAILURE_PAUSE)).await.is_none() {
                return;
            }
        }
        let mut calls = JoinSet::new();
        let mut swept = Instant::now();
        while !shutdown.is_cancelled() {
            if swept.elapsed() >= SWEEP_EVERY {
                swept = Instant::now();
                if let Err(error) = self.void_stray_leases().await {
                    tracing::error!(%error, "cannot look for lost calls");
                }
            }
            // Before the queue is read, so that a run that arrives in between wakes the loop.
            let _ = self.news.notified().now_or_never();
            while calls.try_join_next().is_some() {}
            let pause = match self.next().await {
                Ok(Next::Claimed(claim, at_work)) => {
                    let engine = self.clone();
                    calls.spawn(async move { engine.perform(claim, at_work).await });
                    continue;
                }
                Ok(Next::Idle { until }) => {
                    until.map_or(LONGEST_NAP, |at| at.since(UnixMillis::now()).min(LONGEST_NAP))
                }
                Err(error) => {
                    tracing::error!(%error, "cannot read the queue");
                    FAILURE_PAUSE
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                // The end of a call also wakes the loop.
                () = self.news.notified() => {}
                () = sleep(pause.min(SWEEP_EVERY)) => {}
            }
        }
        if timeout(STOP_GRACE, calls.join_all()).await.is_err() {
            tracing::warn!("function calls were interrupted; they repeat at the next start");
        }
    }

    async fn take_over(&self) -> store::Result<()> {
        let lost = self.store.engine_take_over(UnixMillis::now()).await?;
        if lost > 0 {
            tracing::info!(
                runs = lost,
                "resuming the runs that were in progress when the last process ended"
            );
        }
        Ok(())
    }

    /// Repeats calls that never began. A claim may be recorded although its confirmation was lost, and even
    /// after the claim was abandoned.
    async fn void_stray_leases(&self) -> store::Result<()> {
        for lease in self.store.engine_leases().await? {
            if !self.calls.holds(&lease) {
                tracing::warn!("a run was claimed without a call; it is called now");
                self.store.engine_void(&lease).await?;
            }
        }
        Ok(())
    }

    /// Claims one run, calls its function and applies the answer.
    ///
    /// # Errors
    /// If the database fails before the call. Once the function has answered, the answer is applied however
    /// long the database takes.
    pub async fn step(&self) -> store::Result<DispatchOutcome> {
        match self.next().await? {
            Next::Claimed(claim, at_work) => Ok(self.perform(claim, at_work).await),
            Next::Idle { until } => Ok(DispatchOutcome::Idle { until }),
        }
    }

    /// Claims the next run.
    async fn next(&self) -> store::Result<Next> {
        let now = UnixMillis::now();
        let waiting = self.store.engine_waiting().await?;
        if let Some(next) = self.calls.next(&waiting, now) {
            let at_work = self.calls.begin(&next.tenant);
            let claim = self.store.engine_claim(&next.tenant, at_work.lease(), now).await?;
            // None: the run was cancelled or claimed by another engine since the queue was read, or this process does
            // not lead any more and will know that soon.
            let pause = if self.replicas.is_alone() { Duration::ZERO } else { UNCLAIMED_PAUSE };
            let idle = Next::Idle { until: Some(now.plus(pause)) };
            return Ok(claim.map_or(idle, |claim| Next::Claimed(claim.into(), at_work)));
        }
        // Runs that are due now wait for the end of a call, which wakes the loop.
        let later = waiting.iter().map(|waiting| waiting.due_at).filter(|due_at| *due_at > now);
        Ok(Next::Idle { until: later.min() })
    }

    /// Calls the function of a claimed run and applies its answer.
    async fn perform(&self, claim: Box<Claim>, at_work: ActiveCall) -> DispatchOutcome {
        let began = Instant::now();
        let reply = self.caller.call(&claim).await;
        let now = UnixMillis::now();
        let transition = answer::decide(&claim, reply, began.elapsed(), &self.options.retries, now);
        let settled = self.settle(&claim, transition, now).await;
        drop(at_work);
        // Another call can begin, and this run may be due again.
        self.news.notify_one();
        let outcome = match settled {
            None => DispatchOutcome::Dropped(claim.run_id),
            Some(Transition::End { .. }) => DispatchOutcome::Ended(claim.run_id),
            Some(Transition::Continue { attempt: 0, .. }) => DispatchOutcome::Advanced(claim.run_id),
            Some(Transition::Continue { .. }) => DispatchOutcome::Retrying(claim.run_id),
        };
        tracing::debug!(?outcome, attempt = claim.attempt, "a function answered");
        outcome
    }

    /// Applies `transition` and returns what was applied: None if the lease is stale. If the database refuses
    /// the answer's data, the run ends instead.
    async fn settle(&self, claim: &Claim, mut transition: Transition, now: UnixMillis) -> Option<Transition> {
        let mut refusals = 0;
        loop {
            match self.store.engine_settle(claim, &transition, self, now).await {
                Ok(true) => {
                    self.tell_of_end(claim, &transition, now);
                    return Some(transition);
                }
                Ok(false) => return None,
                Err(error) => {
                    tracing::error!(run = %claim.run_id, %error, "cannot record an answer yet");
                    refusals += u32::from(error.is_of_the_data());
                    if refusals == MOST_REFUSALS {
                        transition = unkept("the database refuses its data");
                    }
                }
            }
            sleep(FAILURE_PAUSE).await;
        }
    }

    /// Tells the watchers in this process, which would otherwise wait until our function is called for the
    /// end of the run.
    fn tell_of_end(&self, claim: &Claim, transition: &Transition, now: UnixMillis) {
        let (Some(progress), Transition::End { status, output, .. }) = (&self.watchers, transition) else {
            return;
        };
        let run = Run {
            run_id: claim.run_id.clone(),
            function_id: claim.slug.clone(),
            function_name: Some(claim.function_name.clone()),
            event_id: claim.event_id.clone(),
            status: status.clone(),
            run_started_at: claim.run_id.made_at().unwrap_or(now),
            ended_at: Some(now),
            output: serde_json::from_str(output).ok(),
        };
        progress.tell_run(std::slice::from_ref(&claim.event_id), run);
    }
}
