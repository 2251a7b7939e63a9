//! Deletes all imports of a user whose account is being deleted.

use super::{DeleteError, Deletion, Imports};
use crate::base::ids::{ImportId, UserId};

/// How many imports are read from the database at once.
const PAGE: u32 = 100;

impl Imports {
    /// Cancels the running imports of `owner`, and deletes those that are over. Returns how many are left, because
    /// they are still being cancelled: to be called again until none is.
    pub async fn delete_all(&self, owner: UserId) -> Result<u64, DeleteError> {
        let mut left = 0;
        let mut before: Option<ImportId> = None;
        loop {
            let page = self.older_than(owner, before, PAGE).await?;
            let Some(last) = page.last() else { return Ok(left) };
            before = Some(last.row.id);
            for import in &page {
                if !import.state().is_final() && import.row.cancel_requested_at.is_none() {
                    self.cancel(import).await?;
                }
                match self.delete(import).await? {
                    Deletion::Done | Deletion::NotThere => {}
                    Deletion::NotOver | Deletion::StillCancelling => left += 1,
                }
            }
        }
    }
}
