//! `GET /files/{import}?exp&sig`: the signed link in `data.file` of an event.

use std::io;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        Method,
        header::{self, ContentDisposition, DispositionType, EntityTag},
    },
    web,
};

use crate::{
    base::{ids::ImportId, time::UnixMillis},
    files::{Key, LinkKey, Segments, Storage},
    http::{conditional::Representation, error::Error},
    results::outputs,
    store::Store,
};

/// The uploaded file unchanged, or a redirect to it in the bucket, or the failed rows that an import reads. The
/// signature grants access; no session is needed.
pub async fn file(
    request: HttpRequest,
    links: web::Data<LinkKey>,
    store: web::Data<Store>,
    storage: web::Data<Storage>,
) -> Result<HttpResponse, Error> {
    let link =
        links.verify(request.path(), request.query_string(), UnixMillis::wall()).ok_or(Error::NotFound)?;
    let upload = Key::upload(link.import);
    let file = match storage.segments(std::slice::from_ref(&upload)).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            failed_rows(link.import, &store, &storage).await?
        }
        file => {
            // The bucket's link is signed for GET alone.
            if request.method() != Method::HEAD
                && let Some(link) = storage.direct_link(&upload).await?
            {
                let mut answer = HttpResponse::TemporaryRedirect();
                return Ok(answer.insert_header((header::LOCATION, link.as_str())).finish());
            }
            file?
        }
    };
    let representation = Representation {
        etag: EntityTag::new_strong(file.fingerprint()),
        last_modified: None,
        length: file.length(),
    };
    let disposition = ContentDisposition { disposition: DispositionType::Attachment, parameters: Vec::new() };
    Ok(representation.answer(&request, "text/csv", disposition, |range| file.slice(&range).read()))
}

/// The failed rows that `import` reads, from the original run, because the copy may not exist yet; if they
/// are gone, from the copy.
async fn failed_rows(import: ImportId, store: &Store, storage: &Storage) -> Result<Segments, Error> {
    let of = store.import(import).await?.and_then(|import| import.failed_rows_of).ok_or(Error::NotFound)?;
    if let Some(records) = outputs::failed_records(store, &of).await?
        && let Ok(front) = storage.front(&records.source, records.layout.start.byte).await
        && let Ok(parts) = storage.segments(&records.parts).await
    {
        return Ok(front.then(parts));
    }
    let (copy, _) = store.source_copy(import).await?.ok_or(Error::NotFound)?;
    Ok(storage.segments(&[Key::from_stored(copy)]).await?)
}
