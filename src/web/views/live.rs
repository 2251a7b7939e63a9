//! What is going on now: all of a user's unfinished imports.

use std::time::Duration;

use askama::{Template, filters::HtmlSafe};

use super::{Html, Mark, tab::Tab};
use crate::{
    imports::Snapshot,
    report::{Reading, card::ImportCard, format::grouped},
};

/// More news than these are not let in as cards: the page is made anew.
const MOST_LET_IN: usize = 6;

/// The dashboard's live part; `GET /live` answers it alone.
#[derive(Clone, Debug, Template)]
#[template(path = "fragments/live_section.html")]
pub struct LiveSection {
    pub cards: Vec<ImportCard>,
    /// How many imports are not over and have no card.
    pub more: usize,
    /// Nobody has imported anything yet: then the section says what will be here.
    pub is_first_visit: bool,
    /// Imports that came from elsewhere since the page was opened, newest first. They wait to be let in, so
    /// that nothing moves under anybody's hand.
    pub news: Vec<String>,
    /// An id of the moment at which the page was made, between those that it knew and the news. Empty: there
    /// is no news to tell.
    pub since: String,
    /// Milliseconds until the browser asks again; None once nothing more is expected.
    pub poll_ms: Option<u128>,
    pub tab: Tab,
}

impl HtmlSafe for LiveSection {}

impl LiveSection {
    /// `snapshots`: what the page shows, in its order, newest first. `pace` is how long a browser is to wait
    /// before it asks again.
    #[must_use]
    pub fn new<'s>(
        snapshots: impl IntoIterator<Item = &'s Snapshot>,
        reading: &Reading,
        pace: Duration,
    ) -> Self {
        let cards: Vec<_> =
            snapshots.into_iter().map(|snapshot| ImportCard::new(snapshot, reading)).collect();
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

    /// With so many imports that are not over and have no card. Where no card is live, their number is asked for
    /// at this pace.
    #[must_use]
    pub fn with_more(mut self, more: usize, pace: Duration) -> Self {
        self.more = more;
        self.tab = Tab::of_dashboard(self.going_on());
        self.poll_ms = self.poll_ms.or((more > 0).then_some(pace.as_millis()));
        self
    }

    /// How many imports are not over, with a card or without.
    #[must_use]
    pub fn going_on(&self) -> usize {
        self.cards.iter().filter(|card| !card.state.is_final()).count() + self.more
    }

    /// `976 more are in progress.`
    #[must_use]
    pub fn more_in_words(&self) -> String {
        let verb = if self.more == 1 { "is" } else { "are" };
        format!("{} more {verb} in progress.", grouped(self.more as u64))
    }

    /// The cards on the page, so that one whose import ends stays in its place.
    #[must_use]
    pub fn keep(&self) -> String {
        self.cards.iter().map(|card| card.import_id.as_str()).collect::<Vec<_>>().join(",")
    }

    /// Whether the news can be let in where they are: a first visit becomes another page by them, and many are
    /// better read in the history.
    #[must_use]
    pub fn can_let_in(&self) -> bool {
        !self.is_first_visit && self.news.len() <= MOST_LET_IN
    }

    /// The cards on the page with those that came since before them.
    #[must_use]
    pub fn keep_with_news(&self) -> String {
        let news = self.news.iter().map(String::as_str);
        news.chain(self.cards.iter().map(|card| card.import_id.as_str())).collect::<Vec<_>>().join(",")
    }

    /// Where the browser asks again. Once nothing more is expected it does so only when something else tells
    /// it to: its tab is shown again, or another tab has started an import. The fragment's version follows.
    #[must_use]
    pub fn path(&self) -> String {
        let first = if self.is_first_visit { "&first=true" } else { "" };
        format!("/live?keep={}&since={}{first}&version=", self.keep(), self.since)
    }
}
