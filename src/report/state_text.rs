//! The state of an import for programs, in the sentences of its page.

use super::{
    ReportInputs,
    badge::BadgeState,
    block::{Block, ViewState, function_name},
    moment::Moment,
    next_step::NextStep,
};
use crate::imports::{RunSnapshot, Snapshot};

/// What the page of the import says about its state, without the name of a button. Several runs are named before their
/// sentences.
#[must_use]
pub fn state_text(snapshot: &Snapshot, inputs: &ReportInputs) -> String {
    if let Some(until) = snapshot.row.held_until {
        let until = Moment::new(until, inputs.now).plain();
        return format!("Nothing runs until it is started; kept until {until}.");
    }
    let view_state = ViewState::of(snapshot);
    let blocks = Block::all(snapshot, view_state, inputs);
    let mut sentences: Vec<String> = match blocks.as_slice() {
        [only] => vec![only.sentence.plain()],
        several => {
            let function = |block: &Block<'_>| block.run.as_ref().map_or("", |run| run.function).to_owned();
            several.iter().map(|block| format!("{}: {}", function(block), block.sentence.plain())).collect()
        }
    };
    if view_state.is_unread {
        sentences.extend(NextStep::of(snapshot).advice.map(str::to_owned));
    }
    sentences.join(" ")
}

/// The words of the badges on the page of the import, with what may be out of date. Unlike sentences, they do not
/// change while only numbers grow and time passes.
#[must_use]
pub fn state_words(snapshot: &Snapshot, inputs: &ReportInputs) -> String {
    let state = snapshot.state();
    let import = BadgeState::of_import(snapshot, state).word();
    let run = |run: &RunSnapshot| {
        let (word, next) = (BadgeState::of_run(run).word(), run.next_attempt_at());
        format!("{}: {word}, {}, {}, {next:?}", function_name(run), run.is_gone, run.is_lost(inputs.now))
    };
    let runs: Vec<String> = snapshot.runs.iter().map(run).collect();
    let outage = snapshot.outage.map(|outage| outage.cause);
    let change = snapshot.row.cancel_requested_at.is_some();
    format!("{import}; {change}; {outage:?}; {}", runs.join("; "))
}
