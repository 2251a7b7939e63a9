//! The panel: one import, large and live.

use std::time::Duration;

use askama::{Template, filters::HtmlSafe};

use super::{ChangeForm, Html, LastTime, Mark, plot::AroundBar, tab::Tab};
use crate::{
    base::ids::ImportId,
    imports::{ImportState, RunSnapshot, Snapshot},
    report::{
        ReportInputs,
        about::About,
        actions::{Actions, Cancel, Placement},
        block::{Block, ViewState},
        detail::TechnicalDetail,
        findings::FindingsSection,
        first_rows::FirstRowsSection,
        format::rows,
        guest::{Audience, PageAt},
        moment::AsOf,
        next_step::NextStep,
        plot::Plot,
        reading::source_format,
        timeline::{Timeline, When},
    },
    store::imports::RetryOf,
};

/// An import's page below its title, which `GET /imports/{id}/panel` returns alone; and the same for a guest, of
/// `GET /shared/{token}/panel`.
#[derive(Clone, Debug, Template)]
#[template(path = "fragments/import_panel.html")]
pub struct ImportPanel<'a> {
    pub import_id: ImportId,
    pub audience: Audience,
    /// The page that the panel is on.
    pub at: PageAt<'a>,
    /// `?from=` with the part of the history that led here, or empty.
    pub way_back: String,
    pub state: ImportState,
    pub about: About<'a>,
    pub blocks: Vec<Block<'a>>,
    pub as_of: AsOf,
    pub actions: Actions<'a>,
    /// Set once nothing more is expected. They are in the database, which a poll does not use.
    pub findings: Option<FindingsSection>,
    /// The format of the file, in which the downloads are offered, too; None if it is the usual one or if there
    /// are none.
    pub source_format: Option<String>,
    /// Our own function reads the file, or may do so.
    pub reads_rows: bool,
    /// None if only other people's functions read the file, if nothing was read before a failure, or if the audience
    /// sees no rows.
    pub first_rows: Option<FirstRowsSection<'a>>,
    /// None if the file cannot be read otherwise now.
    pub change: Option<ChangeForm<'a>>,
    /// Set once nothing more is expected, if there is something to offer.
    pub last_time: Option<LastTime>,
    /// The import has not started, or failed before anything was read, so empty sections are omitted.
    pub is_unread: bool,
    /// The failed rows of our own function so far.
    pub failed_rows: u64,
    /// Set after a failure before the first row.
    pub next_step: Option<NextStep<'a>>,
    pub timeline: Timeline<'a>,
    /// None for a guest.
    pub detail: Option<TechnicalDetail<'a>>,
    /// Milliseconds until the browser polls again; None once nothing more is expected.
    pub poll_ms: Option<u128>,
    /// No function accepts the event, a run may be lost, or the engine does not answer: then the page
    /// promises nothing.
    pub is_doubtful: bool,
    pub tab: Tab,
}

impl HtmlSafe for ImportPanel<'_> {}

impl<'a> ImportPanel<'a> {
    /// `pace` is how long a browser waits before it polls again.
    #[must_use]
    pub fn new(snapshot: &'a Snapshot, inputs: &ReportInputs, pace: Duration) -> Self {
        let view_state = ViewState::of(snapshot);
        let ViewState { state, is_unread } = view_state;
        let is_over = state.is_final() && state != ImportState::Held;
        let blocks = Block::all_with_plots(snapshot, view_state, inputs);
        let actions = Actions::of(snapshot, state, inputs.now, Placement::Panel);
        let read_as = snapshot.runs.iter().find_map(RunSnapshot::read_as);
        let own_counts = snapshot.runs.iter().filter(|run| run.is_ours()).filter_map(RunSnapshot::counts);
        let first_rows = FirstRowsSection::of(snapshot, state).filter(|_| !is_unread);
        Self {
            import_id: snapshot.row.id,
            audience: inputs.audience,
            at: PageAt::Own(snapshot.row.id),
            way_back: String::new(),
            state,
            about: About::of(snapshot, is_over, inputs.now),
            as_of: AsOf::of(snapshot, state, inputs),
            source_format: read_as
                .filter(|_| actions.failed_rows || actions.processed_rows)
                .and_then(|read_as| source_format(&read_as.reading)),
            actions,
            findings: None,
            reads_rows: first_rows.is_some(),
            first_rows,
            change: ChangeForm::of(snapshot),
            last_time: None,
            is_unread,
            failed_rows: own_counts.map(|counts| counts.failed).sum(),
            next_step: (is_unread && state != ImportState::Held).then(|| NextStep::of(snapshot)),
            timeline: Timeline::of(snapshot, state, inputs),
            detail: Some(TechnicalDetail::of(snapshot)),
            poll_ms: snapshot.expects_news().then_some(pace.as_millis()),
            is_doubtful: state == ImportState::NoFunction
                || blocks.iter().any(|block| block.sentence.notice.is_some()),
            tab: Tab::of_import(snapshot, state, &blocks),
            blocks,
        }
    }

    /// The same for a guest. `shown` is what guests may know ([`for_guests`](crate::report::guest::for_guests)), and
    /// `inputs` name them as the audience.
    #[must_use]
    pub fn for_guests(shown: &'a Snapshot, inputs: &ReportInputs, pace: Duration, at: PageAt<'a>) -> Self {
        let panel = Self::new(shown, inputs, pace);
        let sees_rows = inputs.audience.sees_rows();
        let actions = panel.actions.for_guests(at, sees_rows);
        Self {
            at,
            about: About { parent: None, retries: Vec::new(), ..panel.about },
            source_format: panel.source_format.filter(|_| sees_rows),
            actions,
            first_rows: panel.first_rows.filter(|_| sees_rows),
            change: None,
            next_step: None,
            detail: None,
            ..panel
        }
    }

    /// Omits the space of plots that stay empty, for a page that is opened when nothing more is expected. A page that
    /// was open before keeps the space, so that nothing on it moves at the end.
    #[must_use]
    pub fn without_empty_plots(mut self) -> Self {
        if self.poll_ms.is_none() {
            for block in &mut self.blocks {
                block.plot = block.plot.take().and_then(Plot::without_empty_space);
            }
        }
        self
    }

    fn is_for_owner(&self) -> bool {
        self.audience == Audience::Owner
    }

    /// Whether there is a line for actions. It is there from the beginning, so that the panel keeps its height.
    fn has_foot(&self) -> bool {
        self.state != ImportState::Held && self.audience.sees_rows()
    }

    /// A guest finds nothing to download at the end.
    fn has_no_downloads(&self) -> bool {
        !self.is_for_owner()
            && self.state.is_final()
            && !self.actions.failed_rows
            && !self.actions.processed_rows
    }

    /// The address of the next poll, to which the fragment's version is appended.
    #[must_use]
    pub fn path(&self) -> String {
        let more = if self.way_back.is_empty() { '?' } else { '&' };
        format!("{}/panel{}{more}version=", self.at, self.way_back)
    }

    /// The placeholder for the reasons, so that nothing moves when they appear. None if they are shown, or
    /// cannot appear.
    #[must_use]
    pub fn instead_of_reasons(&self) -> Option<String> {
        let has_reasons = self.findings.as_ref().is_some_and(|findings| findings.why_failed.is_some());
        if !self.reads_rows || has_reasons {
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
