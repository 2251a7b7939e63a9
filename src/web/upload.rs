//! `POST /imports`: receives files, or an address, and creates imports.

mod refused;

use std::{io, time::Duration};

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::{
    HttpRequest,
    http::{StatusCode, header},
    web::Bytes,
};
use futures_util::TryStreamExt;
use tokio::time::timeout;

use crate::{
    base::{limits::bytes_at_most, time::UnixMillis},
    files::{Address, BinaryKind, NotAnAddress, Packing, Storage},
    http::error::is_timeout,
    imports::{AcceptError, FileName, Upload},
    store::{
        self,
        quota::{OverQuota, Reservation},
    },
};

/// The form's fields; others are skipped.
const FILE_FIELD: &str = "file";
const ADDRESS_FIELD: &str = "url";

/// The longest accepted address, in bytes: longer than any server supports.
const MAX_ADDRESS_BYTES: usize = 8_000;

/// The most files in one form.
const MAX_FILES: usize = 100;

/// The most parts in one form: its files, and the fields that browsers and programs add. Counts parts without
/// a file or a known name, too.
const MAX_PARTS: usize = 2 * MAX_FILES;

/// The content of the form: files or an address, never both.
#[derive(Debug)]
pub enum Given {
    Files(Files),
    /// `typed` is the text that the address was parsed from, to be shown again if the address is refused
    /// later.
    Address {
        address: Address,
        typed: String,
    },
}

/// The files of a form, in its order. At least one was chosen.
#[derive(Debug, Default)]
pub struct Files {
    pub received: Vec<Upload>,
    /// The errors of the other files, all of which arrived whole.
    pub refused: Vec<UploadError>,
}

impl Files {
    fn is_empty(&self) -> bool {
        self.received.is_empty() && self.refused.is_empty()
    }

    fn len(&self) -> usize {
        self.received.len() + self.refused.len()
    }
}

/// A form of which nothing, or not everything, was imported.
#[derive(Debug)]
pub struct Refused {
    /// At least one.
    pub errors: Vec<UploadError>,
    /// The files that were imported.
    pub taken: Vec<FileName>,
    /// The address as it was typed, to be shown again.
    pub typed: String,
}

/// More than a form has around its file: boundaries, headers, and the longest file name. A form whose
/// announced length exceeds the limit by more than this contains a file over the limit.
pub const FORM_BYTES: u64 = 64 << 10;

/// How long the rest of a form that is refused unread may take to arrive. Shorter than the time that a stop
/// allows.
const UNREAD_PATIENCE: Duration = Duration::from_secs(2);

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
    #[error("The form holds more than files and an address. Nothing was imported.")]
    TooManyFields,
    #[error(transparent)]
    NotAnAddress(#[from] NotAnAddress),
    #[error("The address is too long. The limit is {MAX_ADDRESS_BYTES} characters.")]
    AddressTooLong,
    #[error("{0} is empty (0 bytes). Choose a file with a header and rows.")]
    Empty(FileName),
    #[error("{0} is {1}, not a CSV. Save or export it as CSV and try again.")]
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
    #[error("Runboard cannot reach its database. Nothing was stored; try again in a moment.")]
    DatabaseAway(#[source] store::Error),
    #[error(
        "The database stopped answering while the import was being recorded. If it was recorded, it appears in your imports once the database answers; look there before you try again."
    )]
    InDoubt(#[source] store::Error),
    #[error("{0} was not tried, because the database is not answering.")]
    NotTried(FileName),
    #[error("The import could not be recorded. Nothing was kept; try again in a moment.")]
    Record(#[source] store::Error),
}

impl UploadError {
    /// Whether the error is ours, not the sender's.
    fn is_failure(&self) -> bool {
        matches!(
            self,
            Self::NoSpace | Self::Storage(_) | Self::DatabaseAway(_) | Self::InDoubt(_) | Self::Record(_)
        )
    }

    /// Whether the database gave no answer, so that no further query should be made.
    #[must_use]
    pub fn is_database_away(&self) -> bool {
        matches!(self, Self::DatabaseAway(_) | Self::InDoubt(_) | Self::NotTried(_))
    }

    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NothingChosen
            | Self::NoAddress
            | Self::Both
            | Self::TooManyFiles
            | Self::NotAnAddress(_)
            | Self::AddressTooLong
            | Self::Empty(_)
            | Self::Binary(..) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooLarge { .. } | Self::OverQuota(_) | Self::TooManyFields => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Broken => StatusCode::BAD_REQUEST,
            Self::Stalled => StatusCode::REQUEST_TIMEOUT,
            Self::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
            Self::Stopping | Self::DatabaseAway(_) | Self::InDoubt(_) | Self::NotTried(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
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

impl From<MultipartError> for UploadError {
    fn from(why: MultipartError) -> Self {
        match why {
            MultipartError::Payload(why) if is_timeout(&why) => Self::Stalled,
            _ => Self::Broken,
        }
    }
}

impl From<AcceptError> for UploadError {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::Storage(error) => error.into(),
            AcceptError::Store(error) => error.into(),
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

impl From<UploadError> for Refused {
    fn from(error: UploadError) -> Self {
        Self { errors: vec![error], taken: Vec::new(), typed: String::new() }
    }
}

/// The length of the request's body, if it is announced.
#[must_use]
pub fn announced(request: &HttpRequest) -> Option<u64> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads the form. Its files stream to storage with some KB in memory at a time, and refused files are
/// deleted. `limit` applies to all files of a form together. `reservation` is the user's quota for them.
///
/// If the form's length is `announced`, a form that is too large or exceeds the quota is refused before its
/// first byte.
pub async fn receive(
    form: &mut Multipart,
    announced: Option<u64>,
    storage: &Storage,
    limit: u64,
    reservation: &mut Reservation,
) -> Result<Given, Refused> {
    let announced = announced.unwrap_or(0).saturating_sub(FORM_BYTES);
    if announced > limit {
        return Err(UploadError::TooLarge { limit }.into());
    }
    let mut typed = String::new();
    match read(form, announced, storage, limit, reservation, &mut typed).await {
        Ok(given) => Ok(given),
        Err(error) => Err(Refused { typed, ..Refused::from(error) }),
    }
}

/// Refuses a form that was not read. An address in it is still read, so that the returned page can show it
/// again. A form that may contain a file is left unread.
pub async fn refuse_unread(error: UploadError, form: &mut Multipart, announced: Option<u64>) -> Refused {
    let mut typed = String::new();
    if announced.is_some_and(|bytes| bytes <= FORM_BYTES) {
        let reading = async {
            while let Ok(Some(mut field)) = form.try_next().await {
                if field.name() == Some(ADDRESS_FIELD) {
                    // Of an address that is too long, the page shows the accepted part.
                    let _ = read_address(&mut field, &mut typed).await;
                } else {
                    while let Ok(Some(_)) = field.try_next().await {}
                }
            }
        };
        // If the address does not arrive, the form is still refused.
        let _ = timeout(UNREAD_PATIENCE, reading).await;
    }
    Refused { typed, ..Refused::from(error) }
}

async fn read(
    form: &mut Multipart,
    announced: u64,
    storage: &Storage,
    limit: u64,
    reservation: &mut Reservation,
    typed: &mut String,
) -> Result<Given, UploadError> {
    let mut files = Files::default();
    let mut room = limit;
    let (mut has_file_field, mut has_address_field) = (false, false);
    let (mut parts, mut room_for_fields) = (0, FORM_BYTES);
    while let Some(mut field) = form.try_next().await.map_err(UploadError::from)? {
        parts += 1;
        if parts > MAX_PARTS {
            return Err(UploadError::TooManyFields);
        }
        has_file_field |= field.name() == Some(FILE_FIELD);
        has_address_field |= field.name() == Some(ADDRESS_FIELD);
        match field.name() {
            Some(FILE_FIELD) if files.len() < MAX_FILES => {
                let to_come = announced.saturating_sub(limit - room);
                match receive_file(&mut field, to_come, storage, limit, room, reservation).await? {
                    None => {}
                    Some(Ok(upload)) => {
                        room -= upload.file.size();
                        files.received.push(upload);
                    }
                    Some(Err(refused)) => files.refused.push(refused),
                }
            }
            Some(FILE_FIELD) => return Err(UploadError::TooManyFiles),
            Some(ADDRESS_FIELD) => read_address(&mut field, typed).await?,
            _ => while next_of(&mut field, &mut room_for_fields).await?.is_some() {},
        }
    }
    match (files.is_empty(), typed.trim()) {
        (false, "") => Ok(Given::Files(files)),
        (false, _) => Err(UploadError::Both),
        (true, "") if has_address_field && !has_file_field => Err(UploadError::NoAddress),
        (true, "") => Err(UploadError::NothingChosen),
        (true, address) => Ok(Given::Address { address: Address::typed(address)?, typed: typed.clone() }),
    }
}

/// Receives one file. Returns None if no file was chosen. An error of a file that arrived whole is returned
/// as a value, because the fields after it must still be read.
async fn receive_file(
    field: &mut Field,
    announced: u64,
    storage: &Storage,
    limit: u64,
    room: u64,
    reservation: &mut Reservation,
) -> Result<Option<Result<Upload, UploadError>>, UploadError> {
    let receiving_at = UnixMillis::now();
    let name = field.content_disposition().and_then(|header| header.get_filename()).unwrap_or_default();
    let chosen = !name.is_empty();
    let file_name = FileName::from_client(name);
    let mut file = storage.receive(announced).await?;
    while let Some(bytes) = field.try_next().await.map_err(UploadError::from)? {
        if bytes.len() as u64 > room.saturating_sub(file.size()) {
            return Err(UploadError::TooLarge { limit });
        }
        reservation.take(bytes.len() as u64)?;
        file.write(&bytes).await?;
    }
    Ok(match (file.size(), BinaryKind::sniff(file.head())) {
        (0, _) if !chosen => None,
        (0, _) => Some(Err(UploadError::Empty(file_name))),
        (_, Some(kind)) if Packing::of(kind).is_none() => Some(Err(UploadError::Binary(file_name, kind))),
        // A packed file is unpacked by the function.
        (_, Some(_) | None) => Some(Ok(Upload { file_name, receiving_at, file })),
    })
}

/// Keeps only the beginning of an address that is too long.
async fn read_address(field: &mut Field, typed: &mut String) -> Result<(), UploadError> {
    let mut bytes = Vec::new();
    while let Some(piece) = field.try_next().await.map_err(UploadError::from)? {
        let room = MAX_ADDRESS_BYTES - bytes.len();
        bytes.extend_from_slice(&piece[..piece.len().min(room)]);
        if piece.len() > room {
            *typed = String::from_utf8_lossy(&bytes).into_owned();
            return Err(UploadError::AddressTooLong);
        }
    }
    *typed = String::from_utf8_lossy(&bytes).into_owned();
    Ok(())
}

/// The next piece of an unknown field. All pieces together must fit into `room`.
async fn next_of(field: &mut Field, room: &mut u64) -> Result<Option<Bytes>, UploadError> {
    let piece = field.try_next().await.map_err(UploadError::from)?;
    let bytes = piece.as_ref().map_or(0, |piece| piece.len() as u64);
    *room = room.checked_sub(bytes).ok_or(UploadError::TooManyFields)?;
    Ok(piece)
}
