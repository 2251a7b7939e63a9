//! The parts that pages are made of: view models, made from a [`Snapshot`](crate::imports::Snapshot)
//! and rendered by the template of the same name under `templates/fragments`.

mod about;
mod badge;
mod bar;
mod block;
mod cause;
mod detail;
mod drop_zone;
mod excerpt;
mod findings;
mod first_rows;
mod history;
mod live;
mod moment;
mod panel;
mod plot;
mod progress;
mod sentence;
mod tab;
mod timeline;
mod volatile;

use crate::base::time::UnixMillis;

pub use about::About;
pub use badge::{Badge, FailedRows, Shown, StateIcon, Tone};
pub use bar::Bar;
pub use block::{Block, RunData};
pub use detail::{RunDetail, ShownOutput, TechnicalDetail};
pub use drop_zone::{DropZone, ImportForm, RefusedForm};
pub use excerpt::{Excerpt, Piece};
pub use findings::{Column, Example, Findings, Group, RepeatedName, WhyFailed};
pub use first_rows::{FirstRows, FirstRowsTable, ShownCell, ShownColumn, ShownRow};
pub use history::{Choice, History, HistoryFilter, HistoryRow, HistoryRun};
pub use live::{ImportCard, LiveSection};
pub use moment::Moment;
pub use panel::{Actions, Cancel, ImportPanel, NextStep, Place, RunAgain};
pub use plot::{Ahead, Axis, Plot, TableRow};
pub use progress::{Figure, Figures, Progress, Receipt, Total};
pub use sentence::{Notice, Part, Sentence};
pub use tab::Tab;
pub use timeline::{Entry, Timeline, When};
pub use volatile::{AsOf, Mark, Rendered, Ticking, render};

/// Shown in every footer.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The engine that runs the functions, as people are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineName {
    Embedded,
    Inngest,
}

impl EngineName {
    /// At the start of a sentence.
    fn subject(self) -> &'static str {
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

/// What every view is made with, besides a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    pub now: UnixMillis,
    pub engine: EngineName,
}

/// Around every page of a signed-in user.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The user's.
    pub email: String,
    pub engine: EngineName,
    /// `RUNBOARD_MAX_UPLOAD_BYTES`.
    pub max_upload_bytes: u64,
}

impl Frame {
    /// Of a page on which files can be dropped anywhere.
    #[must_use]
    pub fn drop_zone(&self) -> DropZone {
        DropZone { max_bytes: self.max_upload_bytes, refused: None }
    }
}
