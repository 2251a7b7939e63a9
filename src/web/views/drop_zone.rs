//! The form in which a file or an address is given.

use serde::{Deserialize, Serialize};

use crate::base::limits::bytes_at_most;

/// The form that imports.
#[derive(Clone, Debug)]
pub struct DropZone {
    /// `RUNBOARD_MAX_UPLOAD_BYTES`.
    pub max_bytes: u64,
    /// Set if the form was sent and refused, at least in part.
    pub refused: Option<RefusedForm>,
}

/// The content of a refused form.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefusedForm {
    pub form: ImportForm,
    /// The error; for several files, how many were refused.
    pub error: String,
    /// For several files, the error of each.
    pub each: Vec<String>,
    /// The files that were imported, in a sentence.
    pub imported: Option<String>,
    /// The address as it was typed.
    pub address: String,
    /// Whether "Look at it first" was ticked.
    pub looks: bool,
}

/// The half of the form that shows the error, beside the field to correct.
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

    /// The text of the address field.
    #[must_use]
    pub fn address(&self) -> &str {
        self.refused.as_ref().map_or("", |refused| &refused.address)
    }

    #[must_use]
    pub fn looks(&self) -> bool {
        self.refused.as_ref().is_some_and(|refused| refused.looks)
    }

    #[must_use]
    pub fn limit(&self) -> String {
        bytes_at_most(self.max_bytes)
    }
}
