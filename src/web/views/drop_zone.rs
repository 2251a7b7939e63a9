//! Where a file or the address of one is given.

use crate::web::format::bytes_at_most;

/// The form that imports.
#[derive(Clone, Debug)]
pub struct DropZone {
    /// `RUNBOARD_MAX_UPLOAD_BYTES`.
    pub max_bytes: u64,
    /// The form was sent and refused.
    pub refused: Option<RefusedForm>,
}

/// What comes back of a form that was refused.
#[derive(Clone, Debug)]
pub struct RefusedForm {
    /// Why.
    pub error: String,
    /// The address as it was typed.
    pub address: String,
    /// It was the address that is wrong.
    pub is_address_wrong: bool,
}

impl DropZone {
    #[must_use]
    pub fn limit(&self) -> String {
        bytes_at_most(self.max_bytes)
    }
}
