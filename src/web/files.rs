//! `GET /files/{import}?exp&sig`: the signed link in `data.file` of an event.

use std::io;

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use futures_util::StreamExt;
use tokio::{fs::File, io::AsyncReadExt};
use tokio_util::io::ReaderStream;

use super::downloads::{BLOCK, ByteStream, open};
use crate::{
    base::{ids::ImportId, time::UnixMillis},
    files::{Key, LinkKey, Storage},
    http::error::Error,
    results::outputs,
    store::Store,
};

/// The uploaded file unchanged, or the failed rows that an import reads. The signature grants access; no
/// session is needed.
pub async fn file(
    request: HttpRequest,
    links: web::Data<LinkKey>,
    store: web::Data<Store>,
    storage: web::Data<Storage>,
) -> Result<HttpResponse, Error> {
    let link =
        links.verify(request.path(), request.query_string(), UnixMillis::wall()).ok_or(Error::NotFound)?;
    let (size, body) = match open(&storage, vec![Key::upload(link.import)]).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            failed_rows(link.import, &store, &storage).await?
        }
        opened => opened?,
    };
    Ok(HttpResponse::Ok()
        .content_type("text/csv")
        .insert_header((header::CONTENT_DISPOSITION, "attachment"))
        .no_chunking(size)
        .streaming(body))
}

/// The failed rows that `import` reads, from the original run, because the copy may not exist yet; if they
/// are gone, from the copy.
async fn failed_rows(import: ImportId, store: &Store, storage: &Storage) -> Result<(u64, ByteStream), Error> {
    let of = store.import(import).await?.and_then(|import| import.failed_rows_of).ok_or(Error::NotFound)?;
    if let Some(records) = outputs::failed_records(store, &of).await?
        && let Ok(size) = records.size(storage).await
        && let Ok(source) = File::open(storage.path(&records.source)).await
    {
        let front = ReaderStream::with_capacity(source.take(records.front), BLOCK);
        let (_, parts) = open(storage, records.parts).await?;
        return Ok((size, Box::pin(front.chain(parts))));
    }
    let copy = store.source_copy(import).await?.ok_or(Error::NotFound)?;
    Ok(open(storage, vec![Key::from_stored(copy)]).await?)
}
