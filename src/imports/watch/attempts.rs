//! When the next attempt of a run begins, which only the engine knows.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::Watch;
use crate::{base::time::UnixMillis, imports::NextAttempt, inngest::Priority, store};

/// The engine learns of a failed attempt a moment later than we do, so the first request waits, and a
/// premature one is repeated after growing pauses.
const FIRST_PAUSE: Duration = Duration::from_millis(150);
const QUESTIONS: u32 = 4;

/// The requests about one pending attempt.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// When the previous attempt failed, which identifies the attempt.
    failed_at: UnixMillis,
    /// The number of requests so far.
    asked: u32,
    due: Instant,
}

impl Question {
    /// None after enough requests.
    pub fn due(&self) -> Option<Instant> {
        (self.asked < QUESTIONS).then_some(self.due)
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
            self.question = None;
            return Ok(());
        };
        let question = match self.question.filter(|question| question.failed_at == failed_at) {
            Some(question) => question,
            None => Question { failed_at, asked: 0, due: Instant::now() + FIRST_PAUSE },
        };
        self.question = Some(question);
        if question.due().is_none_or(|due| due > Instant::now()) {
            return Ok(());
        }
        let asked = question.asked + 1;
        let pause = FIRST_PAUSE * 4u32.pow(asked);
        self.question = Some(Question { asked, due: Instant::now() + pause, ..question });
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
                self.question = self.question.filter(|_| known.is_none());
            }
            Err(error) => {
                // Not every server supports this request, and the run's state is more important.
                tracing::debug!(%run, %error, "the engine did not say when it will retry");
                self.question = Some(Question { asked: QUESTIONS, ..question });
            }
        }
        Ok(())
    }
}
