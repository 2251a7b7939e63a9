//! Lists of imports for programs: of a user, in any state, newest first.

use super::{ImportState, Imports, Owned, history::MOST_SEARCHED};
use crate::{
    base::{
        ids::{ImportId, UserId},
        time::UnixMillis,
    },
    store::{
        self,
        history::{Between, Filter, Order, StateFilter},
    },
};

/// Which imports a list has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// Those in a state that is written so.
    pub state: Option<ImportState>,
    /// Only those that are over and have failed rows.
    pub has_failed_rows: bool,
    /// Only those made at or after, and at or before, these times.
    pub since: Option<UnixMillis>,
    pub until: Option<UnixMillis>,
    /// Only those with this text in their file's name.
    pub name: String,
}

/// A part of a list.
#[derive(Debug)]
pub struct ListPage {
    /// Newest first.
    pub imports: Vec<Owned>,
    /// The next page has the imports that are older than this one. None: this is the last.
    pub next: Option<ImportId>,
}

impl ListFilter {
    fn in_state(&self, state: Option<StateFilter>) -> Filter {
        let filter = Filter::new(state, self.since, &self.name).until(self.until);
        if self.has_failed_rows { filter.with_failed_rows() } else { filter }
    }

    /// The imports that are found in the database; None if an import in this state is not over. A list in any state
    /// finds those that are not over there too.
    fn recorded(&self) -> Option<Filter> {
        let state = match self.state {
            None => None,
            Some(ImportState::Accepted | ImportState::Sent | ImportState::Running) => return None,
            Some(ImportState::Held) => Some(StateFilter::Held),
            Some(ImportState::NoFunction | ImportState::GivenUp) => Some(StateFilter::NoFunction),
            Some(ImportState::Lost) => Some(StateFilter::Lost),
            Some(ImportState::Completed) => Some(StateFilter::Completed),
            Some(ImportState::Failed) => Some(StateFilter::Failed),
            Some(ImportState::Cancelled) => Some(StateFilter::Cancelled),
            Some(ImportState::Skipped) => Some(StateFilter::Skipped),
        };
        Some(self.in_state(state))
    }

    /// Whether imports in this state can be unfinished. They are in memory, and which state they are in is only
    /// known there.
    fn is_of_unfinished(&self) -> bool {
        let states =
            [ImportState::Accepted, ImportState::Sent, ImportState::NoFunction, ImportState::Running];
        self.state.is_some_and(|state| states.iter().any(|known| known.as_str() == state.as_str()))
    }
}

impl Imports {
    /// At most `limit` imports of `owner` that `filter` accepts and that are older than `before`. A search by name
    /// may return fewer although there are more, because it does not read too many names at once.
    pub async fn listed(
        &self,
        owner: UserId,
        filter: &ListFilter,
        before: Option<ImportId>,
        limit: u32,
    ) -> Result<ListPage, store::Error> {
        let (mut found, mut unsearched) = (Vec::new(), None);
        let _asked = self.shared.snapshots.fresh(owner, None).await?;
        // One more than shown, which tells whether there is a next page.
        let asked = limit.saturating_add(1);
        if let Some(recorded) = filter.recorded() {
            let mut between = Between { older_than: before, newer_than: None };
            if let Some(any_name) = recorded.of_any_name() {
                let (store, order) = (&self.shared.store, Order::NewestFirst);
                unsearched = store.import_behind(owner, &any_name, between, order, MOST_SEARCHED).await?;
                between.newer_than = unsearched;
            }
            let rows =
                self.shared.store.imports_of(owner, &recorded, between, Order::NewestFirst, asked).await?;
            found = self.load(owner, rows).await?;
        }
        if let Some(state) = filter.state.filter(|_| filter.is_of_unfinished()) {
            let of_any_state = filter.in_state(None);
            let mut unfinished = Vec::new();
            self.shared.snapshots.each_of(owner, |import| {
                let id = import.row.id;
                if unfinished.len() <= limit as usize
                    && before.is_none_or(|before| id < before)
                    && unsearched.is_none_or(|end| id > end)
                    && !import.state().is_final()
                    && import.state().as_str() == state.as_str()
                    && of_any_state.takes_unfinished(id, import.file_name())
                {
                    unfinished.push(import.with_progress(&self.shared.progress));
                }
            });
            found.extend(unfinished);
            found.sort_by_key(|import| std::cmp::Reverse(import.row.id));
            found.dedup_by_key(|import| import.row.id);
        }
        let goes_further = found.len() > limit as usize;
        found.truncate(limit as usize);
        let next = if goes_further {
            found.last().map(|import| import.row.id)
        } else {
            // The one that was not searched belongs to the next page.
            unsearched.map(ImportId::next)
        };
        Ok(ListPage { imports: found.into_iter().map(Owned::found).collect(), next })
    }
}
