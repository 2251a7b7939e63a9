//! Why an upload was refused.

use std::io;

use actix_multipart::MultipartError;
use actix_web::{error::PayloadError, http::StatusCode};

use crate::{
    base::limits::bytes_at_most,
    files::{BinaryKind, NotAnAddress, STORAGE_AWAY},
    http::{error::is_timeout, reading_fields::RefusedField},
    imports::{AcceptError, FileName},
    store::{self, quota::OverQuota},
};

/// The longest accepted address, in bytes: longer than any server supports.
pub(super) const MAX_ADDRESS_BYTES: usize = 8_000;

/// The most files in one form.
pub(super) const MAX_FILES: usize = 100;

/// Why an upload was refused. The text is for the person who sent it.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error("Choose a CSV file or paste an address first.")]
    NothingChosen,
    #[error("Paste an address first.")]
    NoAddress,
    #[error("Choose a file or paste an address, not both. Nothing was imported.")]
    Both,
    #[error("Choose up to {MAX_FILES} files at a time. Nothing was imported.")]
    TooManyFiles,
    #[error("Send one file per request. Nothing was imported.")]
    OneFile,
    #[error("The form has the unknown field \"{0}\". Nothing was imported.")]
    UnknownField(String),
    #[error("The form holds more than files and an address. Nothing was imported.")]
    TooManyFields,
    #[error(transparent)]
    NotAnAddress(#[from] NotAnAddress),
    #[error("{0} Nothing was imported.")]
    Choice(#[from] RefusedField),
    #[error("{0} was not imported. {1}")]
    Sheet(FileName, String),
    #[error("An address cannot be looked at first. Untick it, or download the file and give it here.")]
    LookAtAddress,
    #[error("`look` is for a file: an address cannot be looked at first. Nothing was imported.")]
    LookWithAddress,
    #[error("The address is too long. The limit is {MAX_ADDRESS_BYTES} characters.")]
    AddressTooLong,
    #[error("{0} is empty (0 bytes). Choose a file with a header and rows.")]
    Empty(FileName),
    #[error("{0} is {1}, {instead}. {advice} and try again.", instead = .1.instead_of(), advice = .1.advice())]
    Binary(FileName, BinaryKind),
    #[error("The upload is larger than {}, the limit here. Split it and import the parts.", bytes_at_most(*.limit))]
    TooLarge { limit: u64 },
    #[error(
        "Your imports take {} of the {} that they may take here, and this does not fit. Delete imports that you no longer need and try again.",
        bytes_at_most(.0.used), bytes_at_most(.0.allowed)
    )]
    OverQuota(#[from] OverQuota),
    #[error("The upload was incomplete. Try again.")]
    Broken,
    #[error(
        "The upload stalled: too little of it arrived for half a minute. Nothing was imported; try again."
    )]
    Stalled,
    #[error(
        "There is not enough free disk space for the file and its results. Nothing was stored; try again once the operator has made room."
    )]
    NoSpace,
    #[error("Runboard is stopping. Nothing was stored; try again in a moment.")]
    Stopping,
    #[error("The file could not be stored. Nothing was kept; try again in a moment.")]
    Storage(#[source] io::Error),
    #[error("The storage of the files is not answering. Nothing was stored; try again in a moment.")]
    StorageAway(#[source] io::Error),
    #[error("Runboard cannot reach its database. Nothing was stored; try again in a moment.")]
    DatabaseAway(#[source] store::Error),
    #[error(
        "The database stopped answering while the import was being recorded. If it was recorded, it appears in your imports once the database answers; look there before you try again."
    )]
    InDoubt(#[source] store::Error),
    #[error("{0} was not tried, because the database is not answering.")]
    NotTried(FileName),
    #[error("This Idempotency-Key was sent with another request. Nothing was imported; send a new key.")]
    KeyUsed,
    #[error("The import could not be recorded. Nothing was kept; try again in a moment.")]
    Record(#[source] store::Error),
}

/// The most characters of a field's name that an error repeats.
const LONGEST_FIELD_SHOWN: usize = 60;

impl UploadError {
    pub(super) fn unknown_field(name: &str) -> Self {
        let shown = name.chars().filter(|c| !c.is_control()).take(LONGEST_FIELD_SHOWN);
        Self::UnknownField(shown.collect())
    }

    /// Whether the import may be recorded nevertheless.
    pub(super) fn is_in_doubt(&self) -> bool {
        matches!(self, Self::InDoubt(_))
    }

    /// Whether the error is ours, not the sender's.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        matches!(
            self,
            Self::NoSpace
                | Self::Storage(_)
                | Self::StorageAway(_)
                | Self::DatabaseAway(_)
                | Self::InDoubt(_)
                | Self::Record(_)
        )
    }

    /// Whether the database gave no answer, so that no further query should be made.
    #[must_use]
    pub fn is_database_away(&self) -> bool {
        matches!(self, Self::DatabaseAway(_) | Self::InDoubt(_) | Self::NotTried(_))
    }

    /// The name that programs know it by, and the title of its answer.
    #[must_use]
    pub fn kind(&self) -> (&'static str, &'static str) {
        match self {
            Self::NothingChosen
            | Self::NoAddress
            | Self::Both
            | Self::TooManyFiles
            | Self::OneFile
            | Self::UnknownField(_)
            | Self::NotAnAddress(_)
            | Self::Choice(_)
            | Self::Sheet(..)
            | Self::LookAtAddress
            | Self::LookWithAddress
            | Self::AddressTooLong => ("not-accepted", "Not accepted"),
            Self::Empty(_) => ("empty-file", "Empty file"),
            Self::Binary(..) => ("not-a-csv", "Not a CSV"),
            Self::TooLarge { .. } | Self::TooManyFields => ("too-large", "Too large"),
            Self::OverQuota(_) => ("over-quota", "No room left"),
            Self::Broken => ("malformed", "Bad request"),
            Self::KeyUsed => ("key-used", "Key used before"),
            Self::Stalled => ("too-slow", "Took too long"),
            Self::NoSpace => ("disk-full", "Disk full"),
            Self::Stopping => ("stopping", "Stopping"),
            Self::DatabaseAway(_) | Self::InDoubt(_) | Self::NotTried(_) => {
                ("database-away", "Database not answering")
            }
            Self::StorageAway(_) => ("storage-away", "Storage not answering"),
            Self::Storage(_) | Self::Record(_) => ("internal", "Something went wrong"),
        }
    }

    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NothingChosen
            | Self::NoAddress
            | Self::Both
            | Self::TooManyFiles
            | Self::OneFile
            | Self::UnknownField(_)
            | Self::NotAnAddress(_)
            | Self::Choice(_)
            | Self::Sheet(..)
            | Self::LookAtAddress
            | Self::LookWithAddress
            | Self::AddressTooLong
            | Self::Empty(_)
            | Self::Binary(..) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooLarge { .. } | Self::OverQuota(_) | Self::TooManyFields => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Broken => StatusCode::BAD_REQUEST,
            Self::KeyUsed => StatusCode::CONFLICT,
            Self::Stalled => StatusCode::REQUEST_TIMEOUT,
            Self::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
            Self::Stopping
            | Self::StorageAway(_)
            | Self::DatabaseAway(_)
            | Self::InDoubt(_)
            | Self::NotTried(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Storage(_) | Self::Record(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<io::Error> for UploadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
            STORAGE_AWAY => Self::StorageAway(error),
            _ => Self::Storage(error),
        }
    }
}

impl From<PayloadError> for UploadError {
    fn from(why: PayloadError) -> Self {
        if is_timeout(&why) { Self::Stalled } else { Self::Broken }
    }
}

impl From<MultipartError> for UploadError {
    fn from(why: MultipartError) -> Self {
        match why {
            MultipartError::Payload(why) => why.into(),
            _ => Self::Broken,
        }
    }
}

impl From<AcceptError> for UploadError {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::Storage(error) => error.into(),
            AcceptError::Store(error) => error.into(),
            AcceptError::KeyUsed => Self::KeyUsed,
        }
    }
}

impl From<store::Error> for UploadError {
    fn from(error: store::Error) -> Self {
        match error {
            error if error.is_disk_full() => Self::NoSpace,
            store::Error::InDoubt(_) => Self::InDoubt(error),
            error if store::is_away(&error) => Self::DatabaseAway(error),
            error => Self::Record(error),
        }
    }
}
