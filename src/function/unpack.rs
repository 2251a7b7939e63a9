//! The step that unpacks a packed file: copies what it holds to storage, where every later step and attempt reads
//! the same bytes.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::{Processor, Slot, chain, failure::FailureReason, plan::open, step_slot::StepSlot};
use crate::{
    base::{
        ids::{EventId, RunId},
        time::UnixMillis,
    },
    csv::{AboutFile, SheetName, SheetRead},
    files::{BinaryKind, Incoming, Key, Packing, Storage, UnpackError},
    progress::{Copying, Receiving, RunProgress},
    store::{quota::Reservation, steps::Step},
};

/// How long nothing may come out of a file until its progress is told again.
const TOLD_EVERY: Duration = Duration::from_millis(500);

impl Processor {
    /// How a stored file is packed; None if it is not.
    pub(super) async fn packing(&self, source: &Key) -> Result<Option<Packing>, FailureReason> {
        packing(&self.storage, source).await
    }

    /// Unpacks the stored file `source`, of a workbook the sheet that was chosen.
    pub(super) async fn unpack(
        &self,
        (run, event): (&RunId, &EventId),
        packed: (Key, Packing),
        sheet: Option<SheetName>,
        position: u32,
        slot: &mut StepSlot,
    ) -> Result<Step, FailureReason> {
        let progress = self.progress.of(run);
        let unpacked = self.unpacked((run, event), packed.clone(), sheet.clone(), &progress, slot);
        match self.copy(run, chain::UNPACK, position, unpacked).await {
            Err(FailureReason::MemoryInUse) => {}
            done => return done,
        }
        slot.wait_for_memory(&self.large_memory.archives).await?;
        let unpacked = self.unpacked((run, event), packed, sheet, &progress, slot);
        self.copy(run, chain::UNPACK, position, unpacked).await
    }

    /// Unpacks `source` within the user's quota. Leaves no file if it is dropped before its end.
    async fn unpacked(
        &self,
        (run, event): (&RunId, &EventId),
        (source, packing): (Key, Packing),
        sheet: Option<SheetName>,
        progress: &RunProgress,
        slot: &mut StepSlot,
    ) -> Result<(Incoming, Option<Reservation>, AboutFile), FailureReason> {
        let mut reservation = self.quota.reserve_for(event).await?.map_err(FailureReason::OverQuota)?;
        let mut file = self.storage.receive(Key::output(run), 0).await?;
        let since = UnixMillis::now();
        let mut unpacking = self.storage.unpack(&source, packing, sheet, self.fetcher.max_bytes());
        loop {
            let (bytes, total) = unpacking.unpacked();
            let total = Some(total);
            progress.set_receiving(Some(Receiving { copying: Copying::Unpacking, bytes, total, since }));
            let asked = unpacking.memory_request();
            let next = tokio::select! {
                next = timeout(TOLD_EVERY, unpacking.next()) => next,
                request = asked => {
                    let memory = slot.large_memory(&self.large_memory.archives);
                    if memory.is_err() && let Some(reservation) = reservation.take() {
                        // What was unpacked so far is not stored.
                        reservation.give_up();
                    }
                    request.give(Box::new(memory?));
                    continue;
                }
            };
            let Ok(next) = next else { continue };
            let Some(block) = next? else { break };
            if let Some(reservation) = &mut reservation {
                reservation.take(block.len() as u64).map_err(FailureReason::OverQuota)?;
            }
            file.write(&block).await?;
            // Early, because an archive may be large. The first block has the whole head, or is the whole file.
            unpacking.check(file.head())?;
        }
        let about = AboutFile { sheet: unpacking.sheet(), ..AboutFile::from(file.survey()) };
        Ok((file, reservation, about))
    }
}

/// How a stored file is packed; None if it is not.
pub(super) async fn packing(storage: &Storage, source: &Key) -> Result<Option<Packing>, FailureReason> {
    let (storage, source) = (storage.clone(), source.clone());
    let sniff = move || {
        let mut head = Vec::new();
        open(&storage, &source)?.append_to(&mut head, BinaryKind::HEAD_BYTES as u64)?;
        Ok(Packing::sniff(&head))
    };
    tokio::task::spawn_blocking(sniff).await?
}

/// The front of what a packed file holds.
pub(super) struct UnpackedFront {
    pub(super) bytes: Bytes,
    /// Of a workbook.
    pub(super) sheet: Option<SheetRead>,
}

/// The front of what a packed file holds, whole lines of about `bytes`, of a workbook those of the sheet that was
/// chosen. `large_memory` waits for that, if it is needed. None if the file is not packed.
pub(super) async fn unpacked_front(
    storage: &Storage,
    source: &Key,
    sheet: Option<SheetName>,
    bytes: usize,
    large_memory: impl AsyncFn() -> Result<Slot, FailureReason>,
) -> Result<Option<UnpackedFront>, FailureReason> {
    let Some(packing) = packing(storage, source).await? else {
        return if sheet.is_some() { Err(UnpackError::NotAWorkbook.into()) } else { Ok(None) };
    };
    let mut unpacking = storage.unpack(source, packing, sheet, u64::MAX);
    let mut front = Vec::new();
    let mut is_whole = false;
    while front.len() < bytes && !is_whole {
        let asked = unpacking.memory_request();
        let next = tokio::select! {
            next = unpacking.next() => next?,
            request = asked => {
                request.give(Box::new(large_memory().await?));
                continue;
            }
        };
        match next {
            Some(block) => front.extend_from_slice(&block),
            None => is_whole = true,
        }
        unpacking.check(&front[..front.len().min(BinaryKind::HEAD_BYTES)])?;
    }
    if !is_whole && let Some(end) = memchr::memrchr(b'\n', &front) {
        front.truncate(end + 1);
    }
    Ok(Some(UnpackedFront { bytes: front.into(), sheet: unpacking.sheet() }))
}

impl From<UnpackError> for FailureReason {
    fn from(error: UnpackError) -> Self {
        match error {
            UnpackError::Stopped => Self::Stopped,
            UnpackError::Storage(error) if error.kind() == std::io::ErrorKind::NotFound => Self::FileGone,
            UnpackError::Storage(error) => error.into(),
            error => Self::Unpack(error),
        }
    }
}
