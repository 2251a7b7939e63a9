//! What is going on now: all of a user's unfinished imports.

use std::time::Duration;

use askama::{Template, filters::HtmlSafe};

use super::{
    Reading,
    block::Block,
    moment::Moment,
    panel::{Actions, Place, as_of},
};
use crate::{
    imports::{ImportState, Snapshot},
    web::format::bytes,
};

/// The dashboard's live part; `GET /live` answers it alone.
#[derive(Clone, Debug, Template)]
#[template(path = "fragments/live_section.html")]
pub struct LiveSection {
    pub cards: Vec<ImportCard>,
    /// Milliseconds until the browser asks again; None once nothing more is expected.
    pub poll_ms: Option<u128>,
}

impl HtmlSafe for LiveSection {}

/// An import as a card.
#[derive(Clone, Debug)]
pub struct ImportCard {
    pub import_id: String,
    pub state: ImportState,
    pub file_name: String,
    /// Its size, or the host that it is fetched from.
    pub taken_for: String,
    pub blocks: Vec<Block>,
    pub as_of: Moment,
    pub actions: Actions,
}

impl LiveSection {
    /// `snapshots`: the unfinished imports and those that the page already shows, in the order of the
    /// page, newest first. `pace` is how long a browser is to wait before it asks again.
    #[must_use]
    pub fn new<'s>(
        snapshots: impl IntoIterator<Item = &'s Snapshot>,
        reading: &Reading,
        pace: Duration,
    ) -> Self {
        let cards: Vec<_> =
            snapshots.into_iter().map(|snapshot| ImportCard::new(snapshot, reading)).collect();
        let goes_on = cards.iter().any(|card| !card.state.is_final());
        Self { cards, poll_ms: goes_on.then_some(pace.as_millis()) }
    }

    /// How many imports are unfinished.
    #[must_use]
    pub fn going_on(&self) -> usize {
        self.cards.iter().filter(|card| !card.state.is_final()).count()
    }

    /// The cards on the page, so that one whose import ends stays in its place.
    #[must_use]
    pub fn keep(&self) -> String {
        self.cards.iter().map(|card| card.import_id.as_str()).collect::<Vec<_>>().join(",")
    }
}

impl ImportCard {
    #[must_use]
    pub fn new(snapshot: &Snapshot, reading: &Reading) -> Self {
        let state = snapshot.state(reading.now);
        Self {
            import_id: snapshot.id.to_string(),
            state,
            file_name: snapshot.file_name.clone(),
            taken_for: match &snapshot.fetched_from {
                Some(host) => format!("From {host}"),
                None => format!("{}, comma-separated", bytes(snapshot.size_bytes)),
            },
            blocks: Block::all(snapshot, state, reading),
            as_of: as_of(snapshot, reading),
            actions: Actions::of(snapshot, state, reading.now, Place::Card),
        }
    }
}
