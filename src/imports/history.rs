//! The history: imports that are over, filtered and paged.

use std::collections::HashSet;

use super::{Imports, Owned, Snapshot};
use crate::{
    base::{
        ids::{ImportId, UserId},
        time::UnixMillis,
    },
    store::{
        self,
        history::{Between, Filter, Order},
        imports::ImportRow,
    },
};

/// Larger totals are not counted, because counting millions is slow and a page does not need them.
const MOST_COUNTED: u64 = 10_000;

/// A search reads names one by one. It stops after this many, and the user can continue it.
pub(super) const MOST_SEARCHED: u32 = 100_000;

/// Where a page begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HistoryCursor {
    #[default]
    Newest,
    /// The page of the imports that are directly older than this one.
    Before(ImportId),
    /// The page of the imports that are directly newer than this one.
    After(ImportId),
}

/// The number of imports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    Exactly(u64),
    MoreThan(u64),
    /// A search did not reach the end.
    Unknown,
}

/// A page of a user's imports.
#[derive(Debug)]
pub struct HistoryPage {
    /// Newest first, without the imports that the page shows live.
    pub imports: Vec<Snapshot>,
    /// The number on all pages.
    pub total: Count,
    /// How many are newer than those of this page, if the total is known.
    pub newer: u64,
    /// The cursors of the pages with newer and with older imports.
    pub newer_after: Option<ImportId>,
    pub older_before: Option<ImportId>,
    /// How far back a search got that can be continued.
    pub searched_to: Option<UnixMillis>,
}

impl Imports {
    /// A page of the imports of `owner` that `filter` accepts, without those in `shown`.
    pub async fn history(
        &self,
        owner: UserId,
        shown: &[Snapshot],
        filter: &Filter,
        cursor: HistoryCursor,
        limit: u32,
    ) -> Result<HistoryPage, store::Error> {
        let hidden: HashSet<ImportId> = shown.iter().map(|import| import.row.id).collect();
        let wanted = limit as usize;
        let more = u32::try_from(hidden.len()).unwrap_or(u32::MAX);
        // One more than shown, which tells whether there is a next page.
        let asked = limit.saturating_add(1).saturating_add(more);
        let (mut between, order) = match cursor {
            HistoryCursor::Newest => (Between::default(), Order::NewestFirst),
            HistoryCursor::Before(id) => {
                (Between { older_than: Some(id), newer_than: None }, Order::NewestFirst)
            }
            HistoryCursor::After(id) => {
                (Between { newer_than: Some(id), older_than: None }, Order::OldestFirst)
            }
        };
        let store = &self.shared.store;
        let mut unsearched = None;
        let mut is_long_search = false;
        if let Some(any_name) = filter.of_any_name() {
            let behind = async |between, order| {
                store.import_behind(owner, &any_name, between, order, MOST_SEARCHED).await
            };
            let behind_newest = behind(Between::default(), Order::NewestFirst).await?;
            is_long_search = behind_newest.is_some();
            unsearched = match cursor {
                HistoryCursor::Newest => behind_newest,
                _ if !is_long_search => None,
                HistoryCursor::Before(_) | HistoryCursor::After(_) => behind(between, order).await?,
            };
            match order {
                Order::NewestFirst => between.newer_than = between.newer_than.max(unsearched),
                Order::OldestFirst => between.older_than = unsearched,
            }
        }
        let mut rows = store.imports_of(owner, filter, between, order, asked).await?;
        rows.retain(|import| !hidden.contains(&import.id));
        if rows.is_empty() && unsearched.is_none() && matches!(cursor, HistoryCursor::After(_)) {
            // Nothing is newer, so the newest page is returned.
            return Box::pin(self.history(owner, shown, filter, HistoryCursor::Newest, limit)).await;
        }
        let goes_further = rows.len() > wanted;
        rows.truncate(wanted);
        if order == Order::OldestFirst {
            rows.reverse();
        }
        if is_long_search {
            let unsearched = unsearched.filter(|_| !goes_further);
            return self.long_search(owner, rows, cursor, goes_further, unsearched).await;
        }
        let count = async |between: Between| {
            let at_most = u32::try_from(MOST_COUNTED + 1).unwrap_or(u32::MAX).saturating_add(more);
            let all = store.count_imports_of(owner, filter, between, at_most).await?;
            let is_counted = |import: &&Snapshot| {
                between.newer_than.is_none_or(|end| import.row.id > end)
                    && between.older_than.is_none_or(|end| import.row.id < end)
                    && filter.takes_unfinished(import.row.id, import.file_name())
            };
            let hidden = shown.iter().filter(is_counted).count() as u64;
            Ok::<_, store::Error>(all.saturating_sub(hidden))
        };
        let newer = match cursor {
            HistoryCursor::Newest => 0,
            HistoryCursor::After(_) if !goes_further => 0,
            // If the page is empty, all imports are newer.
            HistoryCursor::Before(_) | HistoryCursor::After(_) => {
                count(Between { newer_than: rows.first().map(|import| import.id), older_than: None }).await?
            }
        };
        let older = match (cursor, rows.last()) {
            (_, None) => 0,
            (HistoryCursor::Newest | HistoryCursor::Before(_), _) if !goes_further => 0,
            (_, Some(last)) => count(Between { older_than: Some(last.id), newer_than: None }).await?,
        };
        let total = newer + rows.len() as u64 + older;
        let (newer_after, older_before) = beside(&rows, cursor);
        Ok(HistoryPage {
            imports: self.load(owner, rows).await?,
            total: if total > MOST_COUNTED { Count::MoreThan(MOST_COUNTED) } else { Count::Exactly(total) },
            newer,
            newer_after: newer_after.filter(|_| newer > 0),
            older_before: older_before.filter(|_| older > 0),
            searched_to: None,
        })
    }

    /// The newest `limit` imports of `owner` that are older than `before`, newest first, in any state.
    pub async fn older_than(
        &self,
        owner: UserId,
        before: Option<ImportId>,
        limit: u32,
    ) -> Result<Vec<Owned>, store::Error> {
        let between = Between { older_than: before, newer_than: None };
        let (all, order) = (Filter::default(), Order::NewestFirst);
        let rows = self.shared.store.imports_of(owner, &all, between, order, limit).await?;
        Ok(self.load(owner, rows).await?.into_iter().map(Owned::found).collect())
    }

    /// The current state of the imports. For unfinished ones the cache knows more than their rows.
    pub(super) async fn load(
        &self,
        owner: UserId,
        rows: Vec<ImportRow>,
    ) -> Result<Vec<Snapshot>, store::Error> {
        let mut imports = Snapshot::load(&self.shared.store, rows).await?;
        if imports.iter().all(|import| import.state().is_final()) {
            return Ok(imports);
        }
        let _asked = self.shared.snapshots.fresh(owner, None).await?;
        for import in imports.iter_mut().filter(|import| !import.state().is_final()) {
            if let Some(watched) = self.shared.snapshots.get(owner, import.row.id) {
                *import = watched.with_progress(&self.shared.progress);
            }
        }
        Ok(imports)
    }

    /// A page of a search that stopped early, at `unsearched`, if that is why the page is not full.
    async fn long_search(
        &self,
        owner: UserId,
        rows: Vec<ImportRow>,
        cursor: HistoryCursor,
        goes_further: bool,
        unsearched: Option<ImportId>,
    ) -> Result<HistoryPage, store::Error> {
        let (mut newer_after, mut older_before) = beside(&rows, cursor);
        let has_more = goes_further || unsearched.is_some();
        match cursor {
            HistoryCursor::Newest | HistoryCursor::Before(_) => {
                older_before = unsearched.map(ImportId::next).or(older_before).filter(|_| has_more);
                newer_after = newer_after.filter(|_| cursor != HistoryCursor::Newest);
            }
            HistoryCursor::After(_) => {
                newer_after = unsearched.map(ImportId::previous).or(newer_after).filter(|_| has_more);
            }
        }
        let imports = self.load(owner, rows).await?;
        let searched_to = unsearched.map(ImportId::made_at);
        Ok(HistoryPage { imports, total: Count::Unknown, newer: 0, newer_after, older_before, searched_to })
    }
}

/// The cursors of the pages beside one with `rows`.
fn beside(rows: &[ImportRow], cursor: HistoryCursor) -> (Option<ImportId>, Option<ImportId>) {
    let id = |row: &ImportRow| row.id;
    // Beside an empty page is the import that its cursor names.
    match cursor {
        HistoryCursor::Before(end) if rows.is_empty() => (Some(end.previous()), None),
        HistoryCursor::After(end) if rows.is_empty() => (None, Some(end.next())),
        _ => (rows.first().map(id), rows.last().map(id)),
    }
}
