//! A form with files or an address.

use std::time::Duration;

use actix_multipart::{Field, Multipart};
use futures_util::TryStreamExt;
use tokio::time::timeout;

use super::{
    Refused,
    error::{MAX_ADDRESS_BYTES, MAX_FILES, UploadError},
};
use crate::{
    base::time::UnixMillis,
    csv::Choices,
    files::{Address, BinaryKind, Packing, Storage},
    http::reading_fields::ReadingFields,
    imports::{FileName, Start, Upload},
    store::quota::Reservation,
};

/// The form's fields, besides those of a reading. Others are skipped.
const FILE_FIELD: &str = "file";
const ADDRESS_FIELD: &str = "url";
/// Not empty and not 0: the files are looked at before they are imported.
const LOOK_FIELD: &str = "look";

/// The most parts in one form: its files, and the fields that browsers and programs add. Counts parts without
/// a file or a known name, too.
const MAX_PARTS: usize = 2 * MAX_FILES;

/// The content of the form: files or an address, never both, and how they are to be read.
#[derive(Debug)]
pub(super) enum Given {
    Files {
        files: Files,
        choices: Choices,
        start: Start,
    },
    /// `typed` is the text that the address was parsed from, to be shown again if the address is refused
    /// later.
    Address {
        address: Address,
        typed: String,
        choices: Choices,
    },
}

/// The files of a form, in its order. At least one was chosen.
#[derive(Debug, Default)]
pub(super) struct Files {
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

/// More than a form has around its file: boundaries, headers, and the longest file name. A form whose
/// announced length exceeds the limit by more than this contains a file over the limit.
pub(super) const FORM_BYTES: u64 = 64 << 10;

/// How long the rest of a form that is refused unread may take to arrive. Shorter than the time that a stop
/// allows.
const UNREAD_PATIENCE: Duration = Duration::from_secs(2);

/// Reads the form. Its files stream to storage with some KB in memory at a time, and refused files are
/// deleted. `limit` applies to all files of a form together. `reservation` is the user's quota for them.
///
/// If the form's length is `announced`, a form that is too large or exceeds the quota is refused before its
/// first byte.
pub(super) async fn receive(
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
pub(super) async fn refuse_unread(
    error: UploadError,
    form: &mut Multipart,
    announced: Option<u64>,
) -> Refused {
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
    let (mut reading, mut start) = (ReadingFields::default(), Start::AtOnce);
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
            _ => {
                let value = read_text(&mut field, &mut room_for_fields).await?;
                let name = field.name().unwrap_or_default();
                if name == LOOK_FIELD && !matches!(value.trim(), "" | "0") {
                    start = Start::OnRequest;
                }
                reading.add(name, value.into());
            }
        }
    }
    match (files.is_empty(), typed.trim()) {
        (false, "") => Ok(Given::Files { files, choices: reading.choices()?, start }),
        (false, _) => Err(UploadError::Both),
        (true, "") if has_address_field && !has_file_field => Err(UploadError::NoAddress),
        (true, "") => Err(UploadError::NothingChosen),
        (true, _) if start == Start::OnRequest => Err(UploadError::LookAtAddress),
        (true, address) => Ok(Given::Address {
            address: Address::typed(address)?,
            typed: typed.clone(),
            choices: reading.choices()?,
        }),
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

/// The text of another field. All together must fit into `room`.
async fn read_text(field: &mut Field, room: &mut u64) -> Result<String, UploadError> {
    let mut text = Vec::new();
    while let Some(piece) = field.try_next().await.map_err(UploadError::from)? {
        *room = room.checked_sub(piece.len() as u64).ok_or(UploadError::TooManyFields)?;
        text.extend_from_slice(&piece);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}
