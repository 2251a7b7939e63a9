//! `GET /imports/{id}/processed.csv` and `failed.csv`: the header and then the files that the steps wrote,
//! streamed in order without a temporary file.

use std::{io, pin::Pin};

use actix_web::{
    HttpResponse,
    http::header::{self, ContentDisposition, DispositionParam, DispositionType},
    web,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use tokio::fs::File;
use tokio_util::io::ReaderStream;

use crate::{
    files::{Key, Storage},
    http::{error::Error, principal::OwnedImport},
    imports::Snapshot,
    inngest::RunStatus,
    results::outputs::{self, Which},
    store::Store,
};

pub async fn processed(
    OwnedImport { import, .. }: OwnedImport,
    store: web::Data<Store>,
    storage: web::Data<Storage>,
) -> Result<HttpResponse, Error> {
    download(&import, Which::Processed, &store, &storage).await
}

pub async fn failed(
    OwnedImport { import, .. }: OwnedImport,
    store: web::Data<Store>,
    storage: web::Data<Storage>,
) -> Result<HttpResponse, Error> {
    download(&import, Which::Failed, &store, &storage).await
}

async fn download(
    import: &Snapshot,
    which: Which,
    store: &Store,
    storage: &Storage,
) -> Result<HttpResponse, Error> {
    if !import.state().is_final() {
        return Err(Error::NotYet);
    }
    // Runs of other people's functions leave no files here.
    let run = import.runs.iter().find(|run| run.is_ours()).ok_or(Error::NothingWritten)?;
    let outputs = outputs::of(store, &run.row.run_id, which).await?.ok_or(Error::NothingWritten)?;
    let (size, parts) = match open(storage, outputs.parts).await {
        // The import was deleted in the meantime.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::NotFound),
        opened => opened?,
    };
    let header = Bytes::from(outputs.header);
    let size = size + header.len() as u64;
    let body = stream::iter([Ok(header)]).chain(parts);
    Ok(HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header(attachment_of(import.file_name(), which, &run.row.status))
        .no_chunking(size)
        .streaming(body))
}

/// How many bytes are read at once: each read uses another thread.
pub(super) const BLOCK: usize = 256 << 10;

pub(super) type ByteStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>>>>;

/// The total size of the parts, and their bytes. Each part is opened when it is needed.
pub(super) async fn open(storage: &Storage, keys: Vec<Key>) -> io::Result<(u64, ByteStream)> {
    let paths: Vec<_> = keys.iter().map(|key| storage.path(key)).collect();
    let mut size = 0;
    for path in &paths {
        size += tokio::fs::metadata(path).await?.len();
    }
    let parts = stream::iter(paths)
        .then(File::open)
        .map_ok(|file| ReaderStream::with_capacity(file, BLOCK))
        .try_flatten();
    Ok((size, Box::pin(parts)))
}

/// `orders-processed.csv`; for a run that stopped early `orders-processed-partial.csv`.
fn attachment_of(file_name: &str, which: Which, status: &RunStatus) -> ContentDisposition {
    let kind = match which {
        Which::Processed => "processed",
        Which::Failed => "failed",
    };
    let partial = if *status == RunStatus::Completed { "" } else { "-partial" };
    attachment(file_name, &format!("{kind}{partial}.csv"))
}

/// A download named after the imported file: `orders-` and `suffix`.
pub(super) fn attachment(file_name: &str, suffix: &str) -> ContentDisposition {
    let stem = file_name.rsplit_once('.').map_or(file_name, |(stem, _)| stem);
    ContentDisposition {
        disposition: DispositionType::Attachment,
        parameters: vec![
            // For clients that support only the plain form; the real name follows.
            DispositionParam::Filename(suffix.to_owned()),
            DispositionParam::FilenameExt(header::ExtendedValue {
                charset: header::Charset::Ext("UTF-8".to_owned()),
                language_tag: None,
                value: format!("{stem}-{suffix}").into_bytes(),
            }),
        ],
    }
}
