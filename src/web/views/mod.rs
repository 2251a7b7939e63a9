//! The parts of pages. Their content comes from [`report`](crate::report) and is rendered here by the
//! templates under `templates/fragments`.

mod bar;
mod change_form;
mod drop_zone;
mod history;
mod html;
mod live;
mod panel;
mod plot;
mod tab;
mod volatile;

pub use change_form::{ChangeForm, FormField, LastTime, Offered, OtherValue, PreviewFragment};
pub use drop_zone::{DropZone, ImportForm, RefusedForm};
pub use history::{Choice, HistoryFilter, HistorySection};
pub use html::Html;
pub use live::LiveSection;
pub use panel::ImportPanel;
pub use plot::{AheadLine, Drawing};
pub use tab::Tab;
pub use volatile::{Mark, Rendered, render};

use crate::report::{
    EngineName,
    progress::{Figures, Progress},
};

/// The figures of an import about which nothing is known yet.
#[must_use]
pub fn no_figures() -> Figures {
    Progress::unknown().figures(false)
}

/// The frame of every page of a signed-in user.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The user's e-mail address.
    pub email: String,
    pub engine: EngineName,
    /// `RUNBOARD_MAX_UPLOAD_BYTES`.
    pub max_upload_bytes: u64,
}

impl Frame {
    /// The drop zone of a page that accepts dropped files anywhere.
    #[must_use]
    pub fn drop_zone(&self) -> DropZone {
        DropZone { max_bytes: self.max_upload_bytes, refused: None }
    }
}
