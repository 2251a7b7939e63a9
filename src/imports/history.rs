//! The imports that are over, narrowed and a page at a time.

use std::collections::HashSet;

use super::{Imports, Snapshot};
use crate::{
    ids::{ImportId, UserId},
    store::{
        self,
        history::{Between, Filter, Order},
    },
};

/// More are not counted: on a page nobody needs to know, and counting millions takes its time.
const MOST_COUNTED: u64 = 10_000;

/// Where a page begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    #[default]
    Newest,
    /// With the newest that is older than this one.
    Before(ImportId),
    /// So that it ends with the oldest that is newer than this one.
    After(ImportId),
}

/// How many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    Exactly(u64),
    MoreThan(u64),
}

/// A page of a user's imports.
#[derive(Debug)]
pub struct History {
    /// Newest first; those that are still going on are left out.
    pub imports: Vec<Snapshot>,
    /// On all pages.
    pub total: Count,
    /// How many are newer than those of this page; known if the total is.
    pub newer: u64,
    pub has_newer: bool,
    pub has_older: bool,
}

impl Imports {
    /// A page of the imports of `owner` that are not among `going_on` and that `filter` takes.
    pub async fn history(
        &self,
        owner: UserId,
        going_on: &[Snapshot],
        filter: &Filter,
        place: Place,
        limit: u32,
    ) -> Result<History, store::Error> {
        let hidden: HashSet<ImportId> = going_on.iter().map(|import| import.id).collect();
        let wanted = limit as usize;
        let more = u32::try_from(hidden.len()).unwrap_or(u32::MAX);
        // One more than shown tells whether there is a next page.
        let asked = limit.saturating_add(1).saturating_add(more);
        let (between, order) = match place {
            Place::Newest => (Between::default(), Order::NewestFirst),
            Place::Before(id) => (Between { older_than: Some(id), newer_than: None }, Order::NewestFirst),
            Place::After(id) => (Between { newer_than: Some(id), older_than: None }, Order::OldestFirst),
        };
        let store = &self.shared.store;
        let mut rows = store.imports_of(owner, filter, between, order, asked).await?;
        rows.retain(|import| !hidden.contains(&import.id));
        if rows.is_empty() && matches!(place, Place::After(_)) {
            // Nothing has become newer, so the newest page is the one that is asked for.
            return Box::pin(self.history(owner, going_on, filter, Place::Newest, limit)).await;
        }
        let goes_further = rows.len() > wanted;
        rows.truncate(wanted);
        if order == Order::OldestFirst {
            rows.reverse();
        }
        let count = async |between: Between| {
            let at_most = u32::try_from(MOST_COUNTED + 1).unwrap_or(u32::MAX).saturating_add(more);
            let all = store.count_imports_of(owner, filter, between, at_most).await?;
            let is_counted = |import: &&Snapshot| {
                between.newer_than.is_none_or(|end| import.id > end)
                    && between.older_than.is_none_or(|end| import.id < end)
                    && filter.takes_unfinished(import.id, &import.file_name)
            };
            let hidden = going_on.iter().filter(is_counted).count() as u64;
            Ok::<_, store::Error>(all.saturating_sub(hidden))
        };
        let newer = match place {
            Place::Newest => 0,
            Place::After(_) if !goes_further => 0,
            // Of a page with nothing on it all are newer.
            Place::Before(_) | Place::After(_) => {
                count(Between { newer_than: rows.first().map(|import| import.id), older_than: None }).await?
            }
        };
        let older = match (place, rows.last()) {
            (_, None) => 0,
            (Place::Newest | Place::Before(_), _) if !goes_further => 0,
            (_, Some(last)) => count(Between { older_than: Some(last.id), newer_than: None }).await?,
        };
        let total = newer + rows.len() as u64 + older;
        Ok(History {
            imports: Snapshot::load(store, rows).await?,
            total: if total > MOST_COUNTED { Count::MoreThan(MOST_COUNTED) } else { Count::Exactly(total) },
            newer,
            has_newer: newer > 0,
            has_older: older > 0,
        })
    }
}
