//! The description of an import for people and programs, made from its
//! [`Snapshot`](crate::imports::Snapshot): plain text and typed values, no markup. `web/views` renders them.

pub mod about;
pub mod actions;
pub mod badge;
pub mod bar;
pub mod block;
pub mod card;
mod cause;
pub mod chosen;
pub mod detail;
pub mod encodings;
pub mod ended;
pub mod excerpt;
pub mod findings;
pub mod first_rows;
pub mod format;
pub mod guest;
pub mod history;
pub mod moment;
pub mod next_step;
mod notes;
pub mod plot;
pub mod present_values;
pub mod preview;
pub mod progress;
pub mod reading;
pub mod sentence;
pub mod state_text;
pub mod timeline;

use self::guest::Audience;
use crate::base::time::UnixMillis;

/// The engine that runs the functions, as people see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineName {
    Embedded,
    Inngest,
}

impl EngineName {
    /// At the start of a sentence.
    #[must_use]
    pub fn subject(self) -> &'static str {
        match self {
            Self::Embedded => "The engine",
            Self::Inngest => "Inngest",
        }
    }

    /// After "Runs on".
    #[must_use]
    pub fn in_footer(self) -> &'static str {
        match self {
            Self::Embedded => "the embedded engine",
            Self::Inngest => "Inngest",
        }
    }
}

/// The inputs of every report besides a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct ReportInputs {
    pub now: UnixMillis,
    pub engine: EngineName,
    pub audience: Audience,
}
