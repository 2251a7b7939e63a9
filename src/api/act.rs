//! `POST /api/v1/imports/{id}/cancel`, `/retry` and `/start`, and `DELETE /api/v1/imports/{id}`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::{
    accepted, import_json::ImportJson, imports::whole, inputs, make::made, reading_json::ReadingRequest,
};
use crate::{
    function::Previewer,
    http::{
        caller::{ApiImport, ToImport},
        delete::delete as delete_import,
        error::Error,
        json::{JsonOf, OptionalJsonOf},
        keyed::Keyed,
        object::Object,
        problem::Problem,
        query::{NoFields, QueryOf},
        sheet::find_sheet,
        start::start as start_import,
    },
    imports::{ImportOptions, ImportState, Imports, Owned},
    report::EngineName,
    store::{Store, imports::RetryOf},
};

/// What is run again, and how it is read.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "only": "failed" }))]
pub struct RetryRequest {
    /// Absent: all rows.
    only: Option<OnlyRows>,
    /// Absent: it is detected anew.
    #[schema(value_type = Option<ReadingRequest>)]
    reading: Option<Object<ReadingRequest>>,
}

/// The rows that are run again.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnlyRows {
    Failed,
}

/// How a held import is read.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "reading": { "header": 6 } }))]
pub struct StartRequest {
    /// Absent: as was chosen with the upload.
    #[schema(value_type = Option<ReadingRequest>)]
    reading: Option<Object<ReadingRequest>>,
}
/// Cancel an import.
///
/// An import that is over stays as it is.
#[utoipa::path(
    post, path = "/imports/{id}/cancel", operation_id = "cancelImport", tag = "imports",
    params(("id" = String, Path, description = "The id of the import.", example = "01KBC8Z3V5F0M3E2J8W4R7T9QX")),
    responses((status = 202, description = "The import. Its runs are being cancelled.", body = ImportJson)),
    security(("token" = ["import"]), ("session" = [])),
)]
pub async fn cancel(
    JsonOf { by: ApiImport { import, .. }, .. }: OptionalJsonOf<ApiImport<ToImport>, NoFields>,
    imports: web::Data<Imports>,
    (engine, store): (web::Data<EngineName>, web::Data<Store>),
) -> Result<HttpResponse, Problem> {
    if import.state() == ImportState::Held {
        return Err(Error::NotStarted.into());
    }
    if !imports.cancel(&import).await? {
        return Err(Error::NotFound.into());
    }
    now(&import, &imports, &store, &engine).await
}
/// Run an import again, or only its failed rows.
///
/// It makes an import of the same file. Each reading of an import is made once.
#[utoipa::path(
    post, path = "/imports/{id}/retry", operation_id = "retryImport", tag = "imports",
    params(("id" = String, Path, description = "The id of the import.", example = "01KBC8Z3V5F0M3E2J8W4R7T9QX"), ("Idempotency-Key" = Option<String>, Header, description = "Makes nothing more if the same request comes again.", example = "8e03978e-40d5-43dd-bc93-6894a57f9324")),
    request_body = Option<RetryRequest>,
    responses((status = 201, description = "The new import, or the one that was made for the same request before.", body = ImportJson, headers(("Location" = String, description = "The path of what was made.")))),
    security(("token" = ["import"]), ("session" = [])),
)]
pub async fn retry(
    JsonOf { by, value, bytes }: OptionalJsonOf<ApiImport<ToImport>, RetryRequest>,
    request: HttpRequest,
    (imports, previewer): (web::Data<Imports>, web::Data<Previewer>),
    (engine, store): (web::Data<EngineName>, web::Data<Store>),
) -> Result<HttpResponse, Problem> {
    let keyed = Keyed::with_body(&request, &bytes)?;
    let kind = match value.only {
        None => RetryOf::All,
        Some(OnlyRows::Failed) => RetryOf::Failed,
    };
    let mut choices = value.reading.map_or_else(ReadingRequest::default, |reading| reading.0).choices()?;
    find_sheet(&mut choices, &by.import, &imports, &previewer).await??;
    let options =
        ImportOptions { choices, request: keyed, token: by.caller.token(), ..ImportOptions::default() };
    let retry = imports.run_again(&by.import, kind, options).await?;
    made(by.principal.user, retry, (&imports, &store), &engine).await
}

/// Start an import that was kept to be looked at.
///
/// An import that has started stays as it is.
#[utoipa::path(
    post, path = "/imports/{id}/start", operation_id = "startImport", tag = "imports",
    params(("id" = String, Path, description = "The id of the import.", example = "01KBC8Z3V5F0M3E2J8W4R7T9QX")),
    request_body = Option<StartRequest>,
    responses((status = 202, description = "The import.", body = ImportJson)),
    security(("token" = ["import"]), ("session" = [])),
)]
pub async fn start(
    JsonOf { by, value, .. }: OptionalJsonOf<ApiImport<ToImport>, StartRequest>,
    (imports, previewer): (web::Data<Imports>, web::Data<Previewer>),
    (engine, store): (web::Data<EngineName>, web::Data<Store>),
) -> Result<HttpResponse, Problem> {
    let import = by.import;
    let mut choices = match value.reading {
        Some(Object(reading)) => reading.choices()?,
        None => import.row.choices.clone(),
    };
    if import.state() == ImportState::Held {
        find_sheet(&mut choices, &import, &imports, &previewer).await??;
    }
    start_import(&import, choices, &imports, &previewer).await.map_err(Error::from)?;
    now(&import, &imports, &store, &engine).await
}
/// Delete an import that is over, with its files.
#[utoipa::path(
    delete, path = "/imports/{id}", operation_id = "deleteImport", tag = "imports",
    params(("id" = String, Path, description = "The id of the import.", example = "01KBC8Z3V5F0M3E2J8W4R7T9QX")),
    responses((status = 204, description = "It is deleted.")),
    security(("token" = ["import"]), ("session" = [])),
)]
pub async fn delete(
    QueryOf { by: ApiImport { import, .. }, .. }: QueryOf<ApiImport<ToImport>, NoFields>,
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
