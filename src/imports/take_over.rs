//! The watches of this replica among several: each goes with the lease that its import was recorded with. What nobody
//! watches, because a replica has ended, was cut off or was paused, another one takes over.

use std::{collections::HashSet, time::Duration};

use tokio::time::{Instant, sleep};

use super::{Imports, Snapshot, watch};
use crate::{
    base::ids::ImportId,
    store::{self, imports::ImportRow},
};

/// How often imports without a watcher are searched for.
const SEARCH_EVERY: Duration = Duration::from_secs(1);
/// So few are taken at once that several replicas share what one has left.
const AT_ONCE: u32 = 50;
const AGAIN_AFTER: Duration = Duration::from_millis(20);
/// How often this replica compares its watches with those that it has according to the database.
const COMPARE_EVERY: Duration = Duration::from_secs(5);
/// How long a statement may take. A search that hangs is not worth more.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

impl Imports {
    /// Ends watches with the lease that they belong to, until the server stops. Depends on no database.
    pub(super) async fn follow_lease(self) {
        let mut tenure = self.shared.replicas.tenure();
        let stopping = self.shared.tasks.stopping();
        loop {
            let lease = tenure.borrow_and_update().id.clone();
            self.shared.snapshots.set_lease(lease);
            match stopping.run_until_cancelled(tenure.changed()).await {
                Some(Ok(())) => {}
                None | Some(Err(_)) => return,
            }
        }
    }

    /// Watches what nobody watches until the server stops.
    pub(super) async fn take_over(self) {
        let stopping = self.shared.tasks.stopping();
        let (mut compared_at, mut unwatched) = (Instant::now(), HashSet::new());
        loop {
            let pause = match store::within(ANSWER_WITHIN, self.watch_left()).await {
                Ok(some) if some == AT_ONCE as usize => AGAIN_AFTER,
                Ok(_) => SEARCH_EVERY,
                Err(error) => {
                    tracing::warn!(%error, "imports that nobody watches cannot be searched for");
                    SEARCH_EVERY
                }
            };
            if compared_at.elapsed() >= COMPARE_EVERY {
                compared_at = Instant::now();
                if let Err(error) = store::within(ANSWER_WITHIN, self.leave_unwatched(&mut unwatched)).await {
                    tracing::warn!(%error, "watches cannot be compared with the database");
                }
            }
            if stopping.run_until_cancelled(sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// Watches some of the imports that nobody watches. Returns how many.
    async fn watch_left(&self) -> store::Result<usize> {
        let Some(lease) = self.shared.store.replica() else { return Ok(0) };
        let rows = self.shared.store.claim_watches(&lease, AT_ONCE).await?;
        let count = rows.len();
        let load = async |rows: Vec<ImportRow>| Snapshot::load(&self.shared.store, rows).await;
        let imports = match load(rows.clone()).await {
            Err(error) if !store::is_away(&error) => {
                let mut imports = Vec::new();
                for row in rows {
                    let id = row.id;
                    match load(vec![row]).await {
                        Ok(some) => imports.extend(some),
                        Err(error) => tracing::error!(import = %id, %error, "an import cannot be watched"),
                    }
                }
                imports
            }
            imports => imports?,
        };
        for import in imports {
            tracing::info!(import = %import.row.id, "this replica watches an import that nobody watched");
            let news = self.shared.progress.watch(&import.row.event_id);
            self.watch(import, news, watch::Begin::Recalled, Some(lease.clone()));
        }
        Ok(count)
    }

    /// Leaves to any replica what this one has according to the database and does not watch, as after a claim whose
    /// answer was lost. `before` has those that were found the last time: a watch may be about to begin.
    async fn leave_unwatched(&self, before: &mut HashSet<ImportId>) -> store::Result<()> {
        let Some(lease) = self.shared.store.replica() else { return Ok(()) };
        let mut unwatched: HashSet<ImportId> =
            self.shared.store.watches_of(&lease).await?.into_iter().collect();
        unwatched.retain(|import| !self.shared.snapshots.is_watched(*import));
        let left: Vec<ImportId> =
            unwatched.iter().filter(|import| before.contains(import)).copied().collect();
        *before = unwatched;
        if !left.is_empty() {
            tracing::warn!(imports = left.len(), "imports were not watched by the replica that should");
            self.shared.store.leave_watches(&lease, &left).await?;
        }
        Ok(())
    }
}
