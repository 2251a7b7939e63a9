//! Why a call failed.

use std::{io, time::Duration};

use crate::{
    base::limits::bytes_at_most,
    csv::{LayoutError, MOST_COLUMNS},
    files::{Address, FetchError, STORAGE_AWAY, ShareLink, TextKind, UnpackError},
    store::{self, quota::OverQuota},
};

/// Why a call failed. The text is for people: what is wrong, and in a second sentence what helps. The second
/// sentence is missing if the file itself must be corrected, which the page says. The sources are for the
/// log.
#[derive(Debug, thiserror::Error)]
pub(super) enum FailureReason {
    #[error("The event does not name a file.")]
    NoFile,
    #[error("The event's file is not an http or https address.")]
    NotAnAddress,
    #[error(transparent)]
    Fetch(FetchError),
    #[error(transparent)]
    Unpack(UnpackError),
    #[error(
        "The file does not fit: {} of the {} that your imports may take here are used. Delete imports that you no longer need, and run this one again.",
        bytes_at_most(.0.used), bytes_at_most(.0.allowed)
    )]
    OverQuota(OverQuota),
    #[error(
        "The results do not fit: {} of the {} that your imports may take here are used. Delete imports that you no longer need, and run this one again.",
        bytes_at_most(.0.used), bytes_at_most(.0.allowed)
    )]
    ResultsOverQuota(#[from] OverQuota),
    #[error("The file is no longer stored here. Import it again.")]
    FileGone,
    #[error(
        "The failed rows are no longer stored here: the import that they come from was deleted before they were copied."
    )]
    FailedRowsGone,
    #[error("{}", header_sentence(.0))]
    Header(LayoutError),
    /// `from` is the address that it was fetched from.
    #[error("This is {kind}, not a CSV. {}", how_to_get_a_csv(.kind, .from.as_ref()))]
    NotCsv { kind: TextKind, from: Option<Address> },
    #[error("The file has no text: no header and no rows.")]
    NoText,
    /// The bytes at the front that were examined.
    #[error(
        "The file has no text in its first {}, only blank lines. Remove them, or import another file.",
        bytes_at_most(*.0)
    )]
    NoTextInFront(u64),
    /// The bytes at the front that were examined.
    #[error(
        "No header was found: every line in the first {} of the file begins with #. Remove these comments, and import the file again.",
        bytes_at_most(*.0)
    )]
    OnlyComments(u64),
    #[error("The link to the uploaded file has expired. Run the import again.")]
    LinkExpired,
    #[error("The run has already ended.")]
    Closed,
    /// The run is being cancelled, and its answer is ignored.
    #[error("The run was stopped.")]
    Stopped,
    /// People see it of a preview. A step waits.
    #[error("Another large file is being unpacked. Try again in a moment.")]
    MemoryInUse,
    /// The engine calls again.
    #[error("The step got no turn in time.")]
    NoTurn,
    #[error("The earlier results of this run are no longer stored here. Run the import again.")]
    WorkGone,
    /// The engine calls again, and may reach a replica of that version.
    #[error("This run was started by a newer version of Runboard, which is not reached at the moment.")]
    NewerReader,
    #[error("This run was started by another version of Runboard. Run the import again.")]
    OtherReader,
    #[error("There is no disk space left for the results. Ask the operator to make room.")]
    DiskFull(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("A stored file could not be read or written. Ask the operator to check the disk.")]
    Io(#[source] io::Error),
    #[error("The storage of the files does not answer. Ask the operator to check it if this goes on.")]
    StorageAway(#[source] io::Error),
    #[error("The run's progress could not be saved or read. Ask the operator to check the database.")]
    Store(#[source] store::Error),
    #[error("The run's progress cannot be read. Run the import again.")]
    Unreadable(#[from] serde_json::Error),
    #[error("Reading the file was interrupted. Run the import again if it does not go on.")]
    BrokeOff(#[from] tokio::task::JoinError),
}

/// A failed call, and where it failed.
#[derive(Debug)]
pub(super) struct FailedCall {
    pub(super) why: FailureReason,
    /// The first line of the file that is in no finished step; None if the call did not read rows.
    pub(super) line: Option<u64>,
}

impl<E: Into<FailureReason>> From<E> for FailedCall {
    fn from(why: E) -> Self {
        Self { why: why.into(), line: None }
    }
}

impl FailureReason {
    /// Whether another attempt may succeed.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Stopped
            | Self::NoTurn
            | Self::NewerReader
            | Self::MemoryInUse
            | Self::DiskFull(_)
            | Self::Io(_)
            | Self::StorageAway(_)
            | Self::Store(_)
            | Self::BrokeOff(_) => true,
            Self::Fetch(error) => error.is_transient(),
            Self::NoFile
            | Self::NotAnAddress
            | Self::OverQuota(_)
            | Self::ResultsOverQuota(_)
            | Self::FileGone
            | Self::FailedRowsGone
            | Self::Header(_)
            | Self::NotCsv { .. }
            | Self::Unpack(_)
            | Self::NoText
            | Self::NoTextInFront(_)
            | Self::OnlyComments(_)
            | Self::LinkExpired
            | Self::Closed
            | Self::WorkGone
            | Self::OtherReader
            | Self::Unreadable(_) => false,
        }
    }
}

impl FailureReason {
    /// Whether a new run of the same import must fail in the same way, because it reads the same bytes or is
    /// denied access again.
    pub(super) fn is_same_again(&self) -> bool {
        matches!(
            self,
            Self::NotAnAddress
                | Self::FailedRowsGone
                | Self::Header(_)
                | Self::NotCsv { .. }
                | Self::NoText
                | Self::NoTextInFront(_)
                | Self::OnlyComments(_)
                | Self::Unpack(_)
                | Self::Fetch(FetchError::Refused(_))
        )
    }

    /// Why no header was found in `sample`, the front of the file.
    pub(super) fn of_header(error: LayoutError, sample: &[u8]) -> Self {
        let bytes = sample.len() as u64;
        match error {
            LayoutError::TooLong { .. } if is_blank(sample) => Self::NoTextInFront(bytes),
            LayoutError::TooLong { .. } if has_only_comments(sample) => Self::OnlyComments(bytes),
            error => Self::Header(error),
        }
    }

    /// The pause before another attempt, if the address asked for one.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Fetch(error) => error.retry_after(),
            _ => None,
        }
    }
}

impl From<store::Error> for FailureReason {
    fn from(error: store::Error) -> Self {
        if error.is_disk_full() { Self::DiskFull(error.into()) } else { Self::Store(error) }
    }
}

impl From<io::Error> for FailureReason {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull(error.into()),
            STORAGE_AWAY => Self::StorageAway(error),
            _ => Self::Io(error),
        }
    }
}

impl From<FetchError> for FailureReason {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Storage(error) => error.into(),
            error => Self::Fetch(error),
        }
    }
}

/// Whether the front of a file is white space.
fn is_blank(sample: &[u8]) -> bool {
    let mut chunks = sample.utf8_chunks();
    let is_nothing = |c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}');
    chunks.all(|chunk| chunk.invalid().is_empty() && chunk.valid().chars().all(is_nothing))
}

/// Whether the front of a file is several lines that all begin with `#`.
fn has_only_comments(sample: &[u8]) -> bool {
    let sample = sample.strip_prefix(b"\xef\xbb\xbf").unwrap_or(sample);
    let mut lines = sample.split(|byte| matches!(byte, b'\r' | b'\n')).filter(|line| !line.is_empty());
    lines.clone().nth(1).is_some() && lines.all(|line| line.starts_with(b"#"))
}

fn how_to_get_a_csv(kind: &TextKind, from: Option<&Address>) -> &'static str {
    match (kind, from) {
        (TextKind::WebPage { .. }, Some(address)) => ShareLink::of(address).map_or(
            "Use the address of the file itself, such as its download or export link.",
            ShareLink::how_to_get_the_file,
        ),
        (TextKind::Json | TextKind::JsonLines, Some(_)) => {
            "It may be an error message: open the address in a browser, and use the address of the file itself."
        }
        (TextKind::Nuls { .. }, _) => "Its text was lost: copy or download the file again, and import that.",
        (TextKind::WebPage { .. }, None) => "Download the file itself and import that.",
        (TextKind::GitLfsPointer { .. }, _) => {
            "The file itself is stored elsewhere. Get it with `git lfs pull`, or download it, and import that."
        }
        _ => "Export it as CSV where it comes from and import that.",
    }
}

fn header_sentence(error: &LayoutError) -> String {
    match error {
        LayoutError::QuotesNeverClose => {
            "The header cannot be read: its closing quote is missing.".to_owned()
        }
        LayoutError::TooLong { limit } => {
            format!("The header is longer than {}.", bytes_at_most(*limit as u64))
        }
        LayoutError::TooManyColumns { columns } => {
            format!("The header has {columns} columns, more than the {MOST_COLUMNS} that can be imported.")
        }
        LayoutError::NeedMore => "The header does not end.".to_owned(),
        LayoutError::NoTable => "No table was found. Upload the rows and columns as CSV, or choose how the \
                                 file is separated."
            .to_owned(),
        LayoutError::NoSuchLine { line } => {
            format!("The file has no text in line {line}. Choose another line for the header.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_front_without_a_header_says_what_it_has() {
        let said = |sample: &[u8]| {
            let error = LayoutError::TooLong { limit: 1 << 20 };
            FailureReason::of_header(error, sample).to_string()
        };
        let blank = said(&b"\r\n".repeat(1 << 19));
        assert!(blank.starts_with("The file has no text in its first 1 MiB,"), "{blank}");
        let comments = said(&b"## a\n\n#".repeat(1 << 10));
        assert!(comments.starts_with("No header was found: every line in the first 7 KiB"), "{comments}");
        for other in [b"#".repeat(100), b"# a\nid\n".to_vec(), b"id,name".repeat(100)] {
            assert_eq!(said(&other), "The header is longer than 1 MiB.");
        }
    }
}
