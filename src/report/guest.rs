//! What a guest may know of an import: somebody who has a link to it and no account.

use std::{fmt, sync::Arc};

use crate::{
    base::ids::ImportId,
    csv::{Choices, FirstRows},
    imports::{FetchedFrom, RunSnapshot, Snapshot},
    store::imports::Relative,
};

/// Who reads a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The owner of the import.
    Owner,
    /// A guest. `sees_rows`: also the contents of rows, and the downloads.
    Guest { sees_rows: bool },
}

impl Audience {
    #[must_use]
    pub fn sees_rows(self) -> bool {
        matches!(self, Self::Owner | Self::Guest { sees_rows: true })
    }

    /// Who did what only the owner can do.
    #[must_use]
    pub fn by_the_owner(self) -> &'static str {
        match self {
            Self::Owner => "by you",
            Self::Guest { .. } => "by the owner",
        }
    }
}

/// The path of an import's page for its audience.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PageAt<'a> {
    Own(ImportId),
    /// By the token of a guest link.
    Shared(&'a str),
}

impl fmt::Display for PageAt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(import) => write!(f, "/imports/{import}"),
            Self::Shared(token) => write!(f, "/shared/{token}"),
        }
    }
}

/// Writes no token: it opens the page.
impl fmt::Debug for PageAt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(import) => write!(f, "Own({import})"),
            Self::Shared(_) => f.write_str("Shared(..)"),
        }
    }
}

/// In place of an error's message. Messages can name addresses and other systems, or say how much an account stores.
const FOR_THE_OWNER: &str = "the reason is shown to the owner only";

/// In place of the name of a file that is called after its host.
const NAMELESS: &str = "A file from an address";

/// In place of the host that a file is fetched from.
const SOME_ADDRESS: &str = "an address";

/// A copy of the import that lacks everything a guest may not see: the address of its file, its relatives, outputs, and
/// the messages of errors. Only if the guest `sees_rows`, it keeps rows, and the messages of our own function about an
/// uploaded file, which quote the file.
#[must_use]
pub fn for_guests(snapshot: &Snapshot, sees_rows: bool) -> Snapshot {
    let mut shown = snapshot.clone();
    let row = Arc::make_mut(&mut shown.row);
    row.event_id = String::new().into();
    row.source_url = None;
    row.failed_rows_of = None;
    row.choices = Choices::default();
    row.refused = row.refused.as_ref().map(|_| FOR_THE_OWNER.to_owned());
    // That it is a re-run stays, but not of which import.
    row.parent = row.parent.as_ref().map(|parent| Relative {
        id: row.id,
        file_name: String::new(),
        retry_of: parent.retry_of,
        choices: Choices::default(),
    });
    shown.retries = Arc::default();
    let quotes_the_file = sees_rows && shown.fetched_from.is_none();
    let is_nameless =
        |name: &str| snapshot.fetched_from.as_ref().is_some_and(|from| is_host(name, &from.host));
    if is_nameless(&row.file_name) {
        NAMELESS.clone_into(&mut row.file_name);
    }
    shown.fetched_from = shown.fetched_from.as_ref().map(|_| {
        let from =
            FetchedFrom { host: SOME_ADDRESS.to_owned(), address: String::new(), downloaded_from: None };
        Arc::new(from)
    });
    for run in &mut shown.runs {
        if let Some(name) = run.live.as_mut().and_then(|live| live.file_name.as_mut())
            && is_nameless(name)
        {
            *name = NAMELESS.into();
        }
        hide_messages(run, quotes_the_file);
        if !sees_rows {
            hide_rows(run);
        }
    }
    shown
}

/// Whether a file without a name of its own is called after the host that it is fetched from.
fn is_host(file_name: &str, host: &str) -> bool {
    file_name == host || host.rsplit_once(':').is_some_and(|(without_port, _)| file_name == without_port)
}

fn hide_messages(run: &mut RunSnapshot, quotes_the_file: bool) {
    let is_ours = run.is_ours();
    let row = Arc::make_mut(&mut run.row);
    let mut about_the_file = None;
    if let Some(output) = &mut row.output {
        (output.excerpt, output.is_whole, output.bytes) = ("".into(), true, 0);
        if let Some(failure) = &mut output.failure {
            if is_ours && quotes_the_file && failure.same_again {
                about_the_file.clone_from(&failure.message);
            } else {
                failure.message = failure.message.as_ref().map(|_| FOR_THE_OWNER.to_owned());
            }
        }
    }
    let hide = |message: &mut String| {
        if about_the_file.as_ref() != Some(message) {
            FOR_THE_OWNER.clone_into(message);
        }
    };
    if let Some(execution) = &mut row.execution {
        execution.error.iter_mut().for_each(|error| hide(&mut error.message));
        execution.earlier.iter_mut().for_each(|failed| hide(&mut failed.message));
    }
    if let Some(live) = &mut run.live
        && let Some(execution) = &live.execution
    {
        let mut shown = (**execution).clone();
        shown.error.iter_mut().for_each(|error| hide(&mut error.message));
        shown.earlier.iter_mut().for_each(|failed| hide(&mut failed.message));
        live.execution = Some(Arc::new(shown));
    }
}

fn hide_rows(run: &mut RunSnapshot) {
    let told = run.live.as_mut().map(|live| &mut live.first_rows);
    for first_rows in [Some(&mut run.committed.first_rows), told].into_iter().flatten() {
        // How the file was read is still said.
        *first_rows = first_rows
            .as_ref()
            .map(|known| Arc::new(FirstRows { header: Vec::new(), rows: Vec::new(), ..(**known).clone() }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_not_logged_with_its_token() {
        let at = PageAt::Shared("qNnv4lXyOXbw-tIyINtVnA06r1Ym5DyGjiU1tCLVhQk");
        assert_eq!(at.to_string(), "/shared/qNnv4lXyOXbw-tIyINtVnA06r1Ym5DyGjiU1tCLVhQk");
        assert_eq!(format!("{at:?}"), "Shared(..)");
    }

    #[test]
    fn a_file_that_is_called_after_its_host_is_recognised() {
        for (file_name, host) in
            [("db.internal", "db.internal"), ("db.internal", "db.internal:8080"), ("[::1]", "[::1]:80")]
        {
            assert!(is_host(file_name, host), "{host}");
        }
        assert!(!is_host("orders.csv", "db.internal:8080"));
    }
}
