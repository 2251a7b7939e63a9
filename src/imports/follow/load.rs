//! Loads the imports of users who are followed from now on. What is told is read at the same time (`read`), and does not
//! wait for that.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};

use super::{ASK_AGAIN_AFTER, READ_WITHIN, Unread};
use crate::{
    base::ids::UserId,
    imports::{Imports, Shared, told::TellOwner},
    store,
};

/// So many users are loaded at once.
const LOADED_AT_ONCE: usize = 4;

/// How long those who ask first for the imports of a user wait until their watchers have told what only they know.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// So many of a user's newest imports are known by their ids: a page that was not polled for long says that there are new
/// ones, also if they have ended meanwhile.
const NEWEST: u32 = 24;

impl Imports {
    /// Loads each user who is followed from now on, until the server stops.
    pub(in crate::imports) async fn load_followed(self) {
        let tasks = &self.shared.tasks;
        let turns = Arc::new(Semaphore::new(LOADED_AT_ONCE));
        let owners = self.shared.snapshots.owners();
        while let Some(added) = tasks.stopping().run_until_cancelled(owners.next_added()).await {
            for (owner, change) in added {
                tasks.spawn(self.clone().begin_to_follow(owner, change, Arc::clone(&turns)));
            }
        }
    }

    /// Loads the imports of `owner`, and lets those go on who wait for `change`.
    async fn begin_to_follow(self, owner: UserId, change: u64, turns: Arc<Semaphore>) {
        let Shared { snapshots, replicas, tasks, .. } = &*self.shared;
        let loading = async {
            loop {
                // It is never closed.
                let turn = turns.acquire().await;
                let loaded = store::within(READ_WITHIN, self.shared.read_followed(owner)).await;
                drop(turn);
                let Err(error) = loaded else { break };
                tracing::warn!(%error, "the imports of a user cannot be read");
                sleep(ASK_AGAIN_AFTER).await;
            }
            // Asked only now, so that the answers find the imports in memory.
            snapshots.expect_told(owner);
            replicas.bus().tell(&TellOwner { owner });
            // A watcher that has just died tells nothing.
            let _ = timeout(TOLD_WITHIN, snapshots.until_told(owner)).await;
        };
        if tasks.stopping().run_until_cancelled(loading).await.is_some() {
            snapshots.freshness().clear(owner, None, change);
        }
    }
}

impl Shared {
    /// Reads what is in progress of `owner`, and again what was here when it was last followed.
    async fn read_followed(&self, owner: UserId) -> store::Result<()> {
        self.snapshots.set_newest(owner, self.store.newest_imports(owner, NEWEST).await?);
        let in_progress = self.store.imports_in_progress(&[owner]).await?;
        let mut unread = Unread::default();
        unread.add(in_progress.into_iter().chain(self.snapshots.keys(Some(owner))));
        while !unread.is_empty() {
            let left = self.read_again(unread).await;
            if let Some((_, error)) = left.failed {
                return Err(error);
            }
            // Changed here meanwhile.
            unread = left.again;
        }
        Ok(())
    }
}
