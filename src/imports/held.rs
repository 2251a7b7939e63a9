//! Held imports: their owner looks at them before they start. Nothing is sent until then, and after a day they are
//! deleted. A held import has no run and no watcher, so all that is known of it is in the database.

use std::io;

use super::{AcceptError, DeleteError, Deletion, Imports, Owned};
use crate::{
    base::time::UnixMillis,
    csv::Choices,
    inngest::EventSeed,
    store::{self, delete::Deletable},
};

/// How many held imports are deleted at once.
const DELETED_AT_ONCE: u32 = 100;

impl Imports {
    /// Starts a held import, which is read as `choices` say. Changes nothing if it has started before or was
    /// deleted.
    pub async fn start_held(&self, held: &Owned, choices: Choices) -> Result<(), AcceptError> {
        if held.row.held_until.is_none() {
            return Ok(());
        }
        let mut import = (*held.row).clone();
        (import.held_until, import.choices) = (None, choices);
        let seed = EventSeed::of(&import.event_id).ok_or_else(|| store::Error::Corrupt {
            table: "import",
            why: format!("event_id: {}", import.event_id),
        })?;
        let event = self.shared.event_of(&import, &seed, UnixMillis::now());
        // Done in a separate task, as for a new import.
        let imports = self.clone();
        let starting = self.shared.tasks.spawn(store::as_here(async move {
            // One after the other: another start that subscribes would take the news of the one that succeeds.
            let _turn = imports.shared.starting.lock().await;
            let recorded = imports.shared.store.import(import.id).await?;
            if recorded.is_none_or(|recorded| recorded.held_until.is_none()) {
                return Ok(());
            }
            // Subscribed before the write.
            let news = imports.shared.progress.watch(&import.event_id);
            let lease = imports.shared.store.replica();
            match imports.shared.store.start_import(&event, &import.choices, lease.as_deref()).await {
                Ok(true) => imports.begin(import, news, lease).await,
                Ok(false) => {}
                Err(error @ store::Error::InDoubt(_)) => {
                    imports.shared.tasks.spawn(imports.clone().settle_start(import, news, lease));
                    return Err(AcceptError::Store(error));
                }
                Err(error) => return Err(error.into()),
            }
            Ok(())
        }));
        starting.await.map_err(|error| AcceptError::Storage(io::Error::other(error)))?
    }

    /// Deletes the imports that are held until `now`, or shorter, with their files. Returns how many it has
    /// deleted.
    pub async fn delete_held(&self, now: UnixMillis) -> Result<u64, DeleteError> {
        let mut deleted = 0;
        loop {
            let past = self.shared.store.held_until(now, DELETED_AT_ONCE).await?;
            let mut has_deleted = false;
            for held in past {
                // Of an import that was started in the meantime nothing is deleted.
                if self.delete_if(held, Deletable::HeldUntil(now)).await? == Deletion::Done {
                    (deleted, has_deleted) = (deleted + 1, true);
                }
            }
            if !has_deleted {
                return Ok(deleted);
            }
        }
    }
}
