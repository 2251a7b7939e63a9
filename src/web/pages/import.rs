//! An import's page.

use std::time::Duration;

use askama::Template;

use crate::{
    imports::Snapshot,
    web::{
        format::bytes,
        views::{Frame, ImportPanel, Reading},
    },
};

#[derive(Clone, Debug, Template)]
#[template(path = "pages/import.html")]
pub struct ImportPage {
    pub frame: Frame,
    pub file_name: String,
    pub size: String,
    pub panel: ImportPanel,
}

impl ImportPage {
    /// `pace` is how long a browser is to wait before it asks for the panel again.
    #[must_use]
    pub fn new(frame: Frame, snapshot: &Snapshot, reading: &Reading, pace: Duration) -> Self {
        Self {
            frame,
            file_name: snapshot.file_name.clone(),
            size: bytes(snapshot.size_bytes),
            panel: ImportPanel::new(snapshot, reading, pace),
        }
    }
}
