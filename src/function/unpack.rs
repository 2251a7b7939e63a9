//! The step that unpacks a packed file: copies what it holds to storage, where every later step and attempt reads
//! the same bytes.

use std::io::Read;

use super::{Processor, chain, failure::FailureReason, plan::open};
use crate::{
    base::ids::{EventId, RunId},
    files::{BinaryKind, Incoming, Key, OutputFile, Packing, Storage, UnpackError},
    store::{quota::Reservation, steps::Step},
};

impl Processor {
    /// How a stored file is packed; None if it is not.
    pub(super) async fn packing(&self, source: &Key) -> Result<Option<Packing>, FailureReason> {
        packing(&self.storage, source).await
    }

    /// Unpacks the stored file `source`.
    pub(super) async fn unpack(
        &self,
        run: &RunId,
        event: &EventId,
        source: Key,
        packing: Packing,
        position: u32,
    ) -> Result<Step, FailureReason> {
        self.copy(run, chain::UNPACK, position, self.unpacked(event, source, packing)).await
    }

    /// Unpacks `source` within the user's quota. Leaves no file if it is dropped before its end.
    async fn unpacked(
        &self,
        event: &EventId,
        source: Key,
        packing: Packing,
    ) -> Result<(Incoming, Option<Reservation>), FailureReason> {
        let mut reservation = self.quota.reserve_for(event).await?.map_err(FailureReason::OverQuota)?;
        let mut file = self.storage.receive(0).await?;
        let mut unpacking = self.storage.unpack(&source, packing, self.fetcher.max_bytes());
        while let Some(block) = unpacking.next().await? {
            if let Some(reservation) = &mut reservation {
                reservation.take(block.len() as u64).map_err(FailureReason::OverQuota)?;
            }
            file.write(&block).await?;
            // Early, because an archive may be large. The first block has the whole head, or is the whole file.
            unpacking.check(file.head())?;
        }
        Ok((file, reservation))
    }
}

/// How a stored file is packed; None if it is not.
pub(super) async fn packing(storage: &Storage, source: &Key) -> Result<Option<Packing>, FailureReason> {
    let (storage, source) = (storage.clone(), source.clone());
    let sniff = move || {
        let mut head = Vec::new();
        open(&storage, &source)?.take(BinaryKind::HEAD_BYTES as u64).read_to_end(&mut head)?;
        Ok(Packing::sniff(&head))
    };
    tokio::task::spawn_blocking(sniff).await?
}

/// Stores the front of what a packed file holds, whole lines of about `bytes`. It is deleted when it is dropped.
/// None if the file is not packed.
pub(super) async fn unpacked_front(
    storage: &Storage,
    source: &Key,
    bytes: usize,
) -> Result<Option<OutputFile>, FailureReason> {
    let Some(packing) = packing(storage, source).await? else { return Ok(None) };
    let mut unpacking = storage.unpack(source, packing, u64::MAX);
    let mut front = Vec::new();
    let mut is_whole = false;
    while front.len() < bytes && !is_whole {
        match unpacking.next().await? {
            Some(block) => front.extend_from_slice(&block),
            None => is_whole = true,
        }
        unpacking.check(&front[..front.len().min(BinaryKind::HEAD_BYTES)])?;
    }
    if !is_whole && let Some(end) = memchr::memrchr(b'\n', &front) {
        front.truncate(end + 1);
    }
    let storage = storage.clone();
    let write = move || {
        let mut file = storage.create_output(&RunId::from("front".to_owned()))?;
        file.write(&front)?;
        Ok(Some(file))
    };
    tokio::task::spawn_blocking(write).await?
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
