//! `GET /api/v1/imports/{id}/processed.csv`, `failed.csv` and `failures`.

use std::io;

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
        download::{Form, download, run_with_outputs},
        error::Error,
        problem::Problem,
        query::QueryOf,
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
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DownloadQuery {
    /// `source`: in the separator and encoding of the file that came in.
    #[serde(rename = "as")]
    form: Option<DownloadForm>,
}

#[derive(Clone, Copy, Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DownloadForm {
    Source,
}

impl From<DownloadForm> for Form {
    fn from(form: DownloadForm) -> Self {
        match form {
            DownloadForm::Source => Self::Source,
        }
    }
}

/// Processed rows as a CSV file.
///
/// The header, then the rows in the order of the file: UTF-8, commas, CRLF.
#[utoipa::path(
    get, path = "/imports/{id}/processed.csv", operation_id = "downloadProcessedRows", tag = "imports",
    params(("id" = String, Path, description = "The id of the import.", example = "01KBC8Z3V5F0M3E2J8W4R7T9QX"), DownloadQuery, ("Range" = Option<String>, Header, description = "A range of bytes, not of the form source.", example = "bytes=0-1023")),
    responses(
        (status = 200, description = "The file.", body = String, content_type = "text/csv", example = json!("id,name\r\n1,Zoë\r\n")),
        (status = 206, description = "A part of the file.", body = String, content_type = "text/csv", headers(("Content-Range" = String))),
        (status = 307, description = "The file is in the server's bucket, for some minutes at the address in `Location`. Only if the server is set up so (`RUNBOARD_STORAGE_LINKS`). Do not send the token there.", headers(("Location" = String))),
    ),
    security(("token" = ["read"]), ("session" = [])),
)]
pub async fn processed(
    QueryOf { by, value: DownloadQuery { form } }: QueryOf<ApiImport<ToRead>, DownloadQuery>,
    request: HttpRequest,
    (store, storage): (web::Data<Store>, web::Data<Storage>),
) -> Result<HttpResponse, Problem> {
    let wanted = (Which::Processed, form.map_or(Form::Usual, Form::from));
    Ok(download(&request, &by.import, wanted, &store, &storage).await?)
}
/// Failed rows as a CSV file.
///
/// A line for each row, in the order of the file: its line, the column at fault and the reason come first.
#[utoipa::path(
    get, path = "/imports/{id}/failed.csv", operation_id = "downloadFailedRows", tag = "imports",
    params(("id" = String, Path, description = "The id of the import.", example = "01KBC8Z3V5F0M3E2J8W4R7T9QX"), DownloadQuery, ("Range" = Option<String>, Header, description = "A range of bytes, not of the form source.", example = "bytes=0-1023")),
    responses(
        (status = 200, description = "The file.", body = String, content_type = "text/csv", example = json!("_line,_column,_reason,id,name,_extra\r\n3,,\"1 field, expected 2\",2\r\n")),
        (status = 206, description = "A part of the file.", body = String, content_type = "text/csv", headers(("Content-Range" = String))),
        (status = 307, description = "The file is in the server's bucket, for some minutes at the address in `Location`. Only if the server is set up so (`RUNBOARD_STORAGE_LINKS`). Do not send the token there.", headers(("Location" = String))),
    ),
    security(("token" = ["read"]), ("session" = [])),
)]
pub async fn failed(
    QueryOf { by, value: DownloadQuery { form } }: QueryOf<ApiImport<ToRead>, DownloadQuery>,
    request: HttpRequest,
    (store, storage): (web::Data<Store>, web::Data<Storage>),
) -> Result<HttpResponse, Problem> {
    let wanted = (Which::Failed, form.map_or(Form::Usual, Form::from));
    Ok(download(&request, &by.import, wanted, &store, &storage).await?)
}

/// Where the page begins.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FailuresQuery {
    /// The `next` of the page before this one.
    cursor: Option<String>,
}

/// A page of failed rows, in the order of the file.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct FailedRowList {
    data: Vec<FailedRowJson>,
    /// The cursor of the next page; null on the last.
    next: Option<String>,
}

/// A failed row.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FailedRow, example = json!({ "line": 5, "lastLine": 5, "reason": "1 field, expected 2", "fields": ["3"], "raw": "3" }))]
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
    /// The row as it is in the file, at most 64 KiB of it. Bytes that cannot be decoded are U+FFFD.
    raw: String,
}

impl From<FailedLine> for FailedRowJson {
    fn from(FailedLine { line, last_line, column, reason, fields, raw }: FailedLine) -> Self {
        Self { line, last_line, column, reason, fields, raw }
    }
}
/// Failed rows with their fields and bytes, in the order of the file.
#[utoipa::path(
    get, path = "/imports/{id}/failures", operation_id = "listFailedRows", tag = "imports",
    params(("id" = String, Path, description = "The id of the import.", example = "01KBC8Z3V5F0M3E2J8W4R7T9QX"), FailuresQuery),
    responses((status = 200, description = "A page of failed rows.", body = FailedRowList)),
    security(("token" = ["read"]), ("session" = [])),
)]
pub async fn failures(
    QueryOf { by: ApiImport { import, .. }, value: query }: QueryOf<ApiImport<ToRead>, FailuresQuery>,
    request: HttpRequest,
    (store, storage): (web::Data<Store>, web::Data<Storage>),
) -> Result<HttpResponse, Problem> {
    let of_this = CursorsOf::list(import.row.owner, &["failures", &import.row.id.to_string()]);
    let from = match &query.cursor {
        Some(cursor) => read(of_this.place(cursor)?).ok_or_else(cursor::wrong)?,
        None => FailuresPlace::default(),
    };
    let run = run_with_outputs(&import)?;
    let page = failures::page(&store, &storage, &run.row.run_id, from, MOST_ON_PAGE).await;
    let page = page.map_err(|error| match error {
        FailuresError::NoSuchPlace => cursor::wrong(),
        FailuresError::Store(error) => error.into(),
        // The import was deleted in the meantime.
        FailuresError::Storage(error) if error.kind() == io::ErrorKind::NotFound => Error::NotFound.into(),
        // Its owner can make a cursor that leads into the middle of a row.
        FailuresError::Storage(error)
            if error.kind() == io::ErrorKind::InvalidData && query.cursor.is_some() =>
        {
            cursor::wrong()
        }
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
