//! Runs of events that Runboard did not send: they run like any other, are on nobody's page, and what
//! they have written goes after a day. So does what a late run of a deleted import leaves.

use std::time::Duration;

use super::Processor;
use crate::{base::time::UnixMillis, files::Key, store};

/// How long after its last step a run's files are kept that nobody can see.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

impl Processor {
    /// Removes what such runs have left behind; how many there were. First what is known of their steps,
    /// then the files, which a later start moves to the quarantine if we do not get to it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sweep_strangers(&self, now: UnixMillis) -> store::Result<usize> {
        let runs = self.store.stranger_runs(now.minus(KEPT_FOR)).await?;
        let mut swept = 0;
        for run in runs {
            if self.live.is_at_work(&run) {
                continue;
            }
            let files = self.store.forget_steps(&run).await?;
            for key in files {
                if let Err(error) = self.storage.remove(&Key::from_stored(key)).await {
                    tracing::warn!(%run, %error, "cannot remove an output of a deleted run");
                }
            }
            self.live.forget(&run);
            swept += 1;
        }
        Ok(swept)
    }
}
