//! The sentence: what is happening now.

use std::{borrow::Cow, time::Duration};

use super::{
    ReportInputs,
    badge::BadgeState,
    cause::{cause, failure, quoted, sentence},
    format::{bytes, duration, grouped, rows},
    guest::Audience,
    moment::{Moment, Ticking},
    progress::{Progress, Receipt},
};
use crate::{
    base::{ids::EVENT_NAME, time::UnixMillis},
    csv::Counts,
    imports::{EngineOutage, FetchedFrom, ImportState, OutageCause, Planned, RunSnapshot, Snapshot},
    progress::Copying,
};

/// One or two sentences. Times are shown in the viewer's zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sentence<'a> {
    pub parts: Vec<SentencePart<'a>>,
    /// Why the shown state may be out of date.
    pub notice: Option<Notice>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SentencePart<'a> {
    Text(Cow<'a, str>),
    /// A number with its unit, never broken across lines.
    Measure(String),
    Time(Moment),
    /// The duration so far.
    Ticking(Ticking),
}

/// Why the shown state may be out of date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The engine does not answer.
    Outage,
    /// There was no news of the run for a long time.
    NoNews,
    /// The engine no longer keeps the run.
    NoLongerKept,
}

impl<'a> Sentence<'a> {
    /// The sentence of an import without runs.
    #[must_use]
    pub fn of_import(snapshot: &'a Snapshot, state: ImportState, inputs: &ReportInputs) -> Self {
        let engine = inputs.engine.subject();
        let waiting = || inputs.now.since(snapshot.row.sent_at.unwrap_or(snapshot.row.received_at));
        let by = inputs.audience.by_the_owner();
        if let Some(until) = snapshot.row.held_until {
            if inputs.audience != Audience::Owner {
                return Self::text("The owner has not started it yet.");
            }
            return Self::text("Look at how it is read. Nothing runs until you press Import; kept until ")
                .time(until, inputs)
                .then(".");
        }
        if let Some(reason) = &snapshot.row.refused {
            return Self::text(engine)
                .then(" refused the event: ")
                .then(reason.trim_end_matches('.'))
                .then(". Nothing was run.");
        }
        match (state, snapshot.outage) {
            (ImportState::Cancelled, _) => {
                let at = snapshot.row.cancel_requested_at.unwrap_or(snapshot.row.received_at);
                Self::text(format!("Stopped {by} at ")).time(at, inputs).then(". Nothing was run.")
            }
            (ImportState::GivenUp, _) => Self::text(format!(
                "No function has started for {EVENT_NAME} in a day. Is its app registered?"
            )),
            (
                ImportState::Accepted,
                Some(EngineOutage { cause: OutageCause::EventNotTaken { status, retry_at }, .. }),
            ) => Self::text(format!(
                "{engine} answers {status}{}. {}; trying again at ",
                likely_cause(status),
                safe(snapshot, inputs).trim_end_matches('.')
            ))
            .time(retry_at, inputs)
            .then(".")
            .noticing(Notice::Outage),
            (ImportState::Accepted, Some(EngineOutage { since, cause })) => {
                Self::text(format!("{} {engine} {} ", safe(snapshot, inputs), silent(cause)))
                    .time(since, inputs)
                    .then(".")
                    .noticing(Notice::Outage)
            }
            (_, Some(outage)) => Self::silent(outage, inputs),
            (ImportState::Accepted, None) => {
                Self::text(format!("{} Telling the engine about it ...", safe(snapshot, inputs)))
            }
            (ImportState::NoFunction, None) => {
                Self::text(format!("No function has started for {EVENT_NAME} in "))
                    .ticking(waiting())
                    .then(". Is its app registered?")
            }
            (_, None) => Self::text("Waiting for a run to start (").ticking(waiting()).then(")."),
        }
    }

    /// The sentence of a run.
    #[must_use]
    pub fn of_run(
        snapshot: &'a Snapshot,
        run: &'a RunSnapshot,
        progress: &Progress,
        inputs: &ReportInputs,
    ) -> Self {
        if let (Some(outage), None, None) = (snapshot.outage, run.row.ended_at, run.row.lost_at) {
            return Self::silent(outage, inputs);
        }
        if run.row.ended_at.or(run.row.lost_at).is_none() && run.is_gone {
            let engine = inputs.engine.subject();
            return Self::text(format!("{engine} no longer keeps this run. Its last known state is shown."))
                .noticing(Notice::NoLongerKept);
        }
        if run.row.lost_at.is_none() && run.is_lost(inputs.now) {
            return Self::text("No news of this run since ")
                .time(run.news_at(), inputs)
                .then(" (")
                .measure(roughly(inputs.now.since(run.news_at())))
                .then("). The engine may have lost it.")
                .noticing(Notice::NoNews);
        }
        match BadgeState::of_run(run) {
            BadgeState::Queued => {
                Self::text("Waiting for a free worker since ").time(run.row.queued_at, inputs).then(".")
            }
            BadgeState::Retrying => retrying(run, inputs),
            BadgeState::Asleep => planned("Asleep until ", run, inputs),
            BadgeState::Waiting => planned("Waiting for an event, at most until ", run, inputs),
            BadgeState::Lost => {
                let engine = inputs.engine.subject();
                Self::text(format!("{engine} lost this run when it restarted at about "))
                    .time(run.news_at(), inputs)
                    .then(".")
            }
            BadgeState::Completed(_) => completed(run, progress),
            BadgeState::Failed => failed(run, progress),
            BadgeState::Cancelled => {
                let by = snapshot.row.cancel_requested_at.map(|_| inputs.audience.by_the_owner());
                let by = by.map(|by| format!(" {by}")).unwrap_or_default();
                let after = progress.rows().map(|count| format!(" after {}", rows(count)));
                Self::text(format!("Stopped{by} at "))
                    .time(run.row.ended_at.unwrap_or(inputs.now), inputs)
                    .then(format!("{}.", after.unwrap_or_default()))
            }
            BadgeState::Skipped => Self::text("The engine skipped this run."),
            BadgeState::Unknown(word) => unknown(word, run, progress),
            // These states belong to imports without runs.
            BadgeState::Running
            | BadgeState::NotStarted
            | BadgeState::Saved
            | BadgeState::Sent
            | BadgeState::NobodyTookIt => {
                match run.execution().and_then(|execution| execution.error.as_ref()) {
                    // The engine has not confirmed that this was the end.
                    Some(error) => {
                        Self::text("The last attempt failed: ").then(quoted(&error.message)).then(".")
                    }
                    None => running(snapshot, run, progress),
                }
            }
        }
    }

    /// The whole text, with times in UTC.
    #[must_use]
    pub fn plain(&self) -> String {
        self.parts
            .iter()
            .map(|part| match part {
                SentencePart::Text(text) => text.to_string(),
                SentencePart::Measure(text) => text.clone(),
                SentencePart::Time(moment) => moment.plain(),
                SentencePart::Ticking(ticking) => ticking.plain(),
            })
            .collect()
    }

    fn silent(outage: EngineOutage, inputs: &ReportInputs) -> Self {
        Self::text(format!("{} {} ", inputs.engine.subject(), silent(outage.cause)))
            .time(outage.since, inputs)
            .then(". Showing the last known numbers.")
            .noticing(Notice::Outage)
    }

    fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self { parts: vec![SentencePart::Text(text.into())], notice: None }
    }

    fn then(mut self, text: impl Into<Cow<'a, str>>) -> Self {
        self.parts.push(SentencePart::Text(text.into()));
        self
    }

    fn measure(mut self, text: impl Into<String>) -> Self {
        self.parts.push(SentencePart::Measure(text.into()));
        self
    }

    fn time(mut self, at: UnixMillis, inputs: &ReportInputs) -> Self {
        self.parts.push(SentencePart::Time(Moment::new(at, inputs.now)));
        self
    }

    fn ticking(mut self, so_far: Duration) -> Self {
        self.parts.push(SentencePart::Ticking(Ticking { so_far }));
        self
    }

    fn noticing(mut self, notice: Notice) -> Self {
        self.notice = Some(notice);
        self
    }
}

/// Minutes or hours, without a running duration.
fn roughly(time: Duration) -> String {
    match time.as_secs() / 60 {
        minutes @ 0..120 => format!("{minutes} min"),
        minutes => format!("{} h", minutes / 60),
    }
}

/// What the engine does instead of answering, up to the time since when.
fn silent(cause: OutageCause) -> &'static str {
    match cause {
        OutageCause::NoAnswer => "has not answered since",
        OutageCause::KeyRefused => "has refused our key since",
        OutageCause::Busy => "has been rate-limiting us since",
        OutageCause::Unreadable => "has sent no readable answer since",
        OutageCause::EventNotTaken { .. } => "has not taken the event since",
    }
}

/// The most frequent cause of a status that answered the event.
fn likely_cause(status: u16) -> &'static str {
    match status {
        401 | 403 => " (wrong event key?)",
        404 => " (wrong address?)",
        429 => " (too many requests)",
        _ => "",
    }
}

/// What is stored of an import whose event is not sent yet.
fn safe(snapshot: &Snapshot, inputs: &ReportInputs) -> &'static str {
    match inputs.audience {
        _ if snapshot.fetched_from.is_some() => "The address is saved.",
        Audience::Owner => "Your file is safe.",
        Audience::Guest { .. } => "The file is safe.",
    }
}

fn running<'a>(snapshot: &'a Snapshot, run: &RunSnapshot, progress: &Progress) -> Sentence<'a> {
    if let Some(receipt) = &progress.receipt {
        return receiving(receipt, snapshot.fetched_from.as_deref());
    }
    let Some(counts) = progress.counts.filter(|counts| counts.total() > 0) else {
        return if progress.share.is_some() {
            Sentence::text("Reading the first rows.")
        } else if let (Some(from), true) = (&snapshot.fetched_from, run.is_ours()) {
            Sentence::text("Fetching the file from ")
                .then(&from.host)
                .then(" (")
                .ticking(progress.elapsed)
                .then(").")
        } else {
            Sentence::text("Running for ").ticking(progress.elapsed).then(".")
        };
    };
    let done = counts.total();
    let mut sentence = Sentence::text(match progress.total {
        Some(total) if total.exact => format!("{} of {}", grouped(done), rows(total.rows)),
        Some(total) => format!("{} of about {}", grouped(done), rows(total.rows)),
        None => rows(done),
    });
    if counts.failed > 0 {
        sentence = sentence.then(", ").measure(format!("{} failed", grouped(counts.failed)));
    }
    if let Some(speed) = progress.rows_per_second {
        sentence = sentence.then("; ").measure(format!("{} rows/s", grouped(speed)));
    }
    if let Some(left) = progress.left {
        sentence = sentence.then(", ").measure(format!("{} left", duration(left)));
    }
    sentence.then(".")
}

fn receiving<'a>(receipt: &Receipt, from: Option<&'a FetchedFrom>) -> Sentence<'a> {
    let host = from.map_or("the address", |from| from.host.as_str());
    let is_begun = receipt.bytes > 0;
    let mut sentence = match receipt.copying {
        Copying::Fetching if is_begun => Sentence::text(receipt.in_words()).then(" from ").then(host),
        Copying::Fetching => return Sentence::text("Waiting for the first bytes from ").then(host).then("."),
        _ if is_begun => Sentence::text(receipt.in_words()),
        Copying::Unpacking => return Sentence::text("Unpacking the file."),
        Copying::Decoding => return Sentence::text("Decoding the file."),
    };
    if let Some(speed) = receipt.bytes_per_second {
        sentence = sentence.then(", ").measure(format!("{}/s", bytes(speed)));
    }
    if let Some(left) = receipt.left() {
        sentence = sentence.then(", ").measure(format!("{} left", duration(left)));
    }
    sentence.then(".")
}

fn retrying<'a>(run: &'a RunSnapshot, inputs: &ReportInputs) -> Sentence<'a> {
    let (Some(execution), Some(error)) = (run.execution(), run.waits_after()) else {
        // Another function: the engine says only when.
        let attempt = match run.plan.map(|plan| plan.what) {
            Some(Planned::Attempt(attempt)) => format!(" (attempt {attempt})"),
            _ => String::new(),
        };
        let at = run.plan.map_or(inputs.now, |plan| plan.at);
        return Sentence::text("Retrying at ").time(at, inputs).then(format!("{attempt}."));
    };
    let retrying = match run.next_attempt_at() {
        Some(at) if at > inputs.now => Sentence::text("Retrying at ").time(at, inputs),
        // The time has passed, so the attempt waits for a free worker.
        Some(_) | None => Sentence::text("Retrying soon"),
    };
    let next = execution.attempt.saturating_add(1);
    retrying
        .then(format!(" (attempt {next} of {}). Last error: ", execution.max_attempts))
        .then(quoted(&error.message))
        .then(".")
}

/// A run that does nothing until a planned time.
fn planned(what: &'static str, run: &RunSnapshot, inputs: &ReportInputs) -> Sentence<'static> {
    Sentence::text(what).time(run.plan.map_or(inputs.now, |plan| plan.at), inputs).then(".")
}

fn completed(run: &RunSnapshot, progress: &Progress) -> Sentence<'static> {
    let what = match progress.counts {
        None => "Completed in ".to_owned(),
        // Our own function fails if there is no header.
        Some(counts) if counts == Counts::default() && run.is_ours() => {
            return Sentence::text("The file has a header and no rows.");
        }
        Some(Counts { processed: 0, failed: 1 }) => return Sentence::text("The only row failed."),
        Some(Counts { processed: 0, failed: failed @ 1.. }) => {
            return Sentence::text(format!("All {} failed.", rows(failed)));
        }
        Some(counts) if counts.failed == 0 => format!("{} processed in ", rows(counts.processed)),
        Some(counts) => {
            format!("{} processed, {} failed, in ", rows(counts.processed), grouped(counts.failed))
        }
    };
    Sentence::text(what).measure(duration(progress.elapsed)).then(".")
}

fn failed<'a>(run: &'a RunSnapshot, progress: &Progress) -> Sentence<'a> {
    let reason = cause(run).unwrap_or(Cow::Borrowed("the function gave no reason"));
    let line = line(run);
    if run.is_ours() && line.is_none() && progress.rows().is_none_or(|rows| rows == 0) {
        // Nothing was read, so the reason is the whole sentence.
        return Sentence::text(sentence(reason));
    }
    let stopped = match line {
        Some(line) => Sentence::text(format!("Stopped at line {}: ", grouped(line))),
        None => Sentence::text("Stopped: "),
    };
    let stopped = stopped.then(reason).then(".");
    match progress.counts {
        None => stopped,
        Some(counts) if counts.processed == 1 => stopped.then(" 1 row was processed."),
        Some(counts) => stopped.then(format!(" {} were processed.", rows(counts.processed))),
    }
}

/// The line at which a run of our function stopped.
fn line(run: &RunSnapshot) -> Option<u64> {
    failure(run).filter(|_| run.is_ours())?.line
}

fn unknown<'a>(word: &'a str, run: &RunSnapshot, progress: &Progress) -> Sentence<'a> {
    let ended = run.row.ended_at.is_some();
    let state = if ended { "This run ended as " } else { "The engine reports this run as " };
    let counted = progress.rows().map(|count| format!(". {} so far.", rows(count)));
    Sentence::text(state).then(word).then(counted.map_or(Cow::Borrowed("."), Cow::Owned))
}
