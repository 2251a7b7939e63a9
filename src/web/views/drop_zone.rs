//! Where a file or the address of one is given.

use serde::{Deserialize, Serialize};

use crate::base::limits::bytes_at_most;

/// The two forms that import.
#[derive(Clone, Debug)]
pub struct DropZone {
    /// `RUNBOARD_MAX_UPLOAD_BYTES`.
    pub max_bytes: u64,
    /// One of the forms was sent and refused, at least in part.
    pub refused: Option<RefusedForm>,
}

/// What comes back of a form that was refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefusedForm {
    pub form: ImportForm,
    /// What is wrong; of several files, how many were refused.
    pub error: String,
    /// Of several files, what is wrong with each.
    pub each: Vec<String>,
    /// Which files were imported all the same, in a sentence.
    pub imported: Option<String>,
    /// The address as it was typed.
    pub address: String,
}

/// The form that says what is wrong, beside the field to correct.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportForm {
    File,
    Address,
}

impl DropZone {
    #[must_use]
    pub fn refused_file(&self) -> Option<&RefusedForm> {
        self.refused.as_ref().filter(|refused| refused.form == ImportForm::File)
    }

    #[must_use]
    pub fn refused_address(&self) -> Option<&RefusedForm> {
        self.refused.as_ref().filter(|refused| refused.form == ImportForm::Address)
    }

    /// What stands in the address field.
    #[must_use]
    pub fn address(&self) -> &str {
        self.refused.as_ref().map_or("", |refused| &refused.address)
    }

    #[must_use]
    pub fn limit(&self) -> String {
        bytes_at_most(self.max_bytes)
    }
}
