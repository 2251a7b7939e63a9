//! The dispatch loop: takes the run that has been due longest, calls its function, applies the answer.

use std::time::Duration;

use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Engine, answer};
use crate::{
    ids::RunId,
    inngest::Run,
    store::{
        self,
        engine::queue::{Claim, Next, Transition},
        live::News,
    },
    time::UnixMillis,
};

/// How long calls at work may go on after a stop. What is then broken off is called again at the next start.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// The pause after the database failed.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// Nobody waits longer than this for a time to come: the clock may be set while we sleep.
const LONGEST_NAP: Duration = Duration::from_secs(60);

/// What one step of the queue did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is due before this time; `None`: nothing is waiting.
    Idle { until: Option<UnixMillis> },
    /// The function finished steps, and is called again at once.
    Advanced(RunId),
    /// The attempt failed; the next one waits for its time.
    Retrying(RunId),
    /// The run has its terminal record.
    Ended(RunId),
    /// The run was cancelled or taken over during the call: the answer changed nothing.
    Dropped(RunId),
}

impl Engine {
    /// Works until `shutdown`: first makes the calls again that an earlier process lost. Only one
    /// process may run an engine over one database. When the database fails, it is tried again.
    pub async fn run(self, shutdown: CancellationToken) {
        while let Err(error) = self.void_leases().await {
            tracing::error!(%error, "cannot take over the queue yet");
            if shutdown.run_until_cancelled(sleep(FAILURE_PAUSE)).await.is_none() {
                return;
            }
        }
        let mut workers = JoinSet::new();
        for _ in 0..self.options.workers.max(1) {
            workers.spawn(self.clone().work(shutdown.clone()));
        }
        shutdown.cancelled().await;
        if timeout(STOP_GRACE, workers.join_all()).await.is_err() {
            tracing::warn!("function calls were interrupted; they repeat at the next start");
        }
    }

    async fn void_leases(&self) -> store::Result<()> {
        let lost = self.store.engine_void_leases().await?;
        if lost > 0 {
            tracing::info!(
                runs = lost,
                "resuming the runs that were in progress when the last process ended"
            );
        }
        Ok(())
    }

    /// Takes one run, calls its function and applies the answer.
    ///
    /// # Errors
    /// When the database fails before the call. Once the function has answered, the answer is
    /// applied however long the database takes.
    pub async fn step(&self) -> store::Result<Outcome> {
        let claim = match self.store.engine_claim(UnixMillis::now()).await? {
            Next::Claimed(claim) => claim,
            Next::NothingUntil(until) => return Ok(Outcome::Idle { until }),
        };
        let reply = self.caller.call(&claim).await;
        let now = UnixMillis::now();
        let transition = answer::decide(&claim, reply, &self.options.retries, now);
        let settled = self.settle(&claim, &transition, now).await;
        let outcome = match transition {
            _ if !settled => Outcome::Dropped(claim.run_id),
            Transition::End { .. } => Outcome::Ended(claim.run_id),
            Transition::Continue { attempt: 0, .. } => Outcome::Advanced(claim.run_id),
            Transition::Continue { .. } => Outcome::Retrying(claim.run_id),
        };
        tracing::debug!(?outcome, attempt = claim.attempt, "a function answered");
        Ok(outcome)
    }

    async fn settle(&self, claim: &Claim, transition: &Transition, now: UnixMillis) -> bool {
        loop {
            match self.store.engine_settle(claim, transition, self, now).await {
                Ok(settled) => {
                    if settled {
                        self.tell_of_end(claim, transition, now);
                    }
                    // Another worker may be free for the next attempt, and sleep past its time.
                    self.news.send_replace(());
                    return settled;
                }
                Err(error) => {
                    tracing::error!(run = %claim.run_id, %error, "cannot record an answer yet");
                    sleep(FAILURE_PAUSE).await;
                }
            }
        }
    }

    /// A watcher in this process need not wait until a function of ours is called for the end of the run.
    fn tell_of_end(&self, claim: &Claim, transition: &Transition, now: UnixMillis) {
        let (Some(live), Transition::End { status, output, .. }) = (&self.watchers, transition) else {
            return;
        };
        let run = Run {
            run_id: claim.run_id.clone(),
            function_id: claim.slug.clone(),
            function_name: Some(claim.slug.clone()),
            event_id: claim.event_id.clone(),
            status: status.clone(),
            run_started_at: claim.run_id.made_at().unwrap_or(now),
            ended_at: Some(now),
            output: serde_json::from_str(output).ok(),
        };
        live.tell(&claim.event_id, News::Run(Box::new(run)));
    }

    async fn work(self, shutdown: CancellationToken) {
        let mut news = self.news.subscribe();
        while !shutdown.is_cancelled() {
            // Before the queue is looked at, so that what comes in meanwhile is not slept through.
            news.mark_unchanged();
            let pause = match self.step().await {
                Ok(Outcome::Idle { until }) => {
                    until.map_or(LONGEST_NAP, |at| at.since(UnixMillis::now()).min(LONGEST_NAP))
                }
                Ok(_) => continue,
                Err(error) => {
                    tracing::error!(%error, "cannot read the queue");
                    FAILURE_PAUSE
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                _ = news.changed() => {}
                () = sleep(pause) => {}
            }
        }
    }
}
