//! Receives uploads and creates imports: the files or the address of a form, the body of a request, or an address.

mod arriving;
mod body;
mod error;
mod form;
mod one;

use actix_multipart::Multipart;
use actix_web::{
    HttpRequest,
    http::{StatusCode, header},
};

use self::error::MAX_ADDRESS_BYTES;
use self::form::{Arriving, FORM_BYTES, Files, FormRules, Given};
pub use self::{
    arriving::ArrivingUploads,
    error::UploadError,
    form::{LOOK_FIELD, is_look},
    one::UploadRequest,
};
use super::audit;
use crate::{
    base::ids::{ImportId, UserId},
    files::{Address, Storage},
    function::{PreviewError, Previewer},
    imports::{Accepted, FileName, ImportOptions, Imports, Start, Upload},
    store::quota::Reservation,
};

/// Receives uploads, the same for all requests.
pub struct Uploads {
    pub imports: Imports,
    pub storage: Storage,
    /// Finds the chosen sheets of workbooks.
    pub previewer: Previewer,
    /// `RUNBOARD_MAX_UPLOAD_BYTES`.
    pub max_bytes: u64,
    pub arriving: ArrivingUploads,
}

/// A form of which nothing, or not everything, was imported.
#[derive(Debug)]
pub struct Refused {
    /// At least one.
    pub errors: Vec<UploadError>,
    /// The files that were imported.
    pub taken: Vec<FileName>,
    pub typed: Typed,
}

/// What the page shows again of a form that it refuses.
#[derive(Clone, Debug, Default)]
pub struct Typed {
    pub address: String,
    /// Whether the files were to be looked at first.
    pub looks: bool,
}

impl From<UploadError> for Refused {
    fn from(error: UploadError) -> Self {
        Self { errors: vec![error], taken: Vec::new(), typed: Typed::default() }
    }
}

impl Refused {
    /// The errors that are ours, not the sender's.
    pub fn failures(&self) -> impl Iterator<Item = &UploadError> {
        self.errors.iter().filter(|error| error.is_failure())
    }

    /// Whether the database gave no answer, so that no further query should be made.
    #[must_use]
    pub fn is_database_away(&self) -> bool {
        self.errors.iter().any(UploadError::is_database_away)
    }

    /// Whether a part of it is stored, or may be.
    #[must_use]
    pub fn may_have_stored(&self) -> bool {
        !self.taken.is_empty() || self.errors.iter().any(UploadError::is_in_doubt)
    }

    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.errors.first().map_or(StatusCode::UNPROCESSABLE_ENTITY, UploadError::status)
    }
}

impl Uploads {
    /// Imports the files of a page's form, or the address in it, and returns the new imports: at least one.
    pub async fn take_form(
        &self,
        request: &HttpRequest,
        owner: UserId,
        mut form: Multipart,
    ) -> Result<Vec<ImportId>, Refused> {
        let announced = announced(request);
        let mut reservation = match self.reserve(owner, announced, FORM_BYTES).await {
            Ok(reservation) => reservation,
            Err(error) => return Err(form::refuse_unread(error, &mut form, announced).await),
        };
        let arriving = Arriving { announced, hasher: None, reservation: &mut reservation };
        let receiving = form::receive(&mut form, self, &FormRules::PAGE, arriving);
        let received = match self.arriving.receive(receiving).await {
            Some(received) => received,
            None => Err(form::refuse_unread(UploadError::Stopping, &mut form, announced).await),
        };
        let taken = match received {
            Ok(Given::Files { files, choices, start }) => {
                let options = ImportOptions { choices, start, ..ImportOptions::default() };
                self.accept(request, owner, files, &options).await
            }
            Ok(Given::Address { address, typed, choices }) => {
                let options = ImportOptions { choices, ..ImportOptions::default() };
                match self.imports.accept_address(owner, &address, None, options).await {
                    Ok(Accepted { id, .. }) => {
                        audit::has_made(request, id);
                        Ok(vec![id])
                    }
                    Err(error) => {
                        let typed = Typed { address: typed, looks: false };
                        Err(Refused { typed, ..Refused::from(UploadError::from(error)) })
                    }
                }
            }
            Err(refused) => Err(refused),
        };
        if taken.as_ref().is_err_and(|refused| !refused.may_have_stored()) {
            reservation.give_up();
        }
        taken
    }

    /// Creates an import for each valid file. A refused file does not affect the others.
    async fn accept(
        &self,
        request: &HttpRequest,
        owner: UserId,
        files: Files,
        options: &ImportOptions,
    ) -> Result<Vec<ImportId>, Refused> {
        let Files { received, refused: mut errors } = files;
        let (mut made, mut taken) = (Vec::new(), Vec::new());
        let mut received = received.into_iter();
        while let Some(upload) = received.next() {
            let file_name = upload.file_name.clone();
            match self.accept_file(owner, upload, options.clone()).await {
                Ok(Accepted { id, .. }) => {
                    audit::has_made(request, id);
                    made.push(id);
                    taken.push(file_name);
                }
                Err(error) => errors.push(error),
            }
            // Each further file would wait for the database as long as this one did.
            if errors.last().is_some_and(UploadError::is_database_away) {
                errors.extend(received.by_ref().map(|rest| UploadError::NotTried(rest.file_name)));
                break;
            }
        }
        let typed = Typed { looks: options.start == Start::OnRequest, ..Typed::default() };
        if errors.is_empty() { Ok(made) } else { Err(Refused { errors, taken, typed }) }
    }

    /// Accepts a file. The chosen sheet is replaced by the one of the workbook that is meant.
    async fn accept_file(
        &self,
        owner: UserId,
        mut upload: Upload,
        mut options: ImportOptions,
    ) -> Result<Accepted, UploadError> {
        if let Some(name) = options.choices.sheet.take() {
            let found = self.previewer.sheet_received(owner, &mut upload.file, name.clone()).await;
            options.choices.sheet = Some(match found {
                Ok(name) => name,
                Err(PreviewError::NoSuchSheet(why) | PreviewError::NotReadable(why)) => {
                    return Err(UploadError::Sheet(upload.file_name, why));
                }
                // The run will say it.
                Err(PreviewError::Busy | PreviewError::NotShown(_) | PreviewError::BrokenOff(_)) => name,
                Err(PreviewError::Storage(error)) => return Err(error.into()),
            });
        }
        Ok(self.imports.accept(owner, upload, options).await?)
    }

    /// Reserves quota for a request whose body has this length. Held until the import is recorded. `around` is the
    /// most that a body has around its files.
    async fn reserve(
        &self,
        owner: UserId,
        announced: Option<u64>,
        around: u64,
    ) -> Result<Reservation, UploadError> {
        let most = announced.unwrap_or(0);
        Ok(self.imports.quota().reserve_between(owner, most.saturating_sub(around), most).await??)
    }
}

/// The address that a program has sent.
///
/// # Errors
/// It is none, or too long.
pub fn address(text: &str) -> Result<Address, UploadError> {
    if text.len() > MAX_ADDRESS_BYTES {
        return Err(UploadError::AddressTooLong);
    }
    Ok(Address::typed(text.trim())?)
}

/// The length of the request's body, if it is announced.
fn announced(request: &HttpRequest) -> Option<u64> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
