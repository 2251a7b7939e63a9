//! A step that copies a file to storage, where every later step and attempt reads the same bytes.

use super::{Processor, chain::CopyResult, failure::FailureReason};
use crate::{
    base::{ids::RunId, time::UnixMillis},
    csv::{AboutFile, Counts},
    files::{Incoming, Key},
    store::{
        quota::Reservation,
        steps::{Remarks, Step, StepFiles},
    },
};

/// A copy of a file that is stored.
pub(super) struct NewCopy {
    pub(super) key: Key,
    pub(super) bytes: u64,
    /// What the next steps need to know.
    pub(super) about: AboutFile,
    pub(super) started_at: UnixMillis,
}

impl Processor {
    /// Does the step `name` of `run`, at `position`: keeps the file that `copying` receives, and holds its reservation
    /// until the step is committed. Stopping the run interrupts it.
    pub(super) async fn copy(
        &self,
        run: &RunId,
        name: &str,
        position: u32,
        copying: impl Future<Output = Result<(Incoming, Option<Reservation>, AboutFile), FailureReason>>,
    ) -> Result<Step, FailureReason> {
        let started_at = UnixMillis::now();
        let progress = self.progress.of(run);
        let _at_work = progress.begin();
        let copied = tokio::select! {
            copied = copying => copied,
            () = progress.stopped() => Err(FailureReason::Stopped),
        };
        progress.set_receiving(None);
        let (file, _reservation, about) = copied?;
        let key = file.key().clone();
        let bytes = file.keep().await?;
        self.commit_copy(run, name, position, NewCopy { key, bytes, about, started_at }).await
    }

    /// Commits the step `name`, which has made the copy.
    pub(super) async fn commit_copy(
        &self,
        run: &RunId,
        name: &str,
        position: u32,
        NewCopy { key, bytes, about, started_at }: NewCopy,
    ) -> Result<Step, FailureReason> {
        let step = Step {
            name: name.to_owned(),
            position,
            result: serde_json::to_string(&CopyResult { bytes, about })?,
            counts: Counts::default(),
            end_byte: 0,
            files: StepFiles { source: Some(key.as_str().to_owned()), bytes, ..StepFiles::default() },
            stretches: None,
            started_at,
            committed_at: UnixMillis::now(),
        };
        self.commit(run, step, &Remarks::default()).await
    }
}
