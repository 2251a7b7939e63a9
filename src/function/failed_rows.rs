//! The first step of an import of another run's failed records: copies them to storage after their header.
//! Later steps read the copy, so the other import may be deleted afterwards.

use std::io;

use super::{Processor, chain, failure::FailureReason};
use crate::{
    base::ids::{EventId, RunId},
    csv::{AboutFile, Layout, ReadBefore},
    files::{Incoming, Key},
    results::{failures::FailuresError, outputs},
    store::{quota::Reservation, steps::Step},
};

impl Processor {
    /// Copies the failed records of the run `of`.
    pub(super) async fn copy_failed_rows(
        &self,
        run: &RunId,
        event: &EventId,
        of: &RunId,
    ) -> Result<Step, FailureReason> {
        self.copy(run, chain::FAILED_ROWS, 0, self.failed_rows((run, event), of)).await
    }

    /// Leaves no file if it is dropped before its end.
    async fn failed_rows(
        &self,
        (run, event): (&RunId, &EventId),
        of: &RunId,
    ) -> Result<(Incoming, Option<Reservation>, AboutFile), FailureReason> {
        let records = outputs::failed_records(&self.store, of).await?.ok_or(FailureReason::FailedRowsGone)?;
        let gone = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => FailureReason::FailedRowsGone,
            _ => error.into(),
        };
        let size = records.size(&self.storage).await.map_err(gone)?;
        let mut reservation = self.quota.reserve_for(event).await?.map_err(FailureReason::OverQuota)?;
        if let Some(reservation) = &mut reservation {
            reservation.grow(size).map_err(FailureReason::OverQuota)?;
        }
        let mut file = self.storage.receive(Key::output(run), size).await?;
        file.append(&records.source, records.layout.start.byte).await.map_err(gone)?;
        for part in &records.parts {
            file.append(part, u64::MAX).await.map_err(gone)?;
        }
        let storage = self.storage.clone();
        let progress = self.progress.of(run);
        let reasons = self.store.remarks(of).await?.reasons;
        let find_cut =
            move || records.cut(&storage, &reasons, || progress.is_stopped()).map(|cut| (cut, records));
        let (cut, records) = tokio::task::spawn_blocking(find_cut).await?.map_err(|error| match error {
            FailuresError::Storage(error) => gone(error),
            FailuresError::NoSuchPlace | FailuresError::Store(_) => FailureReason::FailedRowsGone,
        })?;
        let cut = cut.ok_or(FailureReason::Stopped)?;
        let layout = Layout { cut, ..records.layout };
        let read_before = ReadBefore { layout, reading: records.reading, sheet: records.sheet };
        let about = AboutFile { read_before: Some(read_before), ..AboutFile::default() };
        Ok((file, reservation, about))
    }
}
