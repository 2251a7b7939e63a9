//! The panel: an import, large and live.

use std::time::Duration;

use askama::{Template, filters::HtmlSafe};

use super::{
    Reading,
    about::About,
    block::{Block, Outcome},
    cause::cause,
    detail::TechnicalDetail,
    findings::Findings,
    first_rows::FirstRows,
    tab::Tab,
    timeline::{Timeline, When},
    volatile::{AsOf, Mark},
};
use crate::{
    base::time::UnixMillis,
    imports::{ImportState, Snapshot},
    report::format::rows,
    store::imports::RetryOf,
};

/// An import's page below its title; `GET /imports/{id}/panel` answers it alone.
#[derive(Clone, Debug, Template)]
#[template(path = "fragments/import_panel.html")]
pub struct ImportPanel {
    pub import_id: String,
    /// `?from=` and the part of the history that led here, or nothing.
    pub way_back: String,
    pub state: ImportState,
    pub about: About,
    pub blocks: Vec<Block>,
    pub as_of: AsOf,
    pub actions: Actions,
    /// Once nothing more is expected: they are in the database, which a poll leaves alone.
    pub findings: Option<Findings>,
    /// None if other people's functions alone read the file, or nothing was read before a failure.
    pub first_rows: Option<FirstRows>,
    /// It failed before anything was read: what would be empty has no place.
    pub is_unread: bool,
    /// Failed rows of our own function so far.
    pub failed_rows: u64,
    /// After a failure before the first row.
    pub next_step: Option<NextStep>,
    pub timeline: Timeline,
    pub detail: TechnicalDetail,
    /// Milliseconds until the browser asks again; None once nothing more is expected.
    pub poll_ms: Option<u128>,
    /// Nobody takes it, some run may be lost, or the engine does not answer: then nothing is promised.
    pub is_doubtful: bool,
    pub tab: Tab,
}

impl HtmlSafe for ImportPanel {}

impl ImportPanel {
    /// `pace` is how long a browser is to wait before it asks again.
    #[must_use]
    pub fn new(snapshot: &Snapshot, reading: &Reading, pace: Duration) -> Self {
        let outcome = Outcome::of(snapshot);
        let Outcome { state, is_unread } = outcome;
        let blocks = Block::all_with_plots(snapshot, outcome, reading);
        let own_counts = snapshot.runs.iter().filter(|run| run.call.is_some()).filter_map(|run| run.counts);
        Self {
            import_id: snapshot.id.to_string(),
            way_back: String::new(),
            state,
            about: About::of(snapshot, state.is_final()),
            as_of: as_of(snapshot, state, reading),
            actions: Actions::of(snapshot, state, reading.now, Place::Panel),
            findings: None,
            first_rows: FirstRows::of(snapshot, state).filter(|_| !is_unread),
            is_unread,
            failed_rows: own_counts.map(|counts| counts.failed).sum(),
            next_step: is_unread.then(|| NextStep::of(snapshot)),
            timeline: Timeline::of(snapshot, state, reading),
            detail: TechnicalDetail::of(snapshot),
            poll_ms: snapshot.expects_news().then_some(pace.as_millis()),
            is_doubtful: state == ImportState::NoFunction
                || blocks.iter().any(|block| block.sentence.notice.is_some()),
            tab: Tab::of_import(snapshot, state, &blocks),
            blocks,
        }
    }

    /// Where the browser asks again. The fragment's version follows.
    #[must_use]
    pub fn path(&self) -> String {
        let more = if self.way_back.is_empty() { '?' } else { '&' };
        format!("/imports/{}/panel{}{more}version=", self.import_id, self.way_back)
    }

    /// What stands where the reasons will, so that nothing moves when they come. None where they are, and where
    /// none can come.
    #[must_use]
    pub fn instead_of_reasons(&self) -> Option<String> {
        let has_reasons = self.findings.as_ref().is_some_and(|findings| findings.why_failed.is_some());
        if self.first_rows.is_none() || has_reasons {
            return None;
        }
        let is_over = self.state.is_final();
        Some(match (self.failed_rows, is_over) {
            (0, false) => "No rows have failed so far.".to_owned(),
            (0, true) => "No rows failed.".to_owned(),
            (1, false) => "1 row has failed so far. Its reason shows here when the import ends.".to_owned(),
            (failed, false) => {
                format!("{} have failed so far. Their reasons show here when the import ends.", rows(failed))
            }
            (_, true) => "The reasons were not kept.".to_owned(),
        })
    }
}

/// What a person can do about an import that failed before its first row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextStep {
    /// Where the file was to be fetched from.
    pub address: Option<String>,
    /// None where the cause says itself what to do, after its first sentence, and where another's function
    /// failed: what helps is not known then.
    pub advice: Option<&'static str>,
}

impl NextStep {
    fn of(snapshot: &Snapshot) -> Self {
        let address = snapshot.fetched_from.as_ref().map(|from| from.address.clone());
        let is_file_to_blame = snapshot.runs.iter().all(|run| run.call.is_some());
        let cause_advises = snapshot.runs.iter().filter_map(cause).any(|cause| cause.contains(". "));
        let advice = match (&snapshot.refused, &address) {
            (Some(_), _) => {
                Some("Ask the operator to check the engine's settings, then run the import again.")
            }
            _ if !is_file_to_blame || cause_advises => None,
            (None, Some(_)) => Some("Open the address in a browser to check it, then run the import again."),
            (None, None) => Some("Correct the file and import it again."),
        };
        Self { address, advice }
    }
}

/// The time of the engine's last answer; before the first one, of the upload's last byte.
pub(super) fn as_of(snapshot: &Snapshot, state: ImportState, reading: &Reading) -> AsOf {
    AsOf::new(snapshot.as_of.unwrap_or(snapshot.received_at), state.is_final(), reading.now)
}

/// What can be done with an import now.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "fragments/actions.html")]
pub struct Actions {
    pub import_id: String,
    pub file_name: String,
    pub place: Place,
    /// It was read to its end.
    pub is_complete: bool,
    pub cancel: Cancel,
    pub processed_rows: bool,
    pub failed_rows: bool,
    /// Only the failed rows, where they may pass.
    pub failed_again: RunAgain,
    pub all_again: RunAgain,
    /// Only another file or address helps.
    pub other_file: bool,
    /// What running all of it again is called.
    pub again: &'static str,
}

/// Where actions stand. A card has room for what comes next; the panel has all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Card,
    Panel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    No,
    Possible,
    /// Asked for; the engine has not said yet that it is done.
    Asked,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunAgain {
    No,
    Possible,
    /// It was: the id of the import that it became.
    Done(String),
}

impl HtmlSafe for Actions {}

impl Actions {
    #[must_use]
    pub fn of(snapshot: &Snapshot, state: ImportState, now: UnixMillis, place: Place) -> Self {
        let ended = state.is_final();
        // An event that is being sent is a matter of moments, unless nobody answers.
        let settles_by_itself = state == ImportState::Accepted && snapshot.silence.is_none();
        // Outputs are those of our own function; a run that broke off may have left none.
        let counts = || snapshot.runs.iter().filter(|run| run.call.is_some()).filter_map(|run| run.counts);
        let processed_rows = ended && counts().any(|counts| counts.processed > 0);
        let failed_rows = ended && counts().any(|counts| counts.failed > 0);
        let again = |kind, is_offered: bool| match snapshot.retry(kind) {
            Some(retry) => RunAgain::Done(retry.id.to_string()),
            _ if !is_offered => RunAgain::No,
            None => RunAgain::Possible,
        };
        let may_pass = snapshot.may_failed_rows_pass();
        let is_same_again = ended && snapshot.is_same_again();
        let has_room = place == Place::Panel || !failed_rows;
        Self {
            import_id: snapshot.id.to_string(),
            file_name: snapshot.file_name.clone(),
            place,
            is_complete: state == ImportState::Completed,
            cancel: if ended && state != ImportState::Lost || settles_by_itself {
                Cancel::No
            } else if snapshot.cancel_requested_at.is_some() {
                Cancel::Asked
            } else {
                Cancel::Possible
            },
            processed_rows: processed_rows && has_room,
            failed_rows,
            failed_again: again(RetryOf::Failed, failed_rows && may_pass && place == Place::Panel),
            all_again: again(RetryOf::All, snapshot.may_run_again(now) && has_room && !is_same_again),
            other_file: is_same_again && place == Place::Panel,
            again: match state {
                ImportState::NoFunction | ImportState::GivenUp => "Send again",
                _ if failed_rows => "Run all rows again",
                _ => "Run again",
            },
        }
    }
}
