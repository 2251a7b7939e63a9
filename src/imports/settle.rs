//! Resolves imports whose recording the database did not confirm: they are watched, or their file is removed.

use std::time::Duration;

use tokio::time::sleep;

use super::Imports;
use crate::{progress::Subscription, store::imports::ImportRow};

/// The pause before a database that does not answer is asked again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(2);

impl Imports {
    /// Asks until the database says whether `import` is recorded, or until the server stops. A recorded
    /// import then starts normally; the file of an unrecorded one is removed.
    ///
    /// If the server stops earlier, the next start resumes the import, or moves its file to the quarantine.
    pub(super) async fn settle(self, import: ImportRow, news: Subscription) {
        let id = import.id;
        let answer = async {
            loop {
                match self.shared.store.is_recorded(&import).await {
                    Ok(is_recorded) => return is_recorded,
                    Err(error) => {
                        tracing::warn!(import = %id, %error, "it is not known yet whether an import was recorded");
                    }
                }
                sleep(ASK_AGAIN_AFTER).await;
            }
        };
        match self.shared.tasks.stopping().run_until_cancelled(answer).await {
            None => {}
            Some(true) => {
                tracing::info!(import = %id, "an import was recorded although its commit was not confirmed");
                self.begin(import, news).await;
            }
            Some(false) => {
                if let Err(error) = self.discard(id).await {
                    tracing::warn!(import = %id, %error, "cannot remove the file of an import that was not recorded");
                }
            }
        }
    }
}
