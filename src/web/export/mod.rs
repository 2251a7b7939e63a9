//! `GET /account/export.zip`: all data of a user, as one zip: `imports.json`, and a folder for each import with
//! the file that came in and the two outputs. It is written while it is sent: one block of one file is in memory.

mod contents;

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        Method, StatusCode,
        header::{self, ContentDisposition, DispositionParam, DispositionType},
    },
    web,
};
use bytes::Bytes;
use futures_util::{Stream, stream};
use serde::Deserialize;
use tokio::task::spawn_blocking;

pub use self::contents::MOST_IMPORTS;
use self::contents::{Contents, ExportPiece};
use crate::{
    base::ids::{ImportId, UserId},
    files::{Storage, ZipStream},
    http::{error::Error, error_info::ErrorInfo, principal::Principal},
    imports::Imports,
    store::Store,
};

/// The exports of one user at once: each keeps a core busy.
const AT_ONCE: usize = 2;

/// The running exports of each user. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Exports(Arc<Mutex<HashMap<UserId, usize>>>);

/// A running export, until it is dropped.
#[derive(Debug)]
struct Running {
    exports: Exports,
    user: UserId,
}

impl Exports {
    fn begin(&self, user: UserId) -> Option<Running> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = running.entry(user).or_default();
        if *count >= AT_ONCE {
            return None;
        }
        *count += 1;
        Some(Running { exports: self.clone(), user })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut running = self.exports.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = running.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                running.remove(&self.user);
            }
        }
    }
}

/// `?before=`: the imports that are older than this one.
#[derive(Deserialize)]
pub struct ExportQuery {
    before: Option<String>,
}

pub async fn show(
    request: HttpRequest,
    user: Principal,
    exports: web::Data<Exports>,
    imports: web::Data<Imports>,
    stored: (web::Data<Store>, web::Data<Storage>),
    query: web::Query<ExportQuery>,
) -> Result<HttpResponse, Error> {
    let before: Option<ImportId> = match query.before.as_deref().map(str::parse).transpose() {
        Ok(before) => before,
        Err(_) => return Err(Error::Unreadable),
    };
    let Some(running) = exports.begin(user.user) else { return Ok(refused()) };
    let mut response = HttpResponse::Ok();
    response.content_type("application/zip").insert_header((header::ACCEPT_RANGES, "none")).insert_header(
        ContentDisposition {
            disposition: DispositionType::Attachment,
            parameters: vec![DispositionParam::Filename("runboard.zip".to_owned())],
        },
    );
    if request.method() == Method::HEAD {
        return Ok(response.finish());
    }
    let (store, storage) = stored;
    let contents = Contents::new(&imports, &store, &storage, user.user, before);
    Ok(response.streaming(zipped(contents, running)))
}

fn refused() -> HttpResponse {
    let info = ErrorInfo {
        status: StatusCode::TOO_MANY_REQUESTS,
        kind: None,
        title: "Already exporting",
        sentence: "Your data is being downloaded already. Try again when that is done.".into(),
        retry_after: Some(std::time::Duration::from_secs(60)),
        log_chain: None,
    };
    info.page()
}

/// The bytes of the zip. An error ends the stream without the zip's end, and the connection with it.
fn zipped(contents: Contents, running: Running) -> impl Stream<Item = io::Result<Bytes>> {
    stream::try_unfold(Some((contents, ZipStream::default(), running)), |state| async move {
        let Some((mut contents, mut archive, running)) = state else { return Ok(None) };
        loop {
            let Some(item) = contents.next().await? else { return Ok(Some((archive.finish()?, None))) };
            let (bytes, rest) = spawn_blocking(move || -> io::Result<_> {
                match item {
                    ExportPiece::File { name, at } => archive.begin(&name, at)?,
                    ExportPiece::Bytes(bytes) => archive.add(&bytes)?,
                }
                Ok((archive.take(), archive))
            })
            .await
            .map_err(io::Error::other)??;
            archive = rest;
            if !bytes.is_empty() {
                return Ok(Some((bytes, Some((contents, archive, running)))));
            }
        }
    })
}
