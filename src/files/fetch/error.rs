//! Why a file could not be fetched.

use std::{io, time::Duration};

use reqwest::StatusCode;

use super::MOST_REDIRECTS;
use crate::files::{BinaryKind, UnpackError, connect::TargetError, guard::AddressRefusal};

/// Why a file could not be fetched. The text is part of a sentence for people, and says only what the owner
/// of the import may know about the address.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error(transparent)]
    Refused(#[from] AddressRefusal),
    #[error("the host {0} was not found")]
    NameNotFound(String),
    #[error("the address could not be reached")]
    Unreachable(#[source] reqwest::Error),
    /// The user may not have typed https: an address without a scheme is taken as https.
    #[error(
        "the address could not be reached by https, which is used unless http:// is in front. If the site offers http alone, import the address again with http:// in front"
    )]
    UnreachableByHttps(#[source] reqwest::Error),
    #[error("the address did not answer in time")]
    NoAnswer,
    #[error("the address answered {}", .0.as_u16())]
    Status(StatusCode),
    /// The server is busy and says when to retry.
    #[error("the address answered {}", .status.as_u16())]
    Busy { status: StatusCode, retry_after: Duration },
    #[error("the address redirects more than {MOST_REDIRECTS} times")]
    TooManyRedirects,
    #[error("the address redirects to an invalid address")]
    RedirectToNowhere,
    #[error("the address sent the file compressed in a way that Runboard does not read")]
    Compressed,
    #[error("the address sent the file compressed, and it cannot be decompressed")]
    Undecodable(#[source] UnpackError),
    #[error("the file is larger than the limit here")]
    TooLarge,
    #[error("the file is empty (0 bytes)")]
    Empty,
    #[error("the file is {0}, {instead}", instead = .0.instead_of())]
    Binary(BinaryKind),
    #[error("the connection dropped before the file was complete")]
    CutOff(#[source] Option<reqwest::Error>),
    #[error("the file arrived too slowly")]
    TooSlow,
    /// Another attempt would start at the first byte again and hold a worker for as long.
    #[error("the file took too long to arrive")]
    TooLong,
    #[error("the file is not wanted any more")]
    Unwanted,
    #[error("this machine cannot make secure connections")]
    NoTls(#[source] reqwest::Error),
    #[error("the file could not be stored")]
    Storage(#[from] io::Error),
}

impl FetchError {
    /// Whether another attempt may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NameNotFound(_)
            | Self::Unreachable(_)
            | Self::UnreachableByHttps(_)
            | Self::NoAnswer
            | Self::CutOff(_)
            | Self::TooSlow
            | Self::Busy { .. }
            | Self::Storage(_) => true,
            Self::Status(status) => {
                status.is_server_error()
                    || matches!(*status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
            }
            Self::Refused(_)
            | Self::TooLong
            | Self::TooManyRedirects
            | Self::RedirectToNowhere
            | Self::Compressed
            | Self::Undecodable(_)
            | Self::TooLarge
            | Self::Empty
            | Self::Binary(_)
            | Self::Unwanted
            | Self::NoTls(_) => false,
        }
    }
}

impl FetchError {
    /// How long the server asks us to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }
}

impl From<TargetError> for FetchError {
    fn from(error: TargetError) -> Self {
        match error {
            TargetError::Refused(refusal) => Self::Refused(refusal),
            TargetError::NameNotFound(name) => Self::NameNotFound(name),
            // The address of an import has one.
            TargetError::NoHost => Self::RedirectToNowhere,
        }
    }
}
