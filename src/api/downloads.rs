//! `GET /api/v1/imports/{id}/processed.csv`, `failed.csv` and `failures`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};

use super::{
    cursor::{self, CursorsOf},
    json,
};
use crate::{
    csv::FailedLine,
    files::Storage,
    http::{
        caller::{ApiImport, ToRead},
        download::download,
        error::Error,
        problem::Problem,
    },
    results::{
        failures::{self, FailuresError, FailuresPlace},
        outputs::Which,
    },
    store::Store,
};

/// The most records of a page. It has fewer if they are long.
const MOST_ON_PAGE: usize = 100;

/// In which form a file is downloaded.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DownloadQuery {
    /// `source`: in the separator and encoding of the file that came in.
    #[serde(rename = "as")]
    _form: Option<DownloadForm>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DownloadForm {
    Source,
}

pub async fn processed(
    ApiImport { import, .. }: ApiImport<ToRead>,
    _query: web::Query<DownloadQuery>,
    request: HttpRequest,
    (store, storage): (web::Data<Store>, web::Data<Storage>),
) -> Result<HttpResponse, Problem> {
    Ok(download(&request, &import, Which::Processed, &store, &storage).await?)
}

pub async fn failed(
    ApiImport { import, .. }: ApiImport<ToRead>,
    _query: web::Query<DownloadQuery>,
    request: HttpRequest,
    (store, storage): (web::Data<Store>, web::Data<Storage>),
) -> Result<HttpResponse, Problem> {
    Ok(download(&request, &import, Which::Failed, &store, &storage).await?)
}

/// Where the page begins.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FailuresQuery {
    /// The `next` of the page before this one.
    cursor: Option<String>,
}

/// A page of failed rows, in the order of the file.
#[derive(Debug, Serialize)]
pub struct FailedRowList {
    data: Vec<FailedRowJson>,
    /// The cursor of the next page; null on the last.
    next: Option<String>,
}

/// A failed row.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedRowJson {
    /// The lines of the file on which it begins and ends, from 1.
    line: u64,
    last_line: u64,
    /// The column at fault. Absent if the whole row is.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<String>,
    reason: String,
    /// Absent if they are unknown, because the row is too long, or larger than 1 MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<Vec<String>>,
    /// The row as it is in the file, at most 64 KiB of it. What its encoding does not have is U+FFFD.
    raw: String,
}

impl From<FailedLine> for FailedRowJson {
    fn from(FailedLine { line, last_line, column, reason, fields, raw }: FailedLine) -> Self {
        Self { line, last_line, column, reason, fields, raw }
    }
}

pub async fn failures(
    ApiImport { import, .. }: ApiImport<ToRead>,
    query: web::Query<FailuresQuery>,
    request: HttpRequest,
    (store, storage): (web::Data<Store>, web::Data<Storage>),
) -> Result<HttpResponse, Problem> {
    let of_this = CursorsOf::list(import.row.owner, &["failures", &import.row.id.to_string()]);
    let from = match &query.cursor {
        Some(cursor) => read(of_this.place(cursor)?).ok_or_else(cursor::wrong)?,
        None => FailuresPlace::default(),
    };
    if !import.state().is_final() {
        return Err(Error::NotYet.into());
    }
    // Runs of other people's functions leave no files here.
    let run = import.runs.iter().find(|run| run.is_ours()).ok_or(Error::NothingWritten)?;
    let page = failures::page(&store, &storage, &run.row.run_id, from, MOST_ON_PAGE).await;
    let page = page.map_err(|error| match error {
        FailuresError::NoSuchPlace => cursor::wrong(),
        FailuresError::Store(error) => error.into(),
        FailuresError::Storage(error) => error.into(),
    })?;
    let page = page.ok_or(Error::NothingWritten)?;
    let list = FailedRowList {
        data: page.records.into_iter().map(FailedRowJson::from).collect(),
        next: page.next.map(|place| of_this.cursor(&written(place))),
    };
    json(&request, &list)
}

fn written(place: FailuresPlace) -> String {
    format!("{}-{}-{}", place.part, place.failed_bytes, place.raw_bytes)
}

fn read(text: &str) -> Option<FailuresPlace> {
    let mut numbers = text.split('-');
    let place = FailuresPlace {
        part: numbers.next()?.parse().ok()?,
        failed_bytes: numbers.next()?.parse().ok()?,
        raw_bytes: numbers.next()?.parse().ok()?,
    };
    numbers.next().is_none().then_some(place)
}
