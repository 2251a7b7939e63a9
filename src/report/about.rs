//! The lines below an import's name. They are live, because some of their content is known only later.

use super::{
    block::may_be_ours,
    first_rows::was_read,
    format::{bytes, counted},
};
use crate::{
    imports::{RunSnapshot, Snapshot},
    store::imports::Relative,
};

/// The file's format and size, and the related imports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About<'a> {
    pub taken_for: &'static str,
    /// The file's size, or the host that it is fetched from, and the number of its columns.
    pub size: String,
    /// The import that this one is a retry of.
    pub parent: Option<&'a Relative>,
    pub retries: &'a [Relative],
}

impl<'a> About<'a> {
    #[must_use]
    pub fn of(snapshot: &'a Snapshot, is_over: bool) -> Self {
        let first = snapshot.runs.iter().find_map(RunSnapshot::first_rows);
        let may_be_ours = snapshot.runs.is_empty() || snapshot.runs.iter().any(may_be_ours);
        let mut size = match &snapshot.fetched_from {
            Some(address) => format!("From {}", address.host),
            None => bytes(snapshot.row.size_bytes),
        };
        if let Some(first) = first {
            size.push_str(&format!(", {}", counted(first.columns as u64, "column")));
        }
        Self {
            taken_for: match first {
                Some(first) if first.is_failed_csv => {
                    "Read as comma-separated UTF-8; recognised as failed rows of an earlier import, the columns that \
                     Runboard added left out"
                }
                Some(_) => "Read as comma-separated UTF-8",
                None if was_read(snapshot) => "Read as comma-separated UTF-8",
                None if !may_be_ours => "Read by other functions",
                None if is_over => "Not read",
                None => "Not read yet",
            },
            size,
            parent: snapshot.row.parent.as_ref(),
            retries: &snapshot.retries,
        }
    }
}
