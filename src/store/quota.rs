//! How much each user has stored, and the limit (`RUNBOARD_QUOTA_BYTES`).
//!
//! If there are several replicas, each tells the others by a row what it has reserved. A reservation is made in a
//! transaction in which no other replica reserves for the same user, so that two uploads at once share the quota. What
//! grows later is told in the background, because it must not wait for the database: two files of unknown size can
//! exceed the quota by what arrives until then.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::Semaphore,
    time::{Instant, sleep},
};

use super::{Error, Result, Store, arriving::STORED_BYTES};
use crate::base::ids::{EventId, UserId};

/// The pause between two writes of what this replica has reserved for a user, so that a file that grows costs few.
const TELLS_EVERY: Duration = Duration::from_millis(250);

/// For how long it may not be known here that what another replica has reserved has ended.
const DOUBTED_FOR: Duration = Duration::from_millis(600);

/// The pause before a reservation is tried again that was refused because of another replica's.
const TRIED_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The limit of the bytes that each user may store, and the bytes that are arriving now. Clones share the
/// state.
#[derive(Clone, Debug)]
pub struct Quota {
    store: Store,
    /// None: no limit but the disk.
    allowed: Option<u64>,
    users: Arc<Mutex<HashMap<UserId, Arrivals>>>,
    /// Where the other replicas are told of changes. None: nowhere.
    runtime: Option<Handle>,
    /// So few of the turns that all replicas share wait at once, because each holds a connection of the pool.
    turns: Arc<Semaphore>,
}

/// How many turns of quotas may wait for the database at once.
const TURNS_AT_ONCE: usize = 2;

/// The bytes that are arriving for a user.
#[derive(Clone, Copy, Debug, Default)]
struct Arrivals {
    /// Reserved for files that are being received.
    reserved: u64,
    /// Of files that were received since the start. They are in the database now.
    ended: u64,
    /// None if there are no other replicas.
    elsewhere: Option<Elsewhere>,
    /// Something is to be told to the other replicas.
    is_to_be_told: bool,
    /// A task tells it.
    is_being_told: bool,
}

/// What the database said when it was last asked.
#[derive(Clone, Copy, Debug)]
struct Elsewhere {
    /// Before the question.
    read_at: Instant,
    /// Reserved by other replicas.
    reserved: u64,
    stored: u64,
    /// [`Arrivals::ended`] before the question.
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
    /// There are other replicas. What is stored is then known from the last time that the database was asked.
    is_shared: bool,
    /// Since when too few bytes are left, unless what is known of the other replicas is out of date.
    doubted_at: Option<Instant>,
}

impl Quota {
    #[must_use]
    pub fn new(store: Store, allowed: Option<u64>) -> Self {
        Self {
            store,
            allowed,
            users: Arc::default(),
            runtime: Handle::try_current().ok(),
            turns: Arc::new(Semaphore::new(TURNS_AT_ONCE)),
        }
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
        if self.allowed.is_some() && self.store.replica().is_some() {
            return self.reserve_among(owner, least.max(1), most).await;
        }
        // Read before the database: a file that ends in between is counted twice, but never omitted.
        let ended = self.users().get(&owner).copied().unwrap_or_default().ended;
        let stored = if self.allowed.is_some() { self.store.stored_bytes(owner).await? } else { 0 };
        let mut reservation = Reservation::new(self, owner);
        (reservation.stored, reservation.ended) = (stored, ended);
        // At least one byte will arrive.
        Ok(reservation.reserve(least.max(1), most).map(|()| reservation))
    }

    /// The same among several replicas.
    async fn reserve_among(
        &self,
        owner: UserId,
        least: u64,
        most: u64,
    ) -> Result<std::result::Result<Reservation, OverQuota>> {
        let start = Instant::now();
        loop {
            let mut reservation = Reservation::new(self, owner);
            reservation.is_shared = true;
            let reserved = self.in_turn(owner, || reservation.reserve(least, most)).await?;
            let elsewhere = self.users().get(&owner).and_then(|arrivals| arrivals.elsewhere);
            match reserved {
                Ok(()) => return Ok(Ok(reservation)),
                Err(over) => {
                    let is_theirs = elsewhere.is_some_and(|elsewhere| elsewhere.reserved > 0);
                    if !is_theirs || start.elapsed() >= DOUBTED_FOR {
                        return Ok(Err(over));
                    }
                }
            }
            sleep(TRIED_AGAIN_AFTER).await;
        }
    }

    /// Asks the database what is used of `owner`'s quota, does `change`, and records what this replica has reserved
    /// then. No other replica does this meanwhile for the same user.
    async fn in_turn<T>(&self, owner: UserId, change: impl FnOnce() -> T) -> Result<T> {
        // None only with one process.
        let Some(replica) = self.store.replica() else { return Ok(change()) };
        // Never closed.
        let _turn_here = self.turns.acquire().await;
        let mut turn = self.store.begin_quota_turn(owner, replica).await?;
        let (read_at, ended) = (Instant::now(), self.users().entry(owner).or_default().ended);
        let used = turn.used_elsewhere().await?;
        let elsewhere = Elsewhere { read_at, reserved: used.reserved, stored: used.stored, ended };
        self.users().entry(owner).or_default().elsewhere = Some(elsewhere);
        let changed = change();
        let reserved = self.users().entry(owner).or_default().reserved;
        if !turn.end(reserved).await? {
            self.tell(owner);
        }
        Ok(changed)
    }

    /// Tells the other replicas soon all that this one has reserved: what it told under an earlier id is forgotten.
    pub fn tell_again(&self) {
        let users = self.users();
        let reserved = users.iter().filter(|(_, arrivals)| arrivals.reserved > 0);
        let owners: Vec<UserId> = reserved.map(|(owner, _)| *owner).collect();
        drop(users);
        for owner in owners {
            self.tell(owner);
        }
    }

    /// Tells the other replicas soon what this one has reserved for `owner`, and reads what they have.
    fn tell(&self, owner: UserId) {
        let Some(runtime) = &self.runtime else { return };
        let mut users = self.users();
        let arrivals = users.entry(owner).or_default();
        arrivals.is_to_be_told = true;
        if !std::mem::replace(&mut arrivals.is_being_told, true) {
            runtime.spawn(self.clone().tell_until_told(owner));
        }
    }

    async fn tell_until_told(self, owner: UserId) {
        loop {
            self.users().entry(owner).or_default().is_to_be_told = false;
            match self.in_turn(owner, || ()).await {
                Ok(()) => {}
                // The process ends, and what it has reserved with it.
                Err(Error::Database(sqlx::Error::PoolClosed)) => return,
                Err(error) => {
                    tracing::warn!(user = %owner, %error, "the other replicas do not know yet what is arriving");
                    self.users().entry(owner).or_default().is_to_be_told = true;
                }
            }
            sleep(TELLS_EVERY).await;
            let mut users = self.users();
            let arrivals = users.entry(owner).or_default();
            if !arrivals.is_to_be_told {
                arrivals.is_being_told = false;
                return;
            }
        }
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
    /// Of nothing yet.
    fn new(quota: &Quota, owner: UserId) -> Self {
        Self {
            quota: quota.clone(),
            owner,
            reserved: 0,
            needed: 0,
            taken: 0,
            stored: 0,
            ended: 0,
            is_given_up: false,
            is_shared: false,
            doubted_at: None,
        }
    }

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
            let is_first = self.reserved == 0;
            let mut users = self.quota.users();
            let arrivals = users.entry(self.owner).or_default();
            let elsewhere = arrivals.elsewhere.filter(|_| self.is_shared);
            let (stored, ended) =
                elsewhere.map_or((self.stored, self.ended), |elsewhere| (elsewhere.stored, elsewhere.ended));
            let others = arrivals.reserved.saturating_sub(self.reserved);
            let since = arrivals.ended.saturating_sub(ended);
            let theirs = elsewhere.map_or(0, |elsewhere| elsewhere.reserved);
            let used = stored.saturating_add(others).saturating_add(since).saturating_add(theirs);
            let left = allowed.saturating_sub(used);
            if least <= left {
                self.doubted_at = None;
            } else {
                // The first bytes are reserved in turn, so nothing is in doubt. Later, until the database is asked
                // again, what the others have reserved may have ended, and what has ended here may be in `stored`.
                let may_fit = !is_first && least <= allowed.saturating_sub(stored.saturating_add(others));
                let doubted_at = *self.doubted_at.get_or_insert_with(Instant::now);
                let is_sure = elsewhere.is_none_or(|it| it.read_at >= doubted_at + DOUBTED_FOR);
                if !may_fit || is_sure {
                    return Err(OverQuota { used, allowed });
                }
            }
            self.reserved = most.max(self.reserved).min(left).max(least);
            arrivals.reserved = others.saturating_add(self.reserved);
            drop(users);
            if self.is_shared && !is_first {
                self.quota.tell(self.owner);
            }
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
        if self.is_shared && self.reserved > 0 {
            self.quota.tell(self.owner);
        }
    }
}

impl Store {
    /// The bytes of all files of `owner`'s imports: uploads, fetched files and outputs.
    pub async fn stored_bytes(&self, owner: UserId) -> Result<u64> {
        let bytes: i64 =
            sqlx::query_scalar(STORED_BYTES).bind(owner.to_string()).fetch_one(&self.pool).await?;
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
