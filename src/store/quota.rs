//! How much each user has stored, and the limit (`RUNBOARD_QUOTA_BYTES`).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Result, Store};
use crate::base::ids::{EventId, UserId};

/// The limit of the bytes that each user may store, and the bytes that are arriving now. Clones share the
/// state.
#[derive(Clone, Debug)]
pub struct Quota {
    store: Store,
    /// None: no limit but the disk.
    allowed: Option<u64>,
    users: Arc<Mutex<HashMap<UserId, Arrivals>>>,
}

/// The bytes that are arriving for a user.
#[derive(Clone, Copy, Debug, Default)]
struct Arrivals {
    /// Reserved for files that are being received.
    reserved: u64,
    /// Of files that were received since the start. They are in the database now.
    ended: u64,
}

/// The user's quota is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{used} of {allowed} bytes are stored")]
pub struct OverQuota {
    /// The bytes in use, without the refused file.
    pub used: u64,
    pub allowed: u64,
}

/// Quota for a file that is arriving. It is dropped once the file is recorded or discarded.
#[derive(Debug)]
pub struct Reservation {
    quota: Quota,
    owner: UserId,
    /// The reserved bytes: the needed ones, and more while the need may grow.
    reserved: u64,
    /// The bytes that are known to be needed.
    needed: u64,
    /// The received bytes.
    taken: u64,
    /// The stored bytes when the file began to arrive, and the bytes of other files that had ended by then.
    stored: u64,
    ended: u64,
    is_given_up: bool,
}

impl Quota {
    #[must_use]
    pub fn new(store: Store, allowed: Option<u64>) -> Self {
        Self { store, allowed, users: Arc::default() }
    }

    /// Reserves `bytes` for a file of `owner`. If the size is unknown, `bytes` is 0 and [`Reservation::take`]
    /// is called as they arrive. Fails if the owner has used the whole quota.
    pub async fn reserve(
        &self,
        owner: UserId,
        bytes: u64,
    ) -> Result<std::result::Result<Reservation, OverQuota>> {
        self.reserve_between(owner, bytes, bytes).await
    }

    /// As [`Quota::reserve`], for a file of at least `least` and at most `most` bytes: beyond `least` it
    /// reserves as much as is left.
    pub async fn reserve_between(
        &self,
        owner: UserId,
        least: u64,
        most: u64,
    ) -> Result<std::result::Result<Reservation, OverQuota>> {
        // Read before the database: a file that ends in between is counted twice, but never omitted.
        let ended = self.users().get(&owner).copied().unwrap_or_default().ended;
        let stored = if self.allowed.is_some() { self.store.stored_bytes(owner).await? } else { 0 };
        let mut reservation = Reservation {
            quota: self.clone(),
            owner,
            reserved: 0,
            needed: 0,
            taken: 0,
            stored,
            ended,
            is_given_up: false,
        };
        // At least one byte will arrive.
        Ok(reservation.reserve(least.max(1), most).map(|()| reservation))
    }

    /// As [`Quota::reserve`], for a file of a run of `event`. None if no import has sent the event: then the
    /// file counts for no user.
    pub async fn reserve_for(
        &self,
        event: &EventId,
    ) -> Result<std::result::Result<Option<Reservation>, OverQuota>> {
        if self.allowed.is_none() {
            return Ok(Ok(None));
        }
        let Some(owner) = self.store.owner_of_event(event).await? else { return Ok(Ok(None)) };
        Ok(self.reserve(owner, 0).await?.map(Some))
    }

    fn users(&self) -> MutexGuard<'_, HashMap<UserId, Arrivals>> {
        // Each change is a single assignment.
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation {
    /// Counts `bytes` more that have arrived.
    pub fn take(&mut self, bytes: u64) -> std::result::Result<(), OverQuota> {
        self.taken = self.taken.saturating_add(bytes);
        self.grow(self.taken)
    }

    /// Releases the reservation: nothing of the file is stored.
    pub fn give_up(mut self) {
        self.is_given_up = true;
    }

    /// Extends the reservation to `bytes` in all. Never shrinks it.
    pub fn grow(&mut self, bytes: u64) -> std::result::Result<(), OverQuota> {
        self.reserve(bytes, bytes)
    }

    /// Extends the reservation to `least` bytes in all, and up to `most` as far as the quota allows.
    fn reserve(&mut self, least: u64, most: u64) -> std::result::Result<(), OverQuota> {
        let Some(allowed) = self.quota.allowed else { return Ok(()) };
        if least > self.reserved || most > self.reserved {
            let mut users = self.quota.users();
            let arrivals = users.entry(self.owner).or_default();
            let others = arrivals.reserved.saturating_sub(self.reserved);
            let since = arrivals.ended.saturating_sub(self.ended);
            let used = self.stored.saturating_add(others).saturating_add(since);
            let left = allowed.saturating_sub(used);
            if least > left {
                return Err(OverQuota { used, allowed });
            }
            self.reserved = most.max(self.reserved).min(left).max(least);
            arrivals.reserved = others.saturating_add(self.reserved);
        }
        self.needed = self.needed.max(least);
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(arrivals) = self.quota.users().get_mut(&self.owner) {
            arrivals.reserved = arrivals.reserved.saturating_sub(self.reserved);
            if !self.is_given_up {
                arrivals.ended = arrivals.ended.saturating_add(self.needed);
            }
        }
    }
}

impl Store {
    /// The bytes of all files of `owner`'s imports: uploads, fetched files and outputs.
    pub async fn stored_bytes(&self, owner: UserId) -> Result<u64> {
        let bytes: i64 = sqlx::query_scalar(
            "SELECT CAST(COALESCE(SUM(stored.bytes), 0) AS BIGINT) FROM ( \
             SELECT size_bytes AS bytes FROM import WHERE account_id = $1 AND failed_rows_of IS NULL \
             UNION ALL \
             SELECT step.stored_bytes AS bytes FROM import JOIN run ON run.import_id = import.id \
             JOIN step ON step.run_id = run.run_id WHERE import.account_id = $1) AS stored",
        )
        .bind(owner.to_string())
        .fetch_one(&self.pool)
        .await?;
        Ok(u64::try_from(bytes).unwrap_or(0))
    }

    /// The owner of the import that sent `event`.
    async fn owner_of_event(&self, event: &EventId) -> Result<Option<UserId>> {
        let owner: Option<String> = sqlx::query_scalar("SELECT account_id FROM import WHERE event_id = $1")
            .bind(event.as_str())
            .fetch_optional(&self.pool)
            .await?;
        owner.map(|owner| owner.parse().map_err(super::corrupt_import)).transpose()
    }
}
