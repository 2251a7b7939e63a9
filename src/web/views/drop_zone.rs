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
    /// It was the file that was refused, or that there was none.
    #[must_use]
    pub fn is_file_refused(&self) -> bool {
        self.refused.as_ref().is_some_and(|refused| !refused.is_address_wrong)
    }

    #[must_use]
    pub fn is_address_refused(&self) -> bool {
        self.refused.as_ref().is_some_and(|refused| refused.is_address_wrong)
    }

    #[must_use]
    pub fn limit(&self) -> String {
        bytes_at_most(self.max_bytes)
    }
}
