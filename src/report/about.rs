//! The lines below an import's name. They are live, because some of their content is known only later.

use super::{
    block::may_be_ours,
    first_rows::was_read,
    format::{bytes, counted},
    moment::Moment,
    reading::{plain_reading_line, reading_line},
};
use crate::{
    base::time::UnixMillis,
    imports::{RunSnapshot, Snapshot},
    store::imports::Relative,
};

/// The file's format and size, and the related imports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About<'a> {
    /// How it is read, in a sentence, or that it is not.
    pub how_read: String,
    /// The file has the form of our `failed.csv`.
    pub is_failed_csv: bool,
    /// The file's size, or the host that it is fetched from, and the number of its columns.
    pub size: String,
    /// The import that this one is a retry of.
    pub parent: Option<&'a Relative>,
    /// Each with the time at which it was made.
    pub retries: Vec<(&'a Relative, Moment)>,
}

impl<'a> About<'a> {
    #[must_use]
    pub fn of(snapshot: &'a Snapshot, is_over: bool, now: UnixMillis) -> Self {
        let first = snapshot.runs.iter().find_map(RunSnapshot::first_rows);
        let read_as = snapshot.runs.iter().find_map(RunSnapshot::read_as);
        let may_be_ours = snapshot.runs.is_empty() || snapshot.runs.iter().any(may_be_ours);
        let mut size = match &snapshot.fetched_from {
            Some(from) => match &from.downloaded_from {
                None => format!("From {}", from.host),
                Some(host) if *host == from.host => format!("From {host}, by the link's download address"),
                Some(host) => format!("From {}, by the link's download address at {host}", from.host),
            },
            None => bytes(snapshot.row.size_bytes),
        };
        if let Some(first) = first {
            size.push_str(&format!(", {}", counted(first.columns as u64, "column")));
        }
        Self {
            how_read: match (read_as, first) {
                (Some(read_as), first) => reading_line(read_as, first.map(|first| first.columns)),
                (None, Some(first)) => plain_reading_line(Some(first.header_line)),
                (None, None) if was_read(snapshot) => plain_reading_line(None),
                (None, None) if !may_be_ours => "Read by other functions".to_owned(),
                (None, None) if snapshot.row.held_until.is_some() => "Not imported yet".to_owned(),
                (None, None) if is_over => "Not read".to_owned(),
                (None, None) => "Not read yet".to_owned(),
            },
            is_failed_csv: first.is_some_and(|first| first.is_failed_csv),
            size,
            parent: snapshot.row.parent.as_ref(),
            retries: snapshot
                .retries
                .iter()
                .map(|retry| (retry, Moment::new(retry.id.made_at(), now)))
                .collect(),
        }
    }
}
