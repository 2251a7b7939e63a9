//! Runs of events that Runboard did not send. They are executed normally but shown on no page, and their
//! files are deleted after a day. The same applies to late runs of deleted imports.

use std::time::Duration;

use super::Processor;
use crate::{
    base::time::UnixMillis,
    files::{Key, STORAGE_AWAY},
    store,
};

/// How long the files of an orphaned run are kept after its last step.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// The setting that stores the time of the last sweep, so that a sweep reads only later steps.
const SWEPT_UNTIL: &str = "orphaned_runs_swept_until";

impl Processor {
    /// Deletes what orphaned runs have left, and returns their number. First deletes the steps, then the
    /// files. Files that remain after a crash are quarantined after the next start; from a bucket a sweep deletes them.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sweep_orphaned_runs(&self, now: UnixMillis) -> store::Result<usize> {
        let before = now.minus(KEPT_FOR);
        let swept_until = self.store.setting_if_known(SWEPT_UNTIL).await?;
        let after = swept_until.and_then(|at| at.parse().ok()).map_or(UnixMillis(0), UnixMillis);
        let (mut swept, mut is_all) = (0, true);
        for run in self.store.orphaned_runs(after, before).await? {
            if self.progress.is_at_work(&run) {
                is_all = false;
                continue;
            }
            let files = self.store.forget_steps(&run).await?;
            self.progress.forget(&run);
            swept += 1;
            let files = files.into_iter().map(Key::from_stored).collect();
            if let Err(error) = self.storage.remove_all(files).await {
                tracing::warn!(%run, %error, "cannot remove the outputs of a deleted run");
                if error.kind() == STORAGE_AWAY {
                    return Ok(swept);
                }
            }
        }
        if is_all && before > after {
            self.store.change_setting(SWEPT_UNTIL, &before.0.to_string()).await?;
        }
        Ok(swept)
    }
}
