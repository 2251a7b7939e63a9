//! What the dashboard shows live: a bounded number of imports, and how many more there are.

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

/// What a page has already.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub shown: Vec<ImportId>,
    /// Newer imports came after the page and wait to be let in. None: none wait.
    pub since: Option<ImportId>,
}

/// A user's imports that are not over, and those that have ended on the page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InProgress {
    /// Newest first, and no more than [`MOST_SHOWN`](Self::MOST_SHOWN).
    pub shown: Vec<Snapshot>,
    /// How many others are not over, besides the news.
    pub more: usize,
    /// Newest first.
    pub news: Vec<ImportId>,
}

impl InProgress {
    /// A page of cards that a person can take in, and that is small enough to be polled.
    pub const MOST_SHOWN: usize = 24;

    /// When the one was heard of that was not heard of for longest: all of them are known as of then.
    #[must_use]
    pub fn as_of(&self) -> UnixMillis {
        let unfinished = self.shown.iter().filter(|import| !import.state().is_final());
        unfinished.map(Snapshot::as_of).min().unwrap_or_else(UnixMillis::now)
    }
}

impl Imports {
    /// What the dashboard shows of the imports of `owner`. What the page has stays, also once it has ended, so
    /// that no card moves; free places go to imports at work, then to the newest. Read from memory, but for
    /// imports on the page that have left it since they ended.
    pub async fn in_progress(&self, owner: UserId, seen: &Seen) -> Result<InProgress, store::Error> {
        const MOST_SHOWN: usize = InProgress::MOST_SHOWN;
        let mut unseen: Vec<ImportId> = seen.shown.iter().copied().take(MOST_SHOWN).collect();
        let (mut more, mut news) = (0, Vec::new());
        let (mut shown, mut at_work, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
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
        let recalled = self.recall(owner, &unseen).await?;
        let room = MOST_SHOWN.saturating_sub(shown.len() + recalled.len());
        let before = shown.len();
        shown.extend(at_work.into_iter().chain(waiting).take(room));
        more -= shown.len() - before;
        let shown = shown.into_iter().map(|import| import.with_progress(&self.shared.progress));
        // No function works here on an import that is not in memory.
        let mut shown: Vec<Snapshot> = shown.chain(recalled).collect();
        shown.sort_by_key(|import| std::cmp::Reverse(import.row.id));
        Ok(InProgress { shown, more, news })
    }

    /// The imports of `owner` among `ids`, from the database.
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

/// Whether rows of it may be counted now: such cards tell more than those that wait in a queue.
fn is_at_work(import: &Snapshot) -> bool {
    import.runs.iter().any(|run| run.row.ended_at.is_none() && run.row.status != RunStatus::Scheduled)
}
