//! Resolves imports whose recording or start the database did not confirm: they are watched, or their file is
//! removed.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::Imports;
use crate::{
    base::ids::ImportId,
    progress::Subscription,
    store::{self, imports::ImportRow},
};

/// The pause before a database that does not answer is asked again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(2);

impl Imports {
    /// Asks until the database says whether `import` is recorded, or until the server stops. A recorded
    /// import then starts normally; the file of an unrecorded one is removed.
    ///
    /// If the server stops earlier, the next start resumes the import, or moves its file to the quarantine; from a bucket a
    /// sweep deletes it.
    pub(super) async fn settle(self, import: ImportRow, news: Subscription, lease: Option<Arc<str>>) {
        let id = import.id;
        match self.answer(id, || self.shared.store.is_recorded(&import)).await {
            None => {}
            Some(true) => {
                tracing::info!(import = %id, "an import was recorded although its commit was not confirmed");
                self.begin(import, news, lease).await;
            }
            Some(false) => {
                if let Err(error) = self.discard(id).await {
                    tracing::warn!(import = %id, %error, "cannot remove the file of an import that was not recorded");
                }
            }
        }
    }

    /// Asks until the database says whether a held `import` has started, which then begins, or until the server
    /// stops.
    pub(super) async fn settle_start(self, import: ImportRow, news: Subscription, lease: Option<Arc<str>>) {
        let id = import.id;
        if self.answer(id, || self.shared.store.has_started(id)).await == Some(true) {
            tracing::info!(import = %id, "an import has started although its commit was not confirmed");
            self.begin(import, news, lease).await;
        }
    }

    /// The database's answer about `import`; None if the server stops before.
    async fn answer<F: Future<Output = store::Result<bool>>>(
        &self,
        import: ImportId,
        ask: impl Fn() -> F,
    ) -> Option<bool> {
        let answer = async {
            loop {
                match ask().await {
                    Ok(answer) => return answer,
                    Err(error) => {
                        tracing::warn!(%import, %error, "it is not known yet whether an import was recorded");
                    }
                }
                sleep(ASK_AGAIN_AFTER).await;
            }
        };
        self.shared.tasks.stopping().run_until_cancelled(answer).await
    }
}
