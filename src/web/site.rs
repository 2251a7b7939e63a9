//! The settings that pages share.

use std::time::Duration;

use super::{versions::Versions, views::Frame};
use crate::{
    base::time::UnixMillis,
    http::principal::Principal,
    imports::{ImportState, InProgress, Snapshot},
    report::{EngineName, ReportInputs, guest::Audience},
};

/// While rows are read, so that the numbers move.
const RUNNING_PACE: Duration = Duration::from_millis(250);
/// While something is about to happen.
const WAITING_PACE: Duration = Duration::from_millis(500);
/// While no function accepts the event.
pub const IDLE_PACE: Duration = Duration::from_secs(5);

/// The same for all requests.
#[derive(Debug)]
pub struct Site {
    pub engine: EngineName,
    /// `RUNBOARD_MAX_UPLOAD_BYTES`.
    pub max_upload_bytes: u64,
    /// The versions of the panels that open pages show.
    pub panels: Versions<Snapshot>,
    pub sections: Versions<InProgress>,
}

impl Site {
    #[must_use]
    pub fn report_inputs(&self) -> ReportInputs {
        ReportInputs { now: UnixMillis::now(), engine: self.engine, audience: Audience::Owner }
    }

    #[must_use]
    pub fn frame(&self, user: &Principal) -> Frame {
        Frame { email: user.email.to_string(), engine: self.engine, max_upload_bytes: self.max_upload_bytes }
    }
}

/// How long a browser that shows imports in these states waits before it polls again.
#[must_use]
pub fn pace(states: impl IntoIterator<Item = ImportState>) -> Duration {
    let paces = states.into_iter().map(|state| match state {
        ImportState::Running => RUNNING_PACE,
        ImportState::Accepted | ImportState::Sent => WAITING_PACE,
        _ => IDLE_PACE,
    });
    paces.min().unwrap_or(IDLE_PACE)
}
