//! Where a file is given.

use crate::web::format::bytes_at_most;

/// The form that uploads a file.
#[derive(Clone, Debug)]
pub struct DropZone {
    /// `RUNBOARD_MAX_UPLOAD_BYTES`.
    pub max_bytes: u64,
    /// Why the last upload was refused.
    pub error: Option<String>,
}

impl DropZone {
    #[must_use]
    pub fn limit(&self) -> String {
        bytes_at_most(self.max_bytes)
    }
}
