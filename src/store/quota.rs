//! How much each user has stored, and the limit of it (`RUNBOARD_QUOTA_BYTES`).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Result, Store};
use crate::base::ids::{EventId, UserId};

/// What each user may store at most, in bytes, and what of it is arriving now. A cheap handle to one
/// shared state.
#[derive(Clone, Debug)]
pub struct Quota {
    store: Store,
    /// None: as much as there is room for.
    allowed: Option<u64>,
    users: Arc<Mutex<HashMap<UserId, Arrivals>>>,
}

/// The bytes that are arriving for a user.
#[derive(Clone, Copy, Debug, Default)]
struct Arrivals {
    /// Promised to files that are being received.
    reserved: u64,
    /// Of those that were received since the start; the database has them now.
    ended: u64,
}

/// A user has no room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{used} of {allowed} bytes are stored")]
pub struct OverQuota {
    /// Without the file that has no room.
    pub used: u64,
    pub allowed: u64,
}

/// Room for a file that is arriving, until it is recorded or given up: then it is dropped.
#[derive(Debug)]
pub struct Reservation {
    quota: Quota,
    owner: UserId,
    /// Reserved: what is needed, and more while that may be too little.
    reserved: u64,
    /// What is known to be needed.
    needed: u64,
    /// Received.
    taken: u64,
    /// What was stored when the file began to arrive, and what of other files had ended by then.
    stored: u64,
    ended: u64,
    is_given_up: bool,
}

impl Quota {
    #[must_use]
    pub fn new(store: Store, allowed: Option<u64>) -> Self {
        Self { store, allowed, users: Arc::default() }
    }

    /// Reserves `bytes` for a file of `owner`. If their number is unknown it is 0, and [`Reservation::take`] is called
    /// as they come. An owner who has used all of the quota gets none.
    pub async fn reserve(
        &self,
        owner: UserId,
        bytes: u64,
    ) -> Result<std::result::Result<Reservation, OverQuota>> {
        self.reserve_between(owner, bytes, bytes).await
    }

    /// As [`Quota::reserve`], for a file of at least `least` and at most `most` bytes: of what is more than
    /// `least` as much as is left.
    pub async fn reserve_between(
        &self,
        owner: UserId,
        least: u64,
        most: u64,
    ) -> Result<std::result::Result<Reservation, OverQuota>> {
        // Before the database is asked: what ends in between is counted twice rather than never.
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
        // At least one byte will come.
        Ok(reservation.reserve(least.max(1), most).map(|()| reservation))
    }

    /// As [`Quota::reserve`], for the file of a run of `event`. None if no import has sent the event: its files
    /// count for no user.
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
        // Each change is one assignment.
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation {
    /// `bytes` more have come.
    pub fn take(&mut self, bytes: u64) -> std::result::Result<(), OverQuota> {
        self.taken = self.taken.saturating_add(bytes);
        self.grow(self.taken)
    }

    /// Nothing of the file is stored.
    pub fn give_up(mut self) {
        self.is_given_up = true;
    }

    /// Makes it room for `bytes` in all; what was reserved stays so.
    pub fn grow(&mut self, bytes: u64) -> std::result::Result<(), OverQuota> {
        self.reserve(bytes, bytes)
    }

    /// Makes it room for `least` bytes in all, and for `most` as far as there is room.
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
    /// Bytes of the files of `owner`'s imports: what was uploaded, what was fetched, what runs wrote.
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

    /// Whose import sent `event`.
    async fn owner_of_event(&self, event: &EventId) -> Result<Option<UserId>> {
        let owner: Option<String> = sqlx::query_scalar("SELECT account_id FROM import WHERE event_id = $1")
            .bind(event.as_str())
            .fetch_optional(&self.pool)
            .await?;
        owner.map(|owner| owner.parse().map_err(super::corrupt_import)).transpose()
    }
}
