//! The outputs of an import as files: the header and then the files that the steps wrote, streamed in order without a
//! temporary file. A download can be resumed, except with `?as=source`: in the form of the file that came in. An output
//! that is one object of a bucket is answered with a redirect to it, if the operator wants that.

use std::io;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        Method,
        header::{self, ContentDisposition, DispositionParam, DispositionType, EntityTag},
    },
};
use url::{Url, form_urlencoded};

use super::{
    conditional::{Representation, http_date},
    error::Error,
};
use crate::{
    files::{DownloadLink, Segments, Storage},
    imports::{RunSnapshot, Snapshot},
    inngest::RunStatus,
    results::outputs::{self, Outputs, Which},
    store::Store,
};

/// Of an output in the usual form.
const CONTENT_TYPE: &str = "text/csv; charset=utf-8";

/// How an output is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// UTF-8, commas, CRLF.
    Usual,
    /// In the separator and encoding of the file that came in.
    Source,
}

impl Form {
    /// The form that the link of a page asks for.
    #[must_use]
    pub fn asked_for(request: &HttpRequest) -> Self {
        let mut query = form_urlencoded::parse(request.query_string().as_bytes());
        if query.any(|field| field == ("as".into(), "source".into())) { Self::Source } else { Self::Usual }
    }
}

/// One of the outputs of an import that is over.
pub async fn download(
    request: &HttpRequest,
    import: &Snapshot,
    (which, form): (Which, Form),
    store: &Store,
    storage: &Storage,
) -> Result<HttpResponse, Error> {
    let run = run_with_outputs(import)?;
    let outputs = outputs::of(store, &run.row.run_id, which).await?.ok_or(Error::NothingWritten)?;
    let disposition = attachment_of(import.file_name(), which, &run.row.status);
    let parts = match storage.segments(&outputs.parts).await {
        // The import was deleted in the meantime.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::NotFound),
        parts => parts?,
    };
    if form == Form::Source {
        return Ok(as_source(request, outputs, disposition, storage));
    }
    let is_stored_whole = outputs.header.is_empty() && outputs.parts.len() == 1;
    let file = Segments::of_bytes(outputs.header).then(parts);
    let representation = Representation {
        // A lost run can continue and add parts. The tag then changes.
        etag: EntityTag::new_strong(file.fingerprint()),
        last_modified: Some(http_date(outputs.committed_at)),
        length: file.length(),
    };
    if is_stored_whole && representation.is_wanted(request) {
        let link = DownloadLink {
            is_head: request.method() == Method::HEAD,
            content_type: CONTENT_TYPE,
            content_disposition: disposition.to_string(),
        };
        if let Some(link) = storage.download_link(&outputs.parts[0], &link).await? {
            return Ok(redirect(&link));
        }
    }
    let read = |range| file.slice(&range).read();
    Ok(representation.answer(request, CONTENT_TYPE, disposition, read))
}

/// The answer that the file is in the bucket. Nobody may keep it: the link opens the file for whoever has it.
fn redirect(link: &Url) -> HttpResponse {
    let mut answer = HttpResponse::TemporaryRedirect();
    answer
        .insert_header((header::LOCATION, link.as_str()))
        .insert_header((header::CACHE_CONTROL, "no-store"));
    answer.finish()
}

/// The run of an import that is over which has written its outputs.
pub fn run_with_outputs(import: &Snapshot) -> Result<&RunSnapshot, Error> {
    if !import.state().is_final() {
        return Err(Error::NotYet);
    }
    // Runs of other people's functions leave no files here.
    import.runs.iter().find(|run| run.is_ours()).ok_or(Error::NothingWritten)
}

/// The output in the form of the file that came in. Its length is not known before it is
/// converted, so there are no ranges.
fn as_source(
    request: &HttpRequest,
    outputs: Outputs,
    disposition: ContentDisposition,
    storage: &Storage,
) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response
        .content_type(format!("text/csv; charset={}", outputs.encoding.name()))
        .insert_header(disposition)
        .insert_header((header::ACCEPT_RANGES, "none"));
    if request.method() == Method::HEAD {
        return response.finish();
    }
    response.streaming(outputs.in_source_form(storage))
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
#[must_use]
pub fn attachment(file_name: &str, suffix: &str) -> ContentDisposition {
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
