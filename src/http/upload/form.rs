//! A form with files or an address.

use std::time::Duration;

use actix_multipart::Multipart;
use bytes::Bytes;
use futures_util::Stream;
use tokio::time::timeout;

use super::{
    Refused, Typed, Uploads,
    body::{FormPart, FormParts, HashedBody},
    error::{MAX_ADDRESS_BYTES, MAX_FILES, UploadError},
};
use crate::{
    base::time::UnixMillis,
    csv::Choices,
    files::{Address, BinaryKind, Incoming, Packing},
    http::reading_fields::ReadingFields,
    imports::{FileName, Start, Upload},
    store::{idempotency::RequestHasher, quota::Reservation},
};

/// The form's fields, besides those of a reading.
const FILE_FIELD: &str = "file";
const ADDRESS_FIELD: &str = "url";
/// The button beside the address. Without a script, the files have a button of their own.
const ADDRESS_BUTTON: &str = "only";
/// Not empty and not 0: the files are looked at before they are imported.
pub const LOOK_FIELD: &str = "look";

/// Whether a file is looked at before it is imported, by the value of that field.
#[must_use]
pub fn is_look(value: &str) -> bool {
    !matches!(value.trim(), "" | "0")
}

/// The most parts in one form: its files, and the fields that browsers and programs add. Counts parts without
/// a file or a known name, too.
const MAX_PARTS: usize = 2 * MAX_FILES;

/// What a form may hold.
pub(super) struct FormRules {
    most_files: usize,
    /// Fields with other names are skipped, because browsers and their extensions add some.
    skips_unknown_fields: bool,
}

impl FormRules {
    pub(super) const PAGE: Self = Self { most_files: MAX_FILES, skips_unknown_fields: true };
    pub(super) const PROGRAM: Self = Self { most_files: 1, skips_unknown_fields: false };

    /// An address was to be looked at first.
    fn look_at_address(&self) -> UploadError {
        if self.skips_unknown_fields { UploadError::LookAtAddress } else { UploadError::LookWithAddress }
    }

    fn too_many_files(&self) -> UploadError {
        if self.most_files == 1 { UploadError::OneFile } else { UploadError::TooManyFiles }
    }
}

/// A form that is arriving.
pub(super) struct Arriving<'a> {
    /// Its length, if that is known.
    pub announced: Option<u64>,
    /// Hashes what it contains, if its request has a key.
    pub hasher: Option<&'a mut RequestHasher>,
    /// The user's quota for its files.
    pub reservation: &'a mut Reservation,
}

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
/// deleted. The limit applies to all files of a form together.
///
/// If the form's length is announced, a form that is too large or exceeds the quota is refused before its
/// first byte.
pub(super) async fn receive(
    form: &mut Multipart,
    uploads: &Uploads,
    rules: &FormRules,
    arriving: Arriving<'_>,
) -> Result<Given, Refused> {
    let limit = uploads.max_bytes;
    if arriving.announced.unwrap_or(0).saturating_sub(FORM_BYTES) > limit {
        return Err(UploadError::TooLarge { limit }.into());
    }
    let mut typed = Typed::default();
    match read(form, uploads, rules, arriving, &mut typed).await {
        Ok(given) => Ok(given),
        Err(error) => Err(Refused { typed, ..Refused::from(error) }),
    }
}

/// Reads a form only to hash it.
pub(super) async fn skip(
    form: &mut Multipart,
    limit: u64,
    hasher: Option<&mut RequestHasher>,
) -> Result<(), UploadError> {
    let mut parts = FormParts::of(form, hasher, MAX_PARTS);
    let mut room = limit.saturating_add(FORM_BYTES);
    while let Some(mut part) = parts.next().await? {
        part.body.skip(&mut room, limit).await?;
    }
    Ok(())
}

/// Refuses a form that was not read. An address in it is still read, so that the returned page can show it
/// again. A form that may contain a file is left unread.
pub(super) async fn refuse_unread(
    error: UploadError,
    form: &mut Multipart,
    announced: Option<u64>,
) -> Refused {
    let mut typed = Typed::default();
    if announced.is_some_and(|bytes| bytes <= FORM_BYTES) {
        let reading = async {
            let mut parts = FormParts::of(form, None, MAX_PARTS);
            while let Ok(Some(mut part)) = parts.next().await {
                if part.name == ADDRESS_FIELD {
                    // Of an address that is too long, the page shows the accepted part.
                    let _ = read_address(&mut part, &mut typed.address).await;
                } else {
                    while let Ok(Some(_)) = part.body.next().await {}
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
    uploads: &Uploads,
    rules: &FormRules,
    Arriving { announced, hasher, reservation }: Arriving<'_>,
    typed: &mut Typed,
) -> Result<Given, UploadError> {
    let limit = uploads.max_bytes;
    let announced = announced.unwrap_or(0).saturating_sub(FORM_BYTES);
    let mut files = Files::default();
    let mut room = limit;
    let (mut has_file_field, mut has_address_field, mut is_address_meant) = (false, false, false);
    let mut room_for_fields = FORM_BYTES;
    let (mut reading, mut start) = (ReadingFields::default(), Start::AtOnce);
    let mut parts = FormParts::of(form, hasher, MAX_PARTS);
    while let Some(mut part) = parts.next().await? {
        has_file_field |= part.name == FILE_FIELD;
        has_address_field |= part.name == ADDRESS_FIELD;
        is_address_meant |= part.name == ADDRESS_BUTTON;
        match part.name.as_str() {
            FILE_FIELD if files.len() < rules.most_files => {
                let to_come = announced.saturating_sub(limit - room);
                match receive_file(part, to_come, uploads, room, reservation).await? {
                    None => {}
                    Some(Ok(upload)) => {
                        room -= upload.file.size();
                        files.received.push(upload);
                    }
                    Some(Err(refused)) => files.refused.push(refused),
                }
            }
            FILE_FIELD => return Err(rules.too_many_files()),
            ADDRESS_FIELD => read_address(&mut part, &mut typed.address).await?,
            _ => {
                let value = read_text(&mut part, &mut room_for_fields).await?;
                if part.name == LOOK_FIELD {
                    if is_look(&value) {
                        (start, typed.looks) = (Start::OnRequest, true);
                    }
                } else if !reading.add(&part.name, value.into()) && !rules.skips_unknown_fields {
                    return Err(UploadError::unknown_field(&part.name));
                }
            }
        }
    }
    match (files.is_empty(), typed.address.trim()) {
        (false, "") => Ok(Given::Files { files, choices: reading.choices()?, start }),
        (false, _) => Err(UploadError::Both),
        (true, "") if is_address_meant || has_address_field && !has_file_field => Err(UploadError::NoAddress),
        (true, "") => Err(UploadError::NothingChosen),
        (true, _) if start == Start::OnRequest => Err(rules.look_at_address()),
        (true, address) => Ok(Given::Address {
            address: Address::typed(address)?,
            typed: typed.address.clone(),
            choices: reading.choices()?,
        }),
    }
}

/// Receives one file. Returns None if no file was chosen. An error of a file that arrived whole is returned
/// as a value, because the fields after it must still be read.
async fn receive_file(
    mut part: FormPart<'_>,
    announced: u64,
    uploads: &Uploads,
    room: u64,
    reservation: &mut Reservation,
) -> Result<Option<Result<Upload, UploadError>>, UploadError> {
    let receiving_at = UnixMillis::now();
    let mut file = uploads.storage.receive_upload(announced).await?;
    store(&mut part.body, &mut file, (room, uploads.max_bytes), reservation).await?;
    if file.size() == 0 && part.file_name.is_empty() {
        return Ok(None);
    }
    Ok(Some(checked(file, FileName::from_client(&part.file_name), receiving_at)))
}

/// Stores a body, which must fit into `room`, the rest of `limit`.
pub(super) async fn store<S, E>(
    body: &mut HashedBody<'_, S>,
    file: &mut Incoming,
    (room, limit): (u64, u64),
    reservation: &mut Reservation,
) -> Result<(), UploadError>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    UploadError: From<E>,
{
    while let Some(bytes) = body.next().await? {
        if bytes.len() as u64 > room.saturating_sub(file.size()) {
            return Err(UploadError::TooLarge { limit });
        }
        reservation.take(bytes.len() as u64)?;
        file.write(&bytes).await?;
    }
    Ok(())
}

/// A file that was received whole, unless it cannot be a CSV.
pub(super) fn checked(
    file: Incoming,
    file_name: FileName,
    receiving_at: UnixMillis,
) -> Result<Upload, UploadError> {
    match (file.size(), BinaryKind::sniff(file.head())) {
        (0, _) => Err(UploadError::Empty(file_name)),
        (_, Some(kind)) if Packing::of(kind).is_none() => Err(UploadError::Binary(file_name, kind)),
        // A packed file is unpacked by the function.
        (_, Some(_) | None) => Ok(Upload { file_name, receiving_at, file }),
    }
}

/// Keeps only the beginning of an address that is too long.
async fn read_address(part: &mut FormPart<'_>, typed: &mut String) -> Result<(), UploadError> {
    let mut bytes = Vec::new();
    while let Some(piece) = part.body.next().await? {
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
async fn read_text(part: &mut FormPart<'_>, room: &mut u64) -> Result<String, UploadError> {
    let mut text = Vec::new();
    while let Some(piece) = part.body.next().await? {
        *room = room.checked_sub(piece.len() as u64).ok_or(UploadError::TooManyFields)?;
        text.extend_from_slice(&piece);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}
