//! `GET /files/{import}?exp&sig`: the signed link that `data.file` of an event is.

use std::io;

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use tokio::fs::File;
use tokio_util::io::ReaderStream;

use super::downloads::BLOCK;
use crate::{
    base::time::UnixMillis,
    files::{Key, LinkKey, Storage},
    http::error::Error,
};

/// The uploaded file as it came. The signature is the leave to read it; no session is asked for.
pub async fn file(
    request: HttpRequest,
    links: web::Data<LinkKey>,
    storage: web::Data<Storage>,
) -> Result<HttpResponse, Error> {
    let link =
        links.verify(request.path(), request.query_string(), UnixMillis::wall()).ok_or(Error::NotFound)?;
    let file = match File::open(storage.path(&Key::upload(link.import))).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::NotFound),
        file => file?,
    };
    let size = file.metadata().await?.len();
    Ok(HttpResponse::Ok()
        .content_type("text/csv")
        .insert_header((header::CONTENT_DISPOSITION, "attachment"))
        .no_chunking(size)
        .streaming(ReaderStream::with_capacity(file, BLOCK)))
}
