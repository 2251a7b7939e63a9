//! What is done: a dense table.

use crate::{
    imports::Count,
    report::{format::grouped, history::HistoryRow, moment::Moment},
};

/// One page of a user's finished imports, newest first.
#[derive(Clone, Debug)]
pub struct HistorySection {
    pub rows: Vec<HistoryRow>,
    pub filter: HistoryFilter,
    /// Behind the address of each import: the query that its page leads back with. Empty for the newest page of
    /// all imports.
    pub way_back: String,
    /// How many there are on all pages; of no more than so many it is known how many.
    pub total: Count,
    /// How many are on pages before this one.
    pub newer: u64,
    /// Where the pages beside this one are.
    pub newer_page: Option<String>,
    pub older_page: Option<String>,
    /// Up to when a search got that may go on.
    pub searched_to: Option<Moment>,
    /// It goes on with newer ones, not with older ones.
    pub searches_newer: bool,
}

/// What the history is narrowed to, as its form has it.
#[derive(Clone, Debug, Default)]
pub struct HistoryFilter {
    pub states: Vec<Choice>,
    pub times: Vec<Choice>,
    /// As it was typed.
    pub name: String,
    /// Something is left out.
    pub is_narrow: bool,
}

/// One of what a field of the form offers.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    pub value: &'static str,
    pub label: &'static str,
    pub is_chosen: bool,
}

impl HistorySection {
    /// Beside the heading.
    #[must_use]
    pub fn count(&self) -> Option<String> {
        match self.total {
            Count::Exactly(count) => Some(grouped(count)),
            Count::MoreThan(count) => Some(format!("more than {}", grouped(count))),
            Count::Unknown => None,
        }
    }

    /// Which of all imports this page shows: `51 to 100 of 214`.
    #[must_use]
    pub fn range(&self) -> Option<String> {
        let Count::Exactly(total) = self.total else { return None };
        if self.rows.is_empty() {
            return None;
        }
        let last = self.newer + self.rows.len() as u64;
        Some(format!("{} to {} of {}", grouped(self.newer + 1), grouped(last), grouped(total)))
    }

    /// There is none yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.total == Count::Exactly(0) && !self.filter.is_narrow
    }

    #[must_use]
    pub fn has_no_match(&self) -> bool {
        self.total == Count::Exactly(0) && self.filter.is_narrow
    }
}
