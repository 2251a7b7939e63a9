//! What the replicas tell each other about runs. Lost messages only make things known later.

use serde::{Deserialize, Serialize};

use super::{ProgressReport, ReadSince, Receiving, inbox::News};
use crate::{
    base::{
        ids::{EventId, RunId},
        time::UnixMillis,
    },
    csv::{Counts, FirstRows, ReadAs, Stretches},
    inngest::Run,
    replicas::Message,
    store::executions::Execution,
};

/// A larger run is not even written as JSON: it does not fit into a message.
const MOST_RUN_BYTES: usize = 64 << 10;

/// News for the watcher of an event, wherever it is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct NewsMessage {
    pub(super) event: EventId,
    pub(super) news: NewsWord,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum NewsWord {
    Run {
        run: Box<Run>,
        /// The run itself is written without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        function_name: Option<String>,
    },
    Missed,
    Soon,
    Look,
}

impl From<&News> for NewsWord {
    fn from(news: &News) -> Self {
        match news {
            News::Run(run) if run.bytes() <= MOST_RUN_BYTES => {
                Self::Run { run: Box::new(Run::clone(run)), function_name: run.function_name.clone() }
            }
            News::Run(_) | News::Missed => Self::Missed,
            News::Soon => Self::Soon,
            News::Look => Self::Look,
        }
    }
}

impl Message for NewsMessage {
    const TOPIC: &'static str = "progress.news";
}

/// The progress of a run as one replica knows it, and what that replica does for the run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RunMessage {
    /// The process that tells it.
    pub(super) from: u64,
    pub(super) run: RunId,
    /// Whether a step is active there, and whether a call waits there for its slot.
    pub(super) is_at_work: bool,
    pub(super) is_waiting: bool,
    pub(super) counts: Counts,
    pub(super) bytes: u64,
    pub(super) total_bytes: u64,
    pub(super) total_rows: u64,
    /// When another function last reported; 0 means never.
    pub(super) reported_at: UnixMillis,
    /// How many milliseconds ago something was last heard. Not a time: the clocks of two machines differ.
    pub(super) heard_ago: Option<u64>,
    pub(super) receiving: Option<Receiving>,
    pub(super) read_since: Option<ReadSince>,
    pub(super) file_name: Option<String>,
    pub(super) execution: Option<Execution>,
    /// How many milliseconds ago our function's last call set it.
    pub(super) called_ago: Option<u64>,
    /// None if they have not changed, or the message would be too large.
    pub(super) stretches: Option<Stretches>,
}

impl Message for RunMessage {
    const TOPIC: &'static str = "progress.run";
}

/// What the plan of a run says to people. Told once; later it is in the database.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FrontMessage {
    pub(super) run: RunId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) first_rows: Option<FirstRows>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) read_as: Option<ReadAs>,
}

impl Message for FrontMessage {
    const TOPIC: &'static str = "progress.front";
}

/// A run has ended, and this is recorded.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct OverMessage {
    pub(super) run: RunId,
}

impl Message for OverMessage {
    const TOPIC: &'static str = "progress.over";
}

/// The active step of a run must stop.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StopMessage {
    pub(super) run: RunId,
}

impl Message for StopMessage {
    const TOPIC: &'static str = "progress.stop";
}

/// Another function has reported its progress, for the replica that watches the run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ReportMessage {
    pub(super) run: RunId,
    pub(super) report: ProgressReport,
}

impl Message for ReportMessage {
    const TOPIC: &'static str = "progress.report";
}

/// What one replica has learned about the engine.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum EngineMessage {
    /// It calls us.
    Reached,
    /// It has reported the end of a run.
    ReportsEnds,
    /// It has not reported one, or was not asked to.
    MissesEnds,
}

impl Message for EngineMessage {
    const TOPIC: &'static str = "progress.engine";
}
