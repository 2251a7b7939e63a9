//! The dashboard: give a file, what is going on now, what is done.

use askama::Template;

use crate::web::views::{DropZone, Frame, History, LiveSection};

#[derive(Clone, Debug, Template)]
#[template(path = "pages/dashboard.html")]
pub struct DashboardPage {
    pub frame: Frame,
    pub drop_zone: DropZone,
    pub live: LiveSection,
    pub history: History,
}

impl DashboardPage {
    /// The user has never imported anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live.cards.is_empty() && self.history.rows.is_empty() && !self.history.is_continued
    }
}
