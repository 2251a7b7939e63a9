//! The content of a card on the dashboard.

use super::{
    ReportInputs,
    actions::{Actions, Placement},
    block::{Block, ViewState},
    first_rows::was_read,
    format::bytes,
    moment::AsOf,
};
use crate::{
    base::ids::ImportId,
    imports::{ImportState, Snapshot},
};

/// An import as a card.
#[derive(Clone, Debug)]
pub struct ImportCard<'a> {
    pub import_id: ImportId,
    pub state: ImportState,
    /// Whether the page must poll for it.
    pub expects_news: bool,
    pub file_name: &'a str,
    /// The file's size and, once it is read, its format; or the host that it is fetched from.
    pub taken_for: String,
    pub blocks: Vec<Block<'a>>,
    pub as_of: AsOf,
    pub actions: Actions<'a>,
}

impl<'a> ImportCard<'a> {
    #[must_use]
    pub fn new(snapshot: &'a Snapshot, inputs: &ReportInputs) -> Self {
        let view_state = ViewState::of(snapshot);
        let state = view_state.state;
        Self {
            import_id: snapshot.row.id,
            state,
            expects_news: snapshot.expects_news(),
            file_name: snapshot.file_name(),
            taken_for: match &snapshot.fetched_from {
                Some(from) => format!("From {}", from.host),
                None if was_read(snapshot) => format!("{}, comma-separated", bytes(snapshot.row.size_bytes)),
                None => bytes(snapshot.row.size_bytes),
            },
            blocks: Block::all(snapshot, view_state, inputs),
            as_of: AsOf::of(snapshot, state, inputs),
            actions: Actions::of(snapshot, state, inputs.now, Placement::Card),
        }
    }
}
