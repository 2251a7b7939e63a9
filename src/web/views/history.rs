//! The history: a dense table.

use crate::{
    imports::Count,
    report::{format::grouped, history::HistoryRow, moment::Moment},
};

/// One page of a user's finished imports, newest first.
#[derive(Clone, Debug)]
pub struct HistorySection<'a> {
    pub rows: Vec<HistoryRow<'a>>,
    pub filter: HistoryFilter,
    /// The query that an import's page leads back with, appended to the address of each import. Empty for the
    /// newest page of all imports.
    pub way_back: String,
    /// The number of imports on all pages. Above a limit only the limit is known.
    pub total: Count,
    /// The number of imports on pages before this one.
    pub newer: u64,
    /// The addresses of the neighbouring pages.
    pub newer_page: Option<String>,
    pub older_page: Option<String>,
    /// How far back a search got that can be continued.
    pub searched_to: Option<Moment>,
    /// Whether the search continues with newer imports instead of older ones.
    pub searches_newer: bool,
}

/// The filter of the history, as its form shows it.
#[derive(Clone, Debug, Default)]
pub struct HistoryFilter {
    pub states: Vec<Choice>,
    pub times: Vec<Choice>,
    /// As it was typed.
    pub name: String,
    /// Whether the filter excludes anything.
    pub is_narrow: bool,
}

/// One option of a field.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    pub value: &'static str,
    pub label: &'static str,
    pub is_chosen: bool,
}

impl HistorySection<'_> {
    /// The count beside the heading. An empty history has none: the imports that finish while the page is open are
    /// above it, as cards.
    #[must_use]
    pub fn count(&self) -> Option<String> {
        match self.total {
            _ if self.is_empty() => None,
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

    /// Whether the user has no finished import yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.total == Count::Exactly(0) && !self.filter.is_narrow
    }

    #[must_use]
    pub fn has_no_match(&self) -> bool {
        self.total == Count::Exactly(0) && self.filter.is_narrow
    }
}
