//! Advice after a failure before the first row.

use super::cause::cause;
use crate::imports::Snapshot;

/// What a person can do about an import that failed before its first row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextStep<'a> {
    /// The address that the file was to be fetched from.
    pub address: Option<&'a str>,
    /// None if the cause itself says what to do, after its first sentence, and if another function failed,
    /// because it is then unknown what helps.
    pub advice: Option<&'static str>,
}

impl<'a> NextStep<'a> {
    /// For an import that failed before its first row.
    #[must_use]
    pub fn of(snapshot: &'a Snapshot) -> Self {
        let address = snapshot.fetched_from.as_ref().map(|from| from.address.as_str());
        let is_file_to_blame = snapshot.runs.iter().all(|run| run.is_ours());
        let cause_advises = snapshot.runs.iter().filter_map(cause).any(|cause| cause.contains(". "));
        let advice = match (&snapshot.row.refused, &address) {
            (Some(_), _) => {
                Some("Ask the operator to check the engine's settings, then run the import again.")
            }
            _ if !is_file_to_blame || cause_advises => None,
            (None, Some(_)) => Some("Open the address in a browser to check it, then run the import again."),
            (None, None) => Some("Correct the file and import it again."),
        };
        Self { address, advice }
    }
}
