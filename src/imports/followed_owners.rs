//! Of several replicas: the users whose imports are asked for here. What others tell of their imports is followed, and
//! what is told of anybody else's is passed over, unless this replica watches it.
//!
//! A user is followed from the first request on, so that no change is missed, and then loaded; every reader waits for that
//! (`freshness`). Once the requests for a user have stopped, the user is forgotten, with all imports that this replica does not
//! watch.
//!
//! They are at most the users who, by a session, a token or a guest link, were asked for within `followed_for`. While events
//! cannot be sent, the owners of the events that this replica tries to send are added.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use super::{Imports, Shared};
use crate::base::ids::UserId;

#[derive(Debug)]
pub struct FollowedOwners {
    /// How long each is followed after it was last asked for.
    followed_for: Duration,
    began: Instant,
    owners: RwLock<HashMap<UserId, Arc<Asked>>>,
    /// Those that must be loaded, each with the number of that change.
    added: Mutex<Vec<(UserId, u64)>>,
    has_added: Notify,
}

/// The imports of a user are asked for as long as somebody has this.
#[derive(Debug, Default)]
pub struct Asked {
    /// When they were last asked for, in milliseconds since `began`.
    at: AtomicU64,
}

impl FollowedOwners {
    pub fn new(followed_for: Duration) -> Self {
        Self {
            followed_for,
            began: Instant::now(),
            owners: RwLock::default(),
            added: Mutex::default(),
            has_added: Notify::new(),
        }
    }

    /// Follows `owner` until the returned value is dropped, and `followed_for` longer. `mark` makes readers wait until a new one
    /// is loaded, and returns the number of that change. A poll of a followed one writes only a number.
    pub fn ask(&self, owner: UserId, mark: impl FnOnce() -> u64) -> Arc<Asked> {
        let known = self.owners.read().unwrap_or_else(PoisonError::into_inner).get(&owner).cloned();
        let asked = known.unwrap_or_else(|| {
            let mut owners = self.owners.write().unwrap_or_else(PoisonError::into_inner);
            let add = || {
                // Before anybody can find it here.
                self.added().push((owner, mark()));
                self.has_added.notify_one();
                Arc::default()
            };
            Arc::clone(owners.entry(owner).or_insert_with(add))
        });
        asked.at.store(self.now(), Ordering::Relaxed);
        asked
    }

    pub fn contains(&self, owner: UserId) -> bool {
        self.owners.read().unwrap_or_else(PoisonError::into_inner).contains_key(&owner)
    }

    pub fn all(&self) -> Vec<UserId> {
        self.owners.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// Waits for users that must be loaded.
    pub async fn next_added(&self) -> Vec<(UserId, u64)> {
        self.has_added.notified().await;
        std::mem::take(&mut *self.added())
    }

    /// Forgets those whom nobody asks for any more.
    pub fn forget_unasked(&self) {
        let (now, followed_for) =
            (self.now(), u64::try_from(self.followed_for.as_millis()).unwrap_or(u64::MAX));
        // The write lock keeps requests from taking another clone, so a count of one means that no request holds it.
        self.owners.write().unwrap_or_else(PoisonError::into_inner).retain(|_, asked| {
            Arc::strong_count(asked) > 1
                || now.saturating_sub(asked.at.load(Ordering::Relaxed)) < followed_for
        });
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn added(&self) -> MutexGuard<'_, Vec<(UserId, u64)>> {
        // The list is consistent after each statement.
        self.added.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Imports {
    /// Forgets the imports that nobody asks for any more, until the server stops.
    pub(super) async fn forget_unasked(self) {
        let Shared { snapshots, progress, tasks, .. } = &*self.shared;
        let pause = snapshots.owners().followed_for / 4;
        while tasks.stopping().run_until_cancelled(sleep(pause)).await.is_some() {
            for run in snapshots.forget_unasked().iter().flat_map(|import| &import.runs) {
                progress.expect(&run.row.run_id, false);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const FOLLOWED_FOR: Duration = Duration::from_secs(120);

    #[tokio::test(start_paused = true)]
    async fn an_owner_is_loaded_once_and_followed_while_asked_for_and_a_while_longer() {
        let (owners, owner, other) =
            (FollowedOwners::new(FOLLOWED_FOR), UserId::generate(), UserId::generate());
        let waiter = owners.ask(owner, || 7);
        drop(owners.ask(owner, || unreachable!("it is followed")));
        drop(owners.ask(other, || 8));
        assert_eq!(owners.next_added().now_or_never(), Some(vec![(owner, 7), (other, 8)]));
        tokio::time::sleep(FOLLOWED_FOR / 2).await;
        drop(owners.ask(other, || unreachable!("it is followed")));
        tokio::time::sleep(FOLLOWED_FOR / 2).await;
        owners.forget_unasked();
        assert!(owners.contains(owner), "somebody waits");
        assert!(owners.contains(other), "it was asked for a minute ago");
        drop(waiter);
        owners.forget_unasked();
        assert_eq!(owners.all(), [other]);
        drop(owners.ask(owner, || 9));
        assert_eq!(owners.next_added().now_or_never(), Some(vec![(owner, 9)]));
    }
}
