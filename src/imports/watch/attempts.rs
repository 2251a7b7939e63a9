//! When the next attempt of a run begins: asked of the engine, for it alone knows.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::Watch;
use crate::{base::time::UnixMillis, imports::NextAttempt, inngest::Priority, store};

/// The engine hears of a failed attempt a moment later than we do, so the first question waits, and one
/// that comes too soon is repeated, each time after a longer pause.
const FIRST_PAUSE: Duration = Duration::from_millis(150);
const QUESTIONS: u32 = 4;

/// What is asked about the attempt that is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// When the attempt before failed: names the attempt.
    failed_at: UnixMillis,
    /// How often it was asked.
    asked: u32,
    due: Instant,
}

impl Question {
    /// None once it was asked often enough.
    pub fn due(&self) -> Option<Instant> {
        (self.asked < QUESTIONS).then_some(self.due)
    }
}

impl Watch {
    /// Asks when the attempt begins that is waited for, once its time has come and unless it is known.
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
                // 0-based there, 1-based here: the number of the attempt that failed is that of the next.
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
                // Not every server knows this question, and the run's state is worth more.
                tracing::debug!(%run, %error, "the engine did not say when it will retry");
                self.question = Some(Question { asked: QUESTIONS, ..question });
            }
        }
        Ok(())
    }
}
