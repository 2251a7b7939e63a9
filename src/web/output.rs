//! `GET /imports/{id}/runs/{run}/output`: the whole output of a run. It may be many megabytes, so it is
//! streamed in parts from the database.

use actix_web::{HttpResponse, http::header::ContentType, web};
use bytes::Bytes;
use futures_util::stream;

use crate::{
    http::{download::attachment, error::Error, principal::OwnedImport},
    store::Store,
};

/// How many characters are read at once.
const PART: u32 = 1 << 20;

pub async fn show(
    OwnedImport { import, .. }: OwnedImport,
    path: web::Path<(String, String)>,
    store: web::Data<Store>,
) -> Result<HttpResponse, Error> {
    let (_, run) = path.into_inner();
    let run = import
        .runs
        .iter()
        .map(|run| &run.row)
        .find(|known| known.run_id.as_str() == run && known.ended_at.is_some());
    let Some((run, output)) = run.and_then(|run| run.output.as_ref().map(|output| (run, output))) else {
        return Err(Error::NotFound);
    };
    // The output of an ended run never changes.
    let (id, run_id) = (import.row.id, run.run_id.clone());
    let parts = stream::try_unfold(0, move |start: u64| {
        let (store, run_id) = (store.clone(), run_id.clone());
        async move {
            let part = store.output_part(id, &run_id, start, PART).await?;
            Ok::<_, crate::store::Error>(part.map(|part| {
                let next = start + part.chars().count() as u64;
                (Bytes::from(part), next)
            }))
        }
    });
    Ok(HttpResponse::Ok()
        .content_type(ContentType::json())
        .insert_header(attachment(import.file_name(), "output.json"))
        .no_chunking(output.bytes)
        .streaming(parts))
}
