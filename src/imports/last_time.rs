//! "As last time": what people chose for a file is offered for the next one with the same header.

use super::{Imports, Snapshot};
use crate::{
    base::time::UnixMillis,
    csv::Choices,
    results::findings,
    store::{
        self,
        imports::{ImportRow, RetryOf},
        last_choices::HeaderHash,
    },
};

/// How many imports back the one is searched for whose header was detected.
const MOST_STEPS_BACK: usize = 10;

impl Imports {
    /// What the owner of `import` chose last for a file with this header. None if nothing, or if this import is
    /// read, or was run again, that way.
    pub async fn as_last_time(
        &self,
        import: &Snapshot,
        header: &HeaderHash,
    ) -> Result<Option<Choices>, store::Error> {
        // Failed records are read as before.
        if !import.row.choices.is_empty() || import.row.failed_rows_of.is_some() {
            return Ok(None);
        }
        let last = self.shared.store.last_choices(import.row.owner, header).await?;
        Ok(last.filter(|choices| import.retry(RetryOf::All, choices).is_none()))
    }

    /// Remembers `choices` for files with the header of `import`. A failure is only logged, because nothing
    /// depends on it.
    pub async fn remember_choices(&self, import: &ImportRow, header: &HeaderHash, choices: &Choices) {
        let (owner, now) = (import.owner, UnixMillis::now());
        if let Err(error) = self.shared.store.remember_choices(owner, header, choices, now).await {
            tracing::warn!(import = %import.id, %error, "cannot remember how a file is to be read");
        }
    }

    /// Remembers the choices of a retry of `parent`.
    pub(super) async fn remember_retry(&self, parent: &Snapshot, choices: &Choices) {
        if choices.is_empty() {
            return;
        }
        match self.detected_header(parent).await {
            Ok(Some(header)) => self.remember_choices(&parent.row, &header, choices).await,
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(import = %parent.row.id, %error, "cannot remember how a file is to be read");
            }
        }
    }

    /// The header of an import's file as it was detected, by this import or by the one that it is a retry of:
    /// the next such file will have the same.
    async fn detected_header(&self, import: &Snapshot) -> Result<Option<HeaderHash>, store::Error> {
        let mut detected = import.clone();
        for _ in 0..MOST_STEPS_BACK {
            if detected.row.choices.is_empty() {
                break;
            }
            let Some(parent) = &detected.row.parent else { return Ok(None) };
            let Some(parent) = self.recall(import.row.owner, &[parent.id]).await?.pop() else {
                return Ok(None);
            };
            detected = parent;
        }
        let Some(run) = detected.runs.iter().find(|run| run.is_ours()) else { return Ok(None) };
        findings::header(&self.shared.store, &run.row.run_id).await
    }
}
