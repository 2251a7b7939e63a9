//! `POST /imports`: a file streams in, an import comes out.

use std::io;

use actix_multipart::Multipart;
use actix_web::{
    HttpRequest,
    http::{StatusCode, header},
};
use futures_util::TryStreamExt;

use super::format;
use crate::{
    imports::{AcceptError, FileName},
    source::{BinaryKind, Incoming, Storage},
    time::UnixMillis,
};

/// The form's only field; others are let pass unread.
const FIELD: &str = "file";

/// More than a form has around its file: boundaries, headers, and a name of the longest kind. A body
/// that is announced with more than the limit and this holds a file over the limit.
const FORM_BYTES: u64 = 64 << 10;

/// A file that was received whole, not kept yet.
#[derive(Debug)]
pub struct Upload {
    pub file_name: FileName,
    pub receiving_at: UnixMillis,
    pub file: Incoming,
}

/// Why an upload was not taken. The text is for the person who sent it.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error("Choose a CSV file first.")]
    NothingChosen,
    #[error("{0} is empty: it has 0 bytes. Choose a file with a header and rows.")]
    Empty(FileName),
    #[error("{0} is {1}, not a CSV. Save or export it as CSV and try again.")]
    Binary(FileName, BinaryKind),
    #[error("The file is larger than {}, the most that is taken here. Split it and import the parts.", format::bytes_at_most(*.limit))]
    TooLarge { limit: u64 },
    #[error("The upload did not arrive whole. Try again.")]
    Broken,
    #[error(
        "There is not enough free space here for the file and its results. Nothing of it was stored; try again once whoever runs this Runboard has made room."
    )]
    NoSpace,
    #[error("Runboard is being stopped. Nothing of the file was stored; send it again in a moment.")]
    Stopping,
    #[error("The file could not be stored. Nothing of it was kept; try again in a moment.")]
    Storage(#[source] io::Error),
    #[error("The import could not be recorded. Nothing of it was kept; try again in a moment.")]
    Record(#[source] AcceptError),
}

impl UploadError {
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NothingChosen | Self::Empty(_) | Self::Binary(..) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Broken => StatusCode::BAD_REQUEST,
            Self::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
            Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Self::Storage(_) | Self::Record(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<io::Error> for UploadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
            _ => Self::Storage(error),
        }
    }
}

impl From<AcceptError> for UploadError {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::Storage(error) => error.into(),
            AcceptError::Store(store) if store.is_disk_full() => Self::NoSpace,
            AcceptError::Store(_) => Self::Record(error),
        }
    }
}

/// How many bytes the body of a request has, if it says so.
#[must_use]
pub fn announced(request: &HttpRequest) -> Option<u64> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Streams the form's file to storage, a few KB of it in memory at a time. On an error nothing is left.
///
/// What is too large, or finds no room, is refused before the first byte if the form is `announced`
/// with its length.
pub async fn receive(
    mut form: Multipart,
    announced: Option<u64>,
    storage: &Storage,
    limit: u64,
) -> Result<Upload, UploadError> {
    let announced = announced.unwrap_or(0).saturating_sub(FORM_BYTES);
    if announced > limit {
        return Err(UploadError::TooLarge { limit });
    }
    let receiving_at = UnixMillis::now();
    let mut upload = None;
    while let Some(mut field) = form.try_next().await.map_err(|_| UploadError::Broken)? {
        if field.name() != Some(FIELD) || upload.is_some() {
            while field.try_next().await.map_err(|_| UploadError::Broken)?.is_some() {}
            continue;
        }
        let name = field.content_disposition().and_then(|header| header.get_filename()).unwrap_or_default();
        let chosen = !name.is_empty();
        let file_name = FileName::from_client(name);
        let mut file = storage.receive(announced).await?;
        while let Some(bytes) = field.try_next().await.map_err(|_| UploadError::Broken)? {
            if file.size() + bytes.len() as u64 > limit {
                return Err(UploadError::TooLarge { limit });
            }
            file.write(&bytes).await?;
        }
        match (file.size(), BinaryKind::sniff(file.head())) {
            (0, _) if !chosen => return Err(UploadError::NothingChosen),
            (0, _) => return Err(UploadError::Empty(file_name)),
            (_, Some(kind)) => return Err(UploadError::Binary(file_name, kind)),
            (_, None) => upload = Some(Upload { file_name, receiving_at, file }),
        }
    }
    upload.ok_or(UploadError::NothingChosen)
}
