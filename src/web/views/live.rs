//! All unfinished imports of a user.

use std::time::Duration;

use askama::{Template, filters::HtmlSafe};

use super::{Html, Mark, tab::Tab};
use crate::{
    base::ids::ImportId,
    imports::{ImportState, Snapshot},
    report::{ReportInputs, card::ImportCard, format::grouped},
};

/// With more news than this, the page is reloaded instead of adding cards.
const MOST_LET_IN: usize = 6;

/// The dashboard's live section, which `GET /live` returns alone.
#[derive(Clone, Debug, Template)]
#[template(path = "fragments/live_section.html")]
pub struct LiveSection<'a> {
    pub cards: Vec<ImportCard<'a>>,
    /// The number of unfinished imports without a card.
    pub more: usize,
    /// Whether the user has no import yet: then the section says what will be here.
    pub is_first_visit: bool,
    /// Imports that were added elsewhere since the page was opened, newest first. They are shown on request,
    /// so that nothing moves while the page is in use.
    pub news: Vec<ImportId>,
    /// An id of the time at which the page was made, between its imports and the news. Empty if news are not
    /// reported.
    pub since: String,
    /// Milliseconds until the browser polls again; None once nothing more is expected.
    pub poll_ms: Option<u128>,
    pub tab: Tab,
}

impl HtmlSafe for LiveSection<'_> {}

impl<'a> LiveSection<'a> {
    /// `snapshots` are the imports that the page shows, newest first. `pace` is how long a browser waits
    /// before it polls again.
    #[must_use]
    pub fn new(
        snapshots: impl IntoIterator<Item = &'a Snapshot>,
        inputs: &ReportInputs,
        pace: Duration,
    ) -> Self {
        let cards: Vec<_> = snapshots.into_iter().map(|snapshot| ImportCard::new(snapshot, inputs)).collect();
        let is_live = cards.iter().any(|card| card.expects_news);
        let going_on = cards.iter().filter(|card| !card.state.is_final()).count();
        Self {
            cards,
            more: 0,
            is_first_visit: false,
            news: Vec::new(),
            since: String::new(),
            poll_ms: is_live.then_some(pace.as_millis()),
            tab: Tab::of_dashboard(going_on),
        }
    }

    /// Sets the number of unfinished imports without a card. If no card is live, the browser polls for that
    /// number at this pace.
    #[must_use]
    pub fn with_more(mut self, more: usize, pace: Duration) -> Self {
        self.more = more;
        self.tab = Tab::of_dashboard(self.going_on());
        self.poll_ms = self.poll_ms.or((more > 0).then_some(pace.as_millis()));
        self
    }

    /// The number of unfinished imports, with or without a card.
    #[must_use]
    pub fn going_on(&self) -> usize {
        self.cards.iter().filter(|card| !card.state.is_final()).count() + self.more
    }

    /// What the section shows, with the number of each.
    #[must_use]
    pub fn kinds(&self) -> Vec<(&'static str, usize)> {
        let is_held = |card: &&ImportCard<'_>| card.state == ImportState::Held;
        let held = self.cards.iter().filter(is_held).count();
        let ended = self.cards.iter().filter(|card| card.state.is_final() && !is_held(card)).count();
        let kinds = [("In progress", self.going_on()), ("Not started", held), ("Just finished", ended)];
        kinds.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    /// `976 more are in progress.`
    #[must_use]
    pub fn more_in_words(&self) -> String {
        let verb = if self.more == 1 { "is" } else { "are" };
        format!("{} more {verb} in progress.", grouped(self.more as u64))
    }

    /// The imports with cards on the page, so that a card stays in its place when its import ends.
    #[must_use]
    pub fn keep(&self) -> String {
        joined(self.cards.iter().map(|card| card.import_id))
    }

    /// Whether the news can be added as cards. On a first visit they change the whole page, and many are
    /// better read in the history.
    #[must_use]
    pub fn can_let_in(&self) -> bool {
        !self.is_first_visit && self.news.len() <= MOST_LET_IN
    }

    /// The imports with cards, after the news.
    #[must_use]
    pub fn keep_with_news(&self) -> String {
        joined(self.news.iter().copied().chain(self.cards.iter().map(|card| card.import_id)))
    }

    /// The address of the next poll, to which the fragment's version is appended. Once nothing more is
    /// expected, the browser polls only on another occasion: its tab is shown again, or another tab has
    /// started an import.
    #[must_use]
    pub fn path(&self) -> String {
        let first = if self.is_first_visit { "&first=true" } else { "" };
        format!("/live?keep={}&since={}{first}&version=", self.keep(), self.since)
    }
}

fn joined(ids: impl Iterator<Item = ImportId>) -> String {
    ids.map(|id| id.to_string()).collect::<Vec<_>>().join(",")
}
