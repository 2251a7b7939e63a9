//! The text of a form about files that were not imported.

use crate::{
    http::upload::{Refused, Typed, UploadError},
    imports::FileName,
    report::format,
    web::views::{ImportForm, RefusedForm},
};

impl Refused {
    /// The most files that are named individually.
    pub const MOST_NAMED: usize = 5;

    /// The text of the form, which names at most `most_named` files.
    #[must_use]
    pub fn told(&self, most_named: usize) -> RefusedForm {
        let (refused, all) = (self.errors.len(), self.errors.len() + self.taken.len());
        let (error, each) = match self.errors.as_slice() {
            [only] if self.taken.is_empty() => (only.to_string(), Vec::new()),
            _ if self.taken.is_empty() => {
                (format!("None of the {refused} files was imported."), self.each(most_named))
            }
            _ => {
                let verb = if refused == 1 { "was" } else { "were" };
                (format!("{refused} of {all} files {verb} not imported."), self.each(most_named))
            }
        };
        let imported = listed(&self.taken, most_named).map(|names| format!("Imported: {names}."));
        let Typed { address, looks } = self.typed.clone();
        RefusedForm { form: self.form(), error, each, imported, address, looks }
    }

    fn form(&self) -> ImportForm {
        match self.errors.as_slice() {
            [UploadError::Both] => ImportForm::File,
            [UploadError::NoAddress] => ImportForm::Address,
            // The error stands beside the address that was typed.
            _ if !self.typed.address.is_empty() => ImportForm::Address,
            _ => ImportForm::File,
        }
    }

    fn each(&self, most_named: usize) -> Vec<String> {
        let named = self.errors.iter().take(most_named).map(ToString::to_string);
        let more = self.errors.len().saturating_sub(most_named);
        let unnamed = (more > 0 && most_named > 0)
            .then(|| format!("{} could not be imported either.", format::counted(more as u64, "more file")));
        named.chain(unnamed).collect()
    }
}

/// `a.csv, b.csv, 3 more files`; None if there are none.
fn listed(files: &[FileName], most_named: usize) -> Option<String> {
    let mut names: Vec<String> = files.iter().take(most_named).map(ToString::to_string).collect();
    match files.len().saturating_sub(most_named) as u64 {
        0 => {}
        more if names.is_empty() => names.push(format::counted(more, "file")),
        more => names.push(format::counted(more, "more file")),
    }
    (!names.is_empty()).then(|| names.join(", "))
}
