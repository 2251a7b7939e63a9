//! The content of a card on the dashboard.

use super::{
    ReportInputs,
    actions::{Actions, Placement},
    block::{Block, ViewState},
    format::bytes,
    history::again,
    moment::AsOf,
    reading::separators,
};
use crate::{
    base::ids::ImportId,
    csv::{Delimiter, ReadAs},
    imports::{ImportState, RunSnapshot, Snapshot},
};

/// An import as a card.
#[derive(Clone, Debug)]
pub struct ImportCard<'a> {
    pub import_id: ImportId,
    pub state: ImportState,
    /// Whether the page must poll for it.
    pub expects_news: bool,
    pub file_name: &'a str,
    /// Whether it is a retry, the file's size, or the host that it is fetched from, and its sheet or what separates its
    /// fields once that is known.
    pub side_note: String,
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
            side_note: side_note(snapshot),
            blocks: Block::all(snapshot, view_state, inputs),
            as_of: AsOf::of(snapshot, state, inputs),
            actions: Actions::of(snapshot, state, inputs.now, Placement::Card),
        }
    }
}

fn side_note(snapshot: &Snapshot) -> String {
    let origin = match &snapshot.fetched_from {
        Some(from) => format!("From {}", from.host),
        None => bytes(snapshot.row.size_bytes),
    };
    let origin = match again(snapshot) {
        Some(again) => format!("{again}, {origin}"),
        None => origin,
    };
    let read_as = snapshot.runs.iter().find_map(RunSnapshot::read_as);
    if let Some(ReadAs { sheet: Some(sheet), .. }) = read_as {
        return format!("{origin}, sheet \"{}\"", sheet.name.as_str());
    }
    match read_as.map(|read_as| read_as.reading.delimiter.value) {
        // Unknown for a file that an earlier version read, too.
        None => origin,
        Some(Delimiter::NONE) => format!("{origin}, one column"),
        Some(delimiter) => format!("{origin}, separated by {}", separators(delimiter)),
    }
}
