//! What a user can do with an import at the moment.

use super::{
    badge::{BadgeState, FailedRows},
    cause::cause,
    first_rows::was_read,
    guest::PageAt,
};
use crate::{
    base::{ids::ImportId, time::UnixMillis},
    csv::Choices,
    imports::{ImportState, RunSnapshot, Snapshot},
    store::imports::RetryOf,
};

/// Whether the file of an import can be read otherwise: it is stored, our own function reads it, and no run
/// of it goes on. Failed rows are read as in the import that they come from.
#[must_use]
pub fn may_read_otherwise(snapshot: &Snapshot, state: ImportState) -> bool {
    let is_stored = snapshot.row.source_url.is_none() || was_read(snapshot);
    let is_ours = state == ImportState::Held || snapshot.runs.iter().any(RunSnapshot::is_ours);
    state.is_final() && is_stored && is_ours && snapshot.row.failed_rows_of.is_none()
}

/// The available actions of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actions<'a> {
    pub import_id: ImportId,
    /// The page of the import, below which its downloads are.
    pub at: PageAt<'a>,
    pub file_name: &'a str,
    pub placement: Placement,
    /// The file was read to its end.
    pub is_complete: bool,
    /// It waits for its owner to start or discard it.
    pub is_held: bool,
    pub cancel: Cancel,
    pub processed_rows: bool,
    pub failed_rows: bool,
    /// Only the failed rows, if they may pass in a retry.
    pub failed_again: RunAgain,
    pub all_again: RunAgain,
    /// Form fields: what a person chose about the reading, which running all of it again keeps.
    pub reading_fields: Vec<(&'static str, String)>,
    /// The form in which the reading is changed.
    pub change_reading: Advice,
    /// Only another file or address helps.
    pub other_file: bool,
    /// The label for running all of it again.
    pub again: &'static str,
}

/// Where actions are shown. A card has space only for the next one; the panel shows all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    Card,
    Panel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    No,
    Possible,
    /// Requested; the engine has not confirmed it yet.
    Asked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunAgain {
    No,
    Possible,
    /// It was run again: the id of the new import.
    Done(ImportId),
}

/// Whether an action is offered, and how prominently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    No,
    /// Beside others.
    Possible,
    /// Most likely to help.
    First,
}

impl Advice {
    /// The reading may be wrong if all rows failed, or if no table was found.
    fn to_change_reading(snapshot: &Snapshot, state: ImportState, is_same_again: bool) -> Self {
        let all_failed = BadgeState::of_import(snapshot, state) == BadgeState::Completed(FailedRows::All);
        if !may_read_otherwise(snapshot, state) {
            Self::No
        } else if all_failed
            || snapshot.runs.iter().filter_map(cause).any(|cause| cause.starts_with(NO_TABLE))
        {
            Self::First
        } else if state == ImportState::Failed && is_same_again {
            Self::Possible
        } else {
            Self::No
        }
    }
}

/// How the reason begins if the text of a file forms no table.
const NO_TABLE: &str = "No table was found";

impl<'a> Actions<'a> {
    #[must_use]
    pub fn of(snapshot: &'a Snapshot, state: ImportState, now: UnixMillis, placement: Placement) -> Self {
        let ended = state.is_final();
        // Sending an event takes only moments, unless the engine does not answer.
        let settles_by_itself = state == ImportState::Accepted && snapshot.outage.is_none();
        // Only our own function has outputs here. An interrupted run may have none.
        let counts = || snapshot.runs.iter().filter(|run| run.is_ours()).filter_map(RunSnapshot::counts);
        let processed_rows = ended && counts().any(|counts| counts.processed > 0);
        let failed_rows = ended && counts().any(|counts| counts.failed > 0);
        let again = |kind, choices: &Choices, is_offered: bool| match snapshot.retry(kind, choices) {
            Some(retry) => RunAgain::Done(retry.id),
            _ if !is_offered => RunAgain::No,
            None => RunAgain::Possible,
        };
        let may_pass = snapshot.may_failed_rows_pass();
        let is_same_again = ended && snapshot.is_same_again();
        let has_room = placement == Placement::Panel || !failed_rows;
        Self {
            import_id: snapshot.row.id,
            at: PageAt::Own(snapshot.row.id),
            file_name: snapshot.file_name(),
            placement,
            is_complete: state == ImportState::Completed,
            is_held: state == ImportState::Held,
            cancel: if ended && state != ImportState::Lost || settles_by_itself {
                Cancel::No
            } else if snapshot.row.cancel_requested_at.is_some() {
                Cancel::Asked
            } else {
                Cancel::Possible
            },
            processed_rows: processed_rows && has_room,
            failed_rows,
            failed_again: again(
                RetryOf::Failed,
                &Choices::default(),
                failed_rows && may_pass && placement == Placement::Panel,
            ),
            all_again: again(
                RetryOf::All,
                &snapshot.row.choices,
                snapshot.may_run_again(now) && has_room && !is_same_again,
            ),
            reading_fields: snapshot.row.choices.fields(),
            change_reading: if placement == Placement::Panel {
                Advice::to_change_reading(snapshot, state, is_same_again)
            } else {
                Advice::No
            },
            other_file: is_same_again && placement == Placement::Panel,
            again: match state {
                ImportState::NoFunction | ImportState::GivenUp => "Send again",
                _ if failed_rows => "Run all rows again",
                _ => "Run again",
            },
        }
    }

    /// The same for a guest, who can download at most, and only if the guest `sees_rows`.
    #[must_use]
    pub fn for_guests(self, at: PageAt<'a>, sees_rows: bool) -> Self {
        Self {
            at,
            is_held: false,
            cancel: Cancel::No,
            processed_rows: self.processed_rows && sees_rows,
            failed_rows: self.failed_rows && sees_rows,
            failed_again: RunAgain::No,
            all_again: RunAgain::No,
            reading_fields: Vec::new(),
            change_reading: Advice::No,
            other_file: false,
            ..self
        }
    }
}
