//! Bytes that arrive, hashed if their request has a key.

use actix_multipart::{Field, Multipart};
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};

use super::error::UploadError;
use crate::store::idempotency::RequestHasher;

/// The parts of a form.
pub(super) struct FormParts<'f> {
    form: &'f mut Multipart,
    hasher: Option<&'f mut RequestHasher>,
    /// How many more parts it may have.
    left: usize,
}

/// One of them.
pub(super) struct FormPart<'p> {
    pub name: String,
    /// Empty if no file was chosen, or if it is no file.
    pub file_name: String,
    pub body: HashedBody<'p, Field>,
}

/// The bytes of a file or a field.
pub(super) struct HashedBody<'h, S> {
    stream: S,
    hasher: Option<&'h mut RequestHasher>,
}

impl<'f> FormParts<'f> {
    pub(super) fn of(form: &'f mut Multipart, hasher: Option<&'f mut RequestHasher>, most: usize) -> Self {
        Self { form, hasher, left: most }
    }

    /// The next part; the one before it must have been read.
    pub(super) async fn next(&mut self) -> Result<Option<FormPart<'_>>, UploadError> {
        let Some(field) = self.form.try_next().await? else { return Ok(None) };
        self.left = self.left.checked_sub(1).ok_or(UploadError::TooManyFields)?;
        let name = field.name().unwrap_or_default().to_owned();
        let file_name = field.content_disposition().and_then(|header| header.get_filename());
        let file_name = file_name.unwrap_or_default().to_owned();
        if let Some(hasher) = &mut self.hasher {
            hasher.field(name.as_bytes());
            hasher.field(file_name.as_bytes());
        }
        let body = HashedBody::new(field, self.hasher.as_deref_mut());
        Ok(Some(FormPart { name, file_name, body }))
    }
}

impl<'h, S> HashedBody<'h, S> {
    pub(super) fn new(stream: S, hasher: Option<&'h mut RequestHasher>) -> Self {
        Self { stream, hasher }
    }

    /// The next bytes; None at the end.
    pub(super) async fn next<E>(&mut self) -> Result<Option<Bytes>, UploadError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        UploadError: From<E>,
    {
        let bytes = self.stream.try_next().await?;
        if let Some(hasher) = &mut self.hasher {
            match &bytes {
                Some(bytes) => hasher.feed(bytes),
                None => hasher.end_field(),
            }
        }
        Ok(bytes)
    }

    /// Reads the rest, which must fit into `room`.
    pub(super) async fn skip<E>(&mut self, room: &mut u64, limit: u64) -> Result<(), UploadError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        UploadError: From<E>,
    {
        while let Some(bytes) = self.next().await? {
            *room = room.checked_sub(bytes.len() as u64).ok_or(UploadError::TooLarge { limit })?;
        }
        Ok(())
    }
}
