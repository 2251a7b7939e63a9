//! `POST /api/v1/imports/{id}/cancel`, `/retry` and `/start`, and `DELETE /api/v1/imports/{id}`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::{accepted, imports::whole, inputs, make::made, reading_json::ReadingRequest};
use crate::{
    function::Previewer,
    http::{
        caller::{ApiImport, ToImport},
        delete::delete as delete_import,
        error::Error,
        json::{JsonOf, OptionalJsonOf},
        keyed::Keyed,
        problem::Problem,
        sheet::find_sheet,
        start::start as start_import,
    },
    imports::{ImportState, Imports, Owned},
    report::EngineName,
    store::{Store, imports::RetryOf},
};

/// What is run again, and how it is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetryRequest {
    /// Absent: all rows.
    only: Option<OnlyRows>,
    /// Absent: it is detected anew.
    reading: Option<ReadingRequest>,
}

/// The rows that are run again.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnlyRows {
    Failed,
}

/// How a held import is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StartRequest {
    /// Absent: as was chosen with the upload.
    reading: Option<ReadingRequest>,
}

pub async fn cancel(
    ApiImport { import, .. }: ApiImport<ToImport>,
    imports: web::Data<Imports>,
    (engine, store): (web::Data<EngineName>, web::Data<Store>),
) -> Result<HttpResponse, Problem> {
    if !imports.cancel(&import).await? {
        return Err(Error::NotFound.into());
    }
    now(&import, &imports, &store, &engine).await
}

pub async fn retry(
    OptionalJsonOf(JsonOf { by, value, bytes }): OptionalJsonOf<ApiImport<ToImport>, RetryRequest>,
    request: HttpRequest,
    (imports, previewer): (web::Data<Imports>, web::Data<Previewer>),
    (engine, store): (web::Data<EngineName>, web::Data<Store>),
) -> Result<HttpResponse, Problem> {
    let keyed = Keyed::with_body(&request, &bytes)?;
    let kind = match value.only {
        None => RetryOf::All,
        Some(OnlyRows::Failed) => RetryOf::Failed,
    };
    let mut choices = value.reading.unwrap_or_default().choices()?;
    find_sheet(&mut choices, &by.import, &imports, &previewer).await??;
    let retry = imports.run_again(&by.import, kind, choices, keyed).await?;
    made(by.principal.user, retry, (&imports, &store), &engine).await
}

/// Of an import that has started nothing changes.
pub async fn start(
    OptionalJsonOf(JsonOf { by, value, .. }): OptionalJsonOf<ApiImport<ToImport>, StartRequest>,
    (imports, previewer): (web::Data<Imports>, web::Data<Previewer>),
    (engine, store): (web::Data<EngineName>, web::Data<Store>),
) -> Result<HttpResponse, Problem> {
    let import = by.import;
    let mut choices = match value.reading {
        Some(reading) => reading.choices()?,
        None => import.row.choices.clone(),
    };
    if import.state() == ImportState::Held {
        find_sheet(&mut choices, &import, &imports, &previewer).await??;
    }
    start_import(&import, choices, &imports, &previewer).await.map_err(Error::from)?;
    now(&import, &imports, &store, &engine).await
}

pub async fn delete(
    ApiImport { import, .. }: ApiImport<ToImport>,
    imports: web::Data<Imports>,
) -> Result<HttpResponse, Problem> {
    delete_import(&import, &imports).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// 202 with the import as it is now.
async fn now(
    import: &Owned,
    imports: &Imports,
    store: &Store,
    engine: &EngineName,
) -> Result<HttpResponse, Problem> {
    let import = imports.as_now(import).await?.ok_or(Error::NotFound)?;
    accepted(&whole(&import, store, &inputs(engine)).await?)
}
