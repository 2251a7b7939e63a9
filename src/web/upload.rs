//! `POST /imports`: a file streams in, or an address, and an import comes out.

use std::io;

use actix_multipart::{Field, Multipart};
use actix_web::{
    HttpRequest,
    http::{StatusCode, header},
};
use futures_util::TryStreamExt;

use super::format;
use crate::{
    imports::{AcceptError, FileName},
    source::{Address, BinaryKind, Incoming, NotAnAddress, Storage},
    time::UnixMillis,
};

/// The form's fields; others are let pass unread.
const FILE_FIELD: &str = "file";
const ADDRESS_FIELD: &str = "url";

/// The longest address that is taken, in bytes: longer than any server reads.
const MAX_ADDRESS_BYTES: usize = 8_000;

/// What the form gave. Where it gave both, the file counts.
#[derive(Debug)]
pub enum Given {
    File(Upload),
    Address(Address),
}

/// A form that gave nothing to import.
#[derive(Debug)]
pub struct Refused {
    pub error: UploadError,
    /// The address as it was typed, to be shown again.
    pub typed: String,
}

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
    #[error("Choose a CSV file or paste its address first.")]
    NothingChosen,
    #[error("The address must begin with http:// or https://.")]
    NotAnAddress,
    #[error("The address is too long. The limit is {MAX_ADDRESS_BYTES} characters.")]
    AddressTooLong,
    #[error("{0} is empty (0 bytes). Choose a file with a header and rows.")]
    Empty(FileName),
    #[error("{0} is {1}, not a CSV. Save or export it as CSV and try again.")]
    Binary(FileName, BinaryKind),
    #[error("The file is larger than {}, the limit here. Split it and import the parts.", format::bytes_at_most(*.limit))]
    TooLarge { limit: u64 },
    #[error("The upload was incomplete. Try again.")]
    Broken,
    #[error(
        "There is not enough free disk space for the file and its results. Nothing was stored; try again once the operator has made room."
    )]
    NoSpace,
    #[error("Runboard is stopping. Nothing was stored; upload the file again in a moment.")]
    Stopping,
    #[error("The file could not be stored. Nothing was kept; try again in a moment.")]
    Storage(#[source] io::Error),
    #[error("The import could not be recorded. Nothing was kept; try again in a moment.")]
    Record(#[source] AcceptError),
}

impl UploadError {
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NothingChosen
            | Self::NotAnAddress
            | Self::AddressTooLong
            | Self::Empty(_)
            | Self::Binary(..) => StatusCode::UNPROCESSABLE_ENTITY,
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

impl From<NotAnAddress> for UploadError {
    fn from(_: NotAnAddress) -> Self {
        Self::NotAnAddress
    }
}

impl From<UploadError> for Refused {
    fn from(error: UploadError) -> Self {
        Self { error, typed: String::new() }
    }
}

/// How many bytes the body of a request has, if it says so.
#[must_use]
pub fn announced(request: &HttpRequest) -> Option<u64> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads the form. Its file streams to storage, some KB of it in memory at a time; of one that is
/// refused nothing is left.
///
/// What is too large, or finds no room, is refused before the first byte if the form is `announced`
/// with its length.
pub async fn receive(
    form: Multipart,
    announced: Option<u64>,
    storage: &Storage,
    limit: u64,
) -> Result<Given, Refused> {
    let announced = announced.unwrap_or(0).saturating_sub(FORM_BYTES);
    if announced > limit {
        return Err(UploadError::TooLarge { limit }.into());
    }
    let mut typed = String::new();
    match read(form, announced, storage, limit, &mut typed).await {
        Ok(given) => Ok(given),
        Err(error) => Err(Refused { error, typed }),
    }
}

async fn read(
    mut form: Multipart,
    announced: u64,
    storage: &Storage,
    limit: u64,
    typed: &mut String,
) -> Result<Given, UploadError> {
    let mut chosen = None;
    let mut long = false;
    while let Some(mut field) = form.try_next().await.map_err(|_| UploadError::Broken)? {
        match field.name() {
            Some(FILE_FIELD) if chosen.is_none() => {
                chosen = receive_file(&mut field, announced, storage, limit).await?;
            }
            Some(ADDRESS_FIELD) => long |= !read_address(&mut field, typed).await?,
            _ => skip(&mut field).await?,
        }
    }
    match (chosen, typed.trim()) {
        (Some(file), _) => Ok(Given::File(file?)),
        (None, "") => Err(UploadError::NothingChosen),
        (None, _) if long => Err(UploadError::AddressTooLong),
        (None, address) => Ok(Given::Address(address.parse()?)),
    }
}

/// None if no file was chosen. What is wrong with one that arrived whole comes as a value: the fields
/// behind it are still to be read.
async fn receive_file(
    field: &mut Field,
    announced: u64,
    storage: &Storage,
    limit: u64,
) -> Result<Option<Result<Upload, UploadError>>, UploadError> {
    let receiving_at = UnixMillis::now();
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
    Ok(match (file.size(), BinaryKind::sniff(file.head())) {
        (0, _) if !chosen => None,
        (0, _) => Some(Err(UploadError::Empty(file_name))),
        (_, Some(kind)) => Some(Err(UploadError::Binary(file_name, kind))),
        (_, None) => Some(Ok(Upload { file_name, receiving_at, file })),
    })
}

/// False if it is longer than [`MAX_ADDRESS_BYTES`]; then only its beginning is kept.
async fn read_address(field: &mut Field, typed: &mut String) -> Result<bool, UploadError> {
    let mut bytes = Vec::new();
    let mut fits = true;
    while let Some(piece) = field.try_next().await.map_err(|_| UploadError::Broken)? {
        let room = MAX_ADDRESS_BYTES - bytes.len();
        fits &= piece.len() <= room;
        bytes.extend_from_slice(&piece[..piece.len().min(room)]);
    }
    *typed = String::from_utf8_lossy(&bytes).into_owned();
    Ok(fits)
}

async fn skip(field: &mut Field) -> Result<(), UploadError> {
    while field.try_next().await.map_err(|_| UploadError::Broken)?.is_some() {}
    Ok(())
}
