//! Requests of programs, each of which makes one import, or finds the one that it made when it was sent before.

use actix_multipart::Multipart;
use actix_web::{HttpRequest, web::Payload};

use super::{
    FORM_BYTES, FormRules, Given, UploadError, Uploads, announced,
    body::HashedBody,
    form::{self, Arriving},
};
use crate::{
    base::{
        ids::{ImportId, TokenId, UserId},
        time::UnixMillis,
    },
    csv::Choices,
    files::Address,
    http::{audit, keyed::Keyed},
    imports::{Accepted, FileName, ImportOptions, Start},
    store::{
        idempotency::{EarlierAnswer, RequestHasher},
        quota::Reservation,
    },
};

/// A request that makes an import.
pub struct UploadRequest<'r> {
    pub request: &'r HttpRequest,
    pub owner: UserId,
    /// Without it, the request makes an import each time that it is sent.
    pub keyed: Option<Keyed>,
    /// The token that it is made with.
    pub token: Option<TokenId>,
}

impl UploadRequest<'_> {
    fn hasher(&mut self) -> Option<&mut RequestHasher> {
        self.keyed.as_mut().map(|keyed| &mut keyed.hasher)
    }

    /// The answer to a request that was read to its end, and has the key of an earlier one.
    fn again(self, earlier: EarlierAnswer<ImportId>) -> Result<Accepted, UploadError> {
        match self.keyed.map(Keyed::finish) {
            Some(request) if request.hash == earlier.hash => Ok(Accepted { id: earlier.made, is_new: false }),
            _ => Err(UploadError::KeyUsed),
        }
    }
}

impl Uploads {
    /// Imports the file of a form, or the address in it.
    pub async fn take_one_form(
        &self,
        mut by: UploadRequest<'_>,
        body: Payload,
    ) -> Result<Accepted, UploadError> {
        let mut form = Multipart::new(by.request.headers(), body);
        if let Some(earlier) = self.earlier(&by).await? {
            self.until_stop(form::skip(&mut form, self.max_bytes, by.hasher())).await?;
            return by.again(earlier);
        }
        let announced = announced(by.request);
        let mut reservation = self.reserve(by.owner, announced, FORM_BYTES).await?;
        let receiving = async {
            let arriving = Arriving { announced, hasher: by.hasher(), reservation: &mut reservation };
            let given = form::receive(&mut form, self, &FormRules::PROGRAM, arriving).await;
            given.map_err(|refused| refused.errors.into_iter().next().unwrap_or(UploadError::Broken))
        };
        let given = self.until_stop(receiving).await;
        let request = by.keyed.map(Keyed::finish);
        let made = match given {
            Err(error) => Err(error),
            Ok(Given::Address { address, choices, .. }) => {
                let options = ImportOptions { choices, start: Start::AtOnce, request, token: by.token };
                let accepted = self.imports.accept_address(by.owner, &address, None, options).await;
                accepted.map_err(UploadError::from)
            }
            Ok(Given::Files { mut files, choices, start }) => match files.received.pop() {
                Some(upload) => {
                    let options = ImportOptions { choices, start, request, token: by.token };
                    self.accept_file(by.owner, upload, options).await
                }
                None => Err(files.refused.pop().unwrap_or(UploadError::NothingChosen)),
            },
        };
        settled(made, by.request, reservation)
    }

    /// Imports the body of a request, as a file with this name.
    pub async fn take_body(
        &self,
        mut by: UploadRequest<'_>,
        file_name: FileName,
        (choices, start): (Choices, Start),
        body: Payload,
    ) -> Result<Accepted, UploadError> {
        let limit = self.max_bytes;
        if let Some(earlier) = self.earlier(&by).await? {
            self.until_stop(HashedBody::new(body, by.hasher()).skip(&mut limit.clone(), limit)).await?;
            return by.again(earlier);
        }
        let announced = announced(by.request);
        if announced.is_some_and(|bytes| bytes > limit) {
            return Err(UploadError::TooLarge { limit });
        }
        let mut reservation = self.reserve(by.owner, announced, 0).await?;
        let receiving = async {
            let receiving_at = UnixMillis::now();
            let mut file = self.storage.receive_upload(announced.unwrap_or(0)).await?;
            let mut body = HashedBody::new(body, by.hasher());
            form::store(&mut body, &mut file, (limit, limit), &mut reservation).await?;
            form::checked(file, file_name, receiving_at)
        };
        let upload = self.until_stop(receiving).await;
        let request = by.keyed.map(Keyed::finish);
        let made = match upload {
            Ok(upload) => {
                let options = ImportOptions { choices, start, request, token: by.token };
                self.accept_file(by.owner, upload, options).await
            }
            Err(error) => Err(error),
        };
        settled(made, by.request, reservation)
    }

    /// Imports the file at an address. `body` is the request's, as it came.
    pub async fn take_address(
        &self,
        mut by: UploadRequest<'_>,
        body: &[u8],
        (address, name): (&Address, Option<FileName>),
        choices: Choices,
    ) -> Result<Accepted, UploadError> {
        if let Some(hasher) = by.hasher() {
            hasher.field(body);
        }
        if let Some(earlier) = self.earlier(&by).await? {
            return by.again(earlier);
        }
        if self.arriving.stopping().is_cancelled() {
            return Err(UploadError::Stopping);
        }
        let reservation = self.reserve(by.owner, None, 0).await?;
        let request = by.keyed.map(Keyed::finish);
        let options = ImportOptions { choices, start: Start::AtOnce, request, token: by.token };
        let made = self.imports.accept_address(by.owner, address, name, options).await;
        settled(made.map_err(UploadError::from), by.request, reservation)
    }

    /// What an earlier request with the same key has made.
    async fn earlier(&self, by: &UploadRequest<'_>) -> Result<Option<EarlierAnswer<ImportId>>, UploadError> {
        match &by.keyed {
            Some(keyed) => Ok(self.imports.earlier_answer(by.owner, &keyed.key).await?),
            None => Ok(None),
        }
    }

    /// Receives an upload, unless the server stops before its end.
    async fn until_stop<T>(
        &self,
        receiving: impl Future<Output = Result<T, UploadError>>,
    ) -> Result<T, UploadError> {
        self.arriving.receive(receiving).await.unwrap_or(Err(UploadError::Stopping))
    }
}

/// Ends a request: its reservation counts only if it has stored a file, or may have.
fn settled(
    made: Result<Accepted, UploadError>,
    request: &HttpRequest,
    reservation: Reservation,
) -> Result<Accepted, UploadError> {
    let may_have_stored = match &made {
        Ok(accepted) => accepted.is_new,
        Err(error) => error.is_in_doubt(),
    };
    if !may_have_stored {
        reservation.give_up();
    }
    if let Ok(Accepted { id, is_new: true }) = made {
        audit::has_made(request, id);
    }
    made
}
