//! When the next attempt of a run begins, which only the engine knows.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::Watch;
use crate::{base::time::UnixMillis, imports::NextAttempt, inngest::Priority, store};

/// The engine learns of a failed attempt a moment later than we do, so the first request waits, and a
/// premature one is repeated after growing pauses.
const FIRST_PAUSE: Duration = Duration::from_millis(150);
const MOST_POLLS: u32 = 4;

/// The requests about one pending attempt.
#[derive(Clone, Copy, Debug)]
pub struct AttemptPoll {
    /// When the previous attempt failed, which identifies the attempt.
    failed_at: UnixMillis,
    /// The number of requests so far.
    asked: u32,
    due: Instant,
}

impl AttemptPoll {
    /// None after enough requests.
    pub fn due(&self) -> Option<Instant> {
        (self.asked < MOST_POLLS).then_some(self.due)
    }
}

impl Watch {
    /// Asks when the pending attempt begins, if that is due and not known yet.
    pub async fn ask_for_next_attempt(&mut self) -> store::Result<()> {
        let Some(import) = self.snapshot() else { return Ok(()) };
        let import = import.with_progress(&self.shared.progress);
        let mut unknown = import.runs.iter().filter(|run| run.next_attempt_at().is_none());
        let Some((run, failed, failed_at)) =
            unknown.find_map(|run| Some((&run.row.run_id, run.execution()?.attempt, run.waits_after()?.at)))
        else {
            self.attempt_poll = None;
            return Ok(());
        };
        let poll = match self.attempt_poll.filter(|poll| poll.failed_at == failed_at) {
            Some(poll) => poll,
            None => AttemptPoll { failed_at, asked: 0, due: Instant::now() + FIRST_PAUSE },
        };
        self.attempt_poll = Some(poll);
        if poll.due().is_none_or(|due| due > Instant::now()) {
            return Ok(());
        }
        let asked = poll.asked + 1;
        let pause = FIRST_PAUSE * 4u32.pow(asked);
        self.attempt_poll = Some(AttemptPoll { asked, due: Instant::now() + pause, ..poll });
        let client = self.shared.client.for_user(self.owner, Priority::Paced);
        match self.meanwhile(client.jobs(run)).await? {
            Ok(jobs) => {
                // 0-based there and 1-based here, so the number of the failed attempt is the number of the
                // next one.
                let Some(job) = jobs.iter().find(|job| job.attempt == failed) else { return Ok(()) };
                let next = NextAttempt { after: failed_at, at: job.at };
                let known: Option<Arc<_>> = self.change(|import| {
                    if let Some(known) = import.runs.iter_mut().find(|known| known.row.run_id == *run) {
                        known.next_attempt = Some(next);
                    }
                });
                self.attempt_poll = self.attempt_poll.filter(|_| known.is_none());
            }
            Err(error) => {
                // Not every server supports this request, and the run's state is more important.
                tracing::debug!(%run, %error, "the engine did not say when it will retry");
                self.attempt_poll = Some(AttemptPoll { asked: MOST_POLLS, ..poll });
            }
        }
        Ok(())
    }
}
