//! How far the imports in memory can be trusted that other replicas watch.
//!
//! A user who did something at one replica may ask another one next. So a reader waits for imports that have changed elsewhere
//! and are being read again, which takes as long as two statements. A replica that was paused or cut off knows nothing of
//! what happened since: it shows no import until it has caught up, because a page must not go back in time.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use crate::{
    base::ids::{ImportId, UserId},
    store,
};

/// How long a reader waits.
const FRESH_WITHIN: Duration = Duration::from_secs(2);
/// A replica hears all that the others tell, and itself once a second. One that has not for so long was paused or cut off.
const CURRENT_FOR: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub struct Freshness {
    /// There is no other replica.
    is_alone: bool,
    stale: Mutex<Stale>,
    read: Notify,
}

/// The first and the last change that are not read yet, by their numbers. A reader waits only for changes from before it
/// came, so that further ones cannot make it wait for ever.
#[derive(Clone, Copy, Debug)]
struct UnreadChanges {
    first: u64,
    last: u64,
}

impl UnreadChanges {
    fn new(change: u64) -> Self {
        Self { first: change, last: change }
    }

    /// What is left once this change is read.
    fn after(self, change: u64) -> Option<Self> {
        (self.last > change).then(|| Self { first: self.first.max(change.saturating_add(1)), ..self })
    }
}

#[derive(Debug, Default)]
struct Stale {
    /// Of an import, or of a user whose imports are all being loaded.
    unread: BTreeMap<(UserId, Option<ImportId>), UnreadChanges>,
    changes: u64,
    /// Messages were missed, and all that is followed is being read.
    all: Option<UnreadChanges>,
    /// All that the others told before this moment is known.
    current_at: Option<Instant>,
}

impl Stale {
    fn is_current(&self) -> bool {
        self.current_at.is_some_and(|at| at.elapsed() < CURRENT_FOR)
    }
}

impl Freshness {
    pub fn new(is_alone: bool) -> Self {
        Self { is_alone, stale: Mutex::default(), read: Notify::new() }
    }

    /// All that the others told before this moment is marked.
    pub fn set_current(&self, at: Instant) {
        self.stale().current_at = Some(at);
        self.read.notify_waiters();
    }

    /// From now on every reader waits until all that is followed is read. Returns the number of the change.
    pub fn mark_all(&self) -> u64 {
        let mut stale = self.stale();
        stale.changes += 1;
        let change = stale.changes;
        stale.all.get_or_insert(UnreadChanges::new(change)).last = change;
        change
    }

    /// All that is followed is read as it was at this change or later.
    pub fn clear_all(&self, change: u64) {
        let mut stale = self.stale();
        stale.all = stale.all.and_then(|unread| unread.after(change));
        drop(stale);
        self.read.notify_waiters();
    }

    /// From now on a reader of this import, or of any of `owner`, waits until it is read again. Returns the number of the
    /// change.
    pub fn mark(&self, owner: UserId, import: Option<ImportId>) -> u64 {
        let mut stale = self.stale();
        stale.changes += 1;
        let change = stale.changes;
        stale.unread.entry((owner, import)).or_insert(UnreadChanges::new(change)).last = change;
        change
    }

    /// Nobody waits any more for what it was at this change: it is read, or can never be.
    pub fn clear(&self, owner: UserId, import: Option<ImportId>, change: u64) {
        let mut stale = self.stale();
        if let Some(unread) = stale.unread.remove(&(owner, import))
            && let Some(left) = unread.after(change)
        {
            stale.unread.insert((owner, import), left);
        }
        drop(stale);
        self.read.notify_waiters();
    }

    /// Waits until the import, or every one of `owner`, is read again, if it is stale.
    ///
    /// # Errors
    /// If this replica does not know what has happened on the others, because it or the database was away.
    pub async fn of(&self, owner: UserId, import: Option<ImportId>) -> store::Result<()> {
        self.until(|stale, asked| {
            let is_read = |unread: &UnreadChanges| unread.first > asked;
            match import {
                Some(_) => {
                    [import, None].iter().all(|of| stale.unread.get(&(owner, *of)).is_none_or(is_read))
                }
                None => stale
                    .unread
                    .range((owner, None)..=(owner, Some(ImportId::MAX)))
                    .all(|(_, unread)| is_read(unread)),
            }
        })
        .await
    }

    async fn until(&self, is_fresh: impl Fn(&Stale, u64) -> bool) -> store::Result<()> {
        if self.is_alone {
            return Ok(());
        }
        // The last change that the reader waits for. Of a replica that was paused, what was told before is marked only once it
        // is current again.
        let mut asked = None;
        let mut is_ready = |stale: &Stale| {
            stale.is_current() && {
                let asked = *asked.get_or_insert(stale.changes);
                stale.all.is_none_or(|unread| unread.first > asked) && is_fresh(stale, asked)
            }
        };
        if is_ready(&self.stale()) {
            return Ok(());
        }
        let wait = async {
            loop {
                // Before the look, so that no read in between is missed.
                let read = self.read.notified();
                if is_ready(&self.stale()) {
                    return;
                }
                read.await;
            }
        };
        timeout(FRESH_WITHIN, wait).await.map_err(|_| store::Error::NoAnswer)
    }

    fn stale(&self) -> MutexGuard<'_, Stale> {
        // The map is consistent after each statement.
        self.stale.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn a_reader_waits_for_the_last_change_and_not_for_imports_of_others() {
        let (freshness, owner) = (Freshness::new(false), UserId::generate());
        let import = Some(ImportId::generate());
        freshness.set_current(Instant::now());
        freshness.of(owner, import).await.unwrap();
        let first = freshness.mark(owner, import);
        let last = freshness.mark(owner, import);
        freshness.of(UserId::generate(), None).await.unwrap();
        let mut reader = pin!(freshness.of(owner, None));
        assert!(poll!(&mut reader).is_pending());
        freshness.clear(owner, import, first);
        assert!(poll!(&mut reader).is_pending(), "it has changed again since");
        freshness.mark(owner, import);
        freshness.clear(owner, import, last);
        reader.await.unwrap();
        assert!(poll!(pin!(freshness.of(owner, import))).is_pending(), "who comes later waits for the rest");
    }

    #[tokio::test]
    async fn a_reader_of_one_import_waits_until_all_of_its_owner_are_loaded() {
        let (freshness, owner) = (Freshness::new(false), UserId::generate());
        freshness.set_current(Instant::now());
        let loaded = freshness.mark(owner, None);
        for import in [None, Some(ImportId::generate())] {
            freshness.of(UserId::generate(), import).await.unwrap();
            assert!(poll!(pin!(freshness.of(owner, import))).is_pending());
        }
        freshness.clear(owner, None, loaded);
        freshness.of(owner, Some(ImportId::generate())).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_import_that_cannot_be_read_is_not_shown_as_it_was() {
        let (freshness, owner) = (Freshness::new(false), UserId::generate());
        let import = Some(ImportId::generate());
        freshness.set_current(Instant::now());
        freshness.mark(owner, import);
        assert!(freshness.of(owner, import).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_came_before_a_paused_replica_has_caught_up_waits_for_what_was_told_meanwhile() {
        let (freshness, owner) = (Freshness::new(false), UserId::generate());
        let import = Some(ImportId::generate());
        freshness.set_current(Instant::now());
        tokio::time::sleep(CURRENT_FOR).await;
        let mut reader = pin!(freshness.of(owner, import));
        assert!(poll!(&mut reader).is_pending());
        let told = freshness.mark(owner, import);
        freshness.set_current(Instant::now());
        assert!(poll!(&mut reader).is_pending(), "it is not read yet");
        freshness.mark(owner, import);
        freshness.clear(owner, import, told);
        assert!(reader.await.is_ok(), "what was told later is not waited for");
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_hear_the_others_shows_nothing_until_all_is_read() {
        let (freshness, owner) = (Freshness::new(false), UserId::generate());
        let import = Some(ImportId::generate());
        let read = || freshness.of(owner, import);
        assert!(read().await.is_err(), "nothing was heard yet");
        freshness.set_current(Instant::now());
        assert!(read().await.is_ok());
        tokio::time::sleep(CURRENT_FOR).await;
        assert!(read().await.is_err(), "it was cut off");
        let missed = freshness.mark_all();
        freshness.set_current(Instant::now());
        {
            let mut reader = pin!(read());
            assert!(poll!(&mut reader).is_pending(), "what it missed is being read");
            freshness.clear_all(missed);
            assert!(reader.await.is_ok());
        }
        let alone = Freshness::new(true);
        assert!(alone.of(owner, None).await.is_ok(), "nobody else changes anything");
    }
}
