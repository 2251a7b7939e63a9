//! Runs of events that Runboard did not send: they run like any other, are on nobody's page, and what
//! they have written goes after a day. So does what a late run of a deleted import leaves.

use std::time::Duration;

use super::Processor;
use crate::{base::time::UnixMillis, files::Key, store};

/// How long after its last step a run's files are kept that nobody can see.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// The setting that says until when such runs were swept, so that a sweep reads only what was done since.
const SWEPT_UNTIL: &str = "orphaned_runs_swept_until";

impl Processor {
    /// Removes what such runs have left behind; how many there were. First what is known of their steps,
    /// then the files, which a later start moves to the quarantine if we do not get to it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sweep_orphaned_runs(&self, now: UnixMillis) -> store::Result<usize> {
        let before = now.minus(KEPT_FOR);
        let swept_until = self.store.setting_if_known(SWEPT_UNTIL).await?;
        let after = swept_until.and_then(|at| at.parse().ok()).map_or(UnixMillis(0), UnixMillis);
        let (mut swept, mut is_all) = (0, true);
        for run in self.store.orphaned_runs(after, before).await? {
            if self.live.is_at_work(&run) {
                is_all = false;
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
        if is_all && before > after {
            self.store.change_setting(SWEPT_UNTIL, &before.0.to_string()).await?;
        }
        Ok(swept)
    }
}
