//! The dashboard's live section: a bounded number of imports, and the number of the others.

use std::sync::Arc;

use super::{Imports, Snapshot};
use crate::{
    base::{
        ids::{ImportId, UserId},
        time::UnixMillis,
    },
    inngest::RunStatus,
    store,
};

/// What a page already shows.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub shown: Vec<ImportId>,
    /// An id of the time at which the page was made: newer imports are news. None: no import is news.
    pub since: Option<ImportId>,
}

/// A user's unfinished imports, and those that finished while the page showed them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InProgress {
    /// Newest first, and no more than [`MOST_SHOWN`](Self::MOST_SHOWN).
    pub shown: Vec<Snapshot>,
    /// The number of unfinished imports that are neither shown nor news.
    pub more: usize,
    /// Newest first.
    pub news: Vec<ImportId>,
}

impl InProgress {
    /// Few enough cards for a person to read, and for a page to poll.
    pub const MOST_SHOWN: usize = 24;

    /// The time up to which every unfinished import is known: the earliest of their times.
    #[must_use]
    pub fn as_of(&self) -> UnixMillis {
        let unfinished = self.shown.iter().filter(|import| !import.state().is_final());
        unfinished.map(Snapshot::as_of).min().unwrap_or_else(UnixMillis::now)
    }
}

impl Imports {
    /// What the dashboard shows of the imports of `owner`. Imports that the page shows stay, also after their end,
    /// so that no card moves. Free places go to active imports first, then to the newest. Only imports on the page
    /// that have left the memory are read from the database.
    pub async fn in_progress(&self, owner: UserId, seen: &Seen) -> Result<InProgress, store::Error> {
        const MOST_SHOWN: usize = InProgress::MOST_SHOWN;
        let mut unseen: Vec<ImportId> = seen.shown.iter().copied().take(MOST_SHOWN).collect();
        let (mut more, mut news) = (0, Vec::new());
        let (mut shown, mut at_work, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        let _asked = self.shared.snapshots.fresh(owner, None).await?;
        self.shared.snapshots.each_of(owner, |import| {
            if let Some(at) = unseen.iter().position(|id| *id == import.row.id) {
                unseen.swap_remove(at);
                shown.push(Arc::clone(import));
            } else if seen.since.is_some_and(|since| import.row.id > since) {
                news.push(import.row.id);
            } else if !import.state().is_final() {
                more += 1;
                let candidates = if is_at_work(import) { &mut at_work } else { &mut waiting };
                if candidates.len() < MOST_SHOWN {
                    candidates.push(Arc::clone(import));
                }
            }
        });
        // Those that ended before this replica followed the user are not in memory.
        let newest = self.shared.snapshots.newest(owner);
        news.extend(newest.into_iter().filter(|id| seen.since.is_some_and(|since| *id > since)));
        news.retain(|id| !seen.shown.contains(id));
        news.sort_unstable_by_key(|id| std::cmp::Reverse(*id));
        news.dedup();
        let recalled = self.recall(owner, &unseen).await?;
        let room = MOST_SHOWN.saturating_sub(shown.len() + recalled.len());
        let before = shown.len();
        shown.extend(at_work.into_iter().chain(waiting).take(room));
        more -= shown.len() - before;
        let shown = shown.into_iter().map(|import| import.with_progress(&self.shared.progress));
        // No function in this process works on an import that is not in memory.
        let mut shown: Vec<Snapshot> = shown.chain(recalled).collect();
        shown.sort_by_key(|import| std::cmp::Reverse(import.row.id));
        Ok(InProgress { shown, more, news })
    }

    /// Those imports among `ids` that belong to `owner`, from the database.
    pub(super) async fn recall(
        &self,
        owner: UserId,
        ids: &[ImportId],
    ) -> Result<Vec<Snapshot>, store::Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let store = &self.shared.store;
        let mut rows = store.imports(ids).await?;
        rows.retain(|import| import.owner == owner);
        let imports = Snapshot::load(store, rows).await?;
        for over in imports.iter().filter(|import| import.state().is_final()) {
            self.shared.snapshots.keep(over.clone());
        }
        Ok(imports)
    }
}

/// Whether its rows may be counted now. Such a card says more than that of a queued import.
fn is_at_work(import: &Snapshot) -> bool {
    import.runs.iter().any(|run| run.row.ended_at.is_none() && run.row.status != RunStatus::Scheduled)
}
