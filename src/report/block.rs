//! The block of one run, or of an import without runs.

use super::{
    ReportInputs,
    badge::{Badge, BadgeState, Tone},
    bar::Bar,
    guest::Audience,
    moment::Ticking,
    plot::Plot,
    progress::{Figures, Progress},
    sentence::Sentence,
};
use crate::{
    base::time::UnixMillis,
    csv::Stretches,
    function::{FUNCTION_ID, FUNCTION_NAME},
    imports::{ImportState, RunSnapshot, Snapshot},
    inngest::RunStatus,
};

/// One run with its state, figures, bar and sentence.
#[derive(Clone, Debug)]
pub struct Block<'a> {
    /// None if the import has no run yet.
    pub run: Option<RunData<'a>>,
    pub badge: Badge<'a>,
    pub sentence: Sentence<'a>,
    /// None for another function without counts, and after a failure before the first row.
    pub figures: Option<Figures>,
    pub bar: Bar,
    /// The duration so far of a run that reads rows.
    pub elapsed: Option<Ticking>,
    /// How much of the file is read; None while unknown.
    pub percent: Option<u64>,
    pub has_ended: bool,
    /// The plot around the bar of a panel; None if there never is one.
    pub plot: Option<Plot>,
}

/// The attributes of a run for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunData<'a> {
    pub run_id: &'a str,
    /// The engine's status, but no terminal one before the run has ended.
    pub status: &'a str,
    /// Without separators; empty while unknown.
    pub processed: String,
    pub failed: String,
    /// The function's name, or the engine's id of it.
    pub function: &'a str,
}

impl<'a> RunData<'a> {
    #[must_use]
    pub fn of(run: &'a RunSnapshot) -> Self {
        let status = match (&run.row.status, run.row.ended_at) {
            (status, None) if status.is_terminal_word() => "Running",
            (status, _) => status.as_str(),
        };
        let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        Self {
            run_id: run.row.run_id.as_str(),
            status,
            processed: number(run.counts().map(|counts| counts.processed)),
            failed: number(run.counts().map(|counts| counts.failed)),
            function: function_name(run),
        }
    }
}

/// The name that our function reported, or the engine's name, or the engine's id of the function.
#[must_use]
pub fn function_name(run: &RunSnapshot) -> &str {
    let own = run.execution().map(|execution| &execution.function);
    own.or(run.row.function_name.as_ref()).unwrap_or(&run.row.function_id)
}

/// Whether a run is our own function's, or may be. That is known once the function has a name or was called.
pub fn may_be_ours(run: &RunSnapshot) -> bool {
    match &run.row.function_name {
        _ if run.is_ours() => true,
        Some(name) => [FUNCTION_NAME, FUNCTION_ID].contains(&name.as_str()),
        None => run.row.status == RunStatus::Scheduled,
    }
}

/// The state of an import that all parts of its page share.
#[derive(Clone, Copy, Debug)]
pub struct ViewState {
    pub state: ImportState,
    /// The import has not started, or failed before anything was read, so sections that would stay empty are omitted.
    pub is_unread: bool,
}

impl ViewState {
    pub fn of(snapshot: &Snapshot) -> Self {
        // A completed function has done something, even if it reports no counts.
        let has_read_nothing = |run: &RunSnapshot| {
            run.row.status != RunStatus::Completed
                && run.bytes() == 0
                && run.counts().is_none_or(|counts| counts.total() == 0)
        };
        let state = snapshot.state();
        let has_failed_unread = || state == ImportState::Failed && snapshot.runs.iter().all(has_read_nothing);
        Self { state, is_unread: state == ImportState::Held || has_failed_unread() }
    }
}

/// Whether the file is, or may be, large enough for several stretches. The space that is reserved for a plot
/// is never removed again.
fn may_have_plot(snapshot: &Snapshot) -> bool {
    snapshot.fetched_from.is_some() || Stretches::count_in(snapshot.row.size_bytes) > 1
}

impl<'a> Block<'a> {
    /// As [`all`](Self::all), with the plots of a panel.
    pub fn all_with_plots(snapshot: &'a Snapshot, view_state: ViewState, inputs: &ReportInputs) -> Vec<Self> {
        let mut blocks = Self::all(snapshot, view_state, inputs);
        if !may_have_plot(snapshot) || view_state.is_unread {
            return blocks;
        }
        if let ([block], []) = (blocks.as_mut_slice(), snapshot.runs.as_slice()) {
            block.plot = Some(Plot::default());
        }
        for (block, run) in blocks.iter_mut().zip(&snapshot.runs).filter(|(_, run)| may_be_ours(run)) {
            let progress = Progress::of(run, known_at(snapshot, inputs));
            block.plot = Some(Plot::of(run, &progress, &block.bar));
        }
        blocks
    }

    /// One block per run, or a single one if there is none.
    pub fn all(snapshot: &'a Snapshot, view_state: ViewState, inputs: &ReportInputs) -> Vec<Self> {
        if snapshot.runs.is_empty() {
            vec![Self::of_import(snapshot, view_state, inputs)]
        } else {
            snapshot.runs.iter().map(|run| Self::of_run(snapshot, view_state, run, inputs)).collect()
        }
    }

    fn of_import(snapshot: &'a Snapshot, view_state: ViewState, inputs: &ReportInputs) -> Self {
        let state = view_state.state;
        let dimmed = snapshot.outage.is_some() && !state.is_final();
        Self {
            run: None,
            badge: Badge { shown: BadgeState::of_import(snapshot, state), dimmed },
            sentence: Sentence::of_import(snapshot, state, inputs),
            figures: (!view_state.is_unread).then(|| Progress::unknown().figures(state.is_final())),
            bar: Bar::new(&Progress::unknown(), Tone::Still),
            elapsed: None,
            percent: None,
            has_ended: state.is_final(),
            plot: None,
        }
    }

    fn of_run(
        snapshot: &'a Snapshot,
        view_state: ViewState,
        run: &'a RunSnapshot,
        inputs: &ReportInputs,
    ) -> Self {
        let ended = run.row.ended_at.is_some();
        let dimmed = run.row.ended_at.or(run.row.lost_at).is_none()
            && (snapshot.outage.is_some() || run.is_gone || run.is_lost(inputs.now));
        let progress = Progress::of(run, known_at(snapshot, inputs));
        let shown = BadgeState::of_run(run);
        // Red in a bar stands only for failed rows: a failed run has a grey bar.
        let tone = match shown.tone() {
            Tone::Bad => Tone::Still,
            _ if dimmed => Tone::Still,
            tone => tone,
        };
        let tells_counts = may_be_ours(run) || progress.counts.is_some();
        let has_figures = tells_counts && !view_state.is_unread;
        let figures = progress.figures(ended);
        // The owner's page shows the reasons of our own function once nothing more is expected.
        let is_linked = view_state.state.is_final() && run.is_ours() && inputs.audience == Audience::Owner;
        let figures = if is_linked { figures.with_reasons(snapshot.row.id) } else { figures };
        Self {
            run: Some(RunData::of(run)),
            sentence: Sentence::of_run(snapshot, run, &progress, inputs),
            figures: has_figures.then_some(figures),
            bar: Bar::new(&progress, tone),
            elapsed: (shown == BadgeState::Running
                && !dimmed
                && progress.rows().is_some_and(|rows| rows > 0))
            .then_some(Ticking { so_far: progress.elapsed }),
            percent: progress.percent(),
            has_ended: ended,
            badge: Badge { shown, dimmed },
            plot: None,
        }
    }
}

/// The time of the shown numbers.
#[must_use]
pub fn known_at(snapshot: &Snapshot, inputs: &ReportInputs) -> UnixMillis {
    snapshot.outage.map_or(inputs.now, |outage| outage.since)
}
