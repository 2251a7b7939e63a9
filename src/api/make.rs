//! `POST /api/v1/imports`: a form with a file or an address, a CSV as it is, or an address in JSON.

use actix_web::{HttpMessage, HttpRequest, HttpResponse, http::header::CONTENT_ENCODING, web};
use serde::Deserialize;
use url::form_urlencoded;

use super::{created, import_json::ImportJson, imports::whole, inputs, reading_json::ReadingRequest};
use crate::{
    base::ids::UserId,
    csv::Choices,
    http::{
        caller::{ApiPrincipal, ToImport},
        error::Error,
        json,
        keyed::Keyed,
        object::Object,
        problem::Problem,
        query,
        reading_fields::ReadingFields,
        upload::{self, LOOK_FIELD, UploadRequest, Uploads, is_look},
    },
    imports::{Accepted, FileName, Imports, Start},
    report::EngineName,
    store::Store,
};

/// A file at an address.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddressRequest {
    /// http or https.
    url: String,
    /// What the file is called, whatever its server says.
    name: Option<String>,
    #[schema(value_type = Option<ReadingRequest>)]
    reading: Option<Object<ReadingRequest>>,
}

/// A form with a file or an address. How it is read is said as on the page.
#[derive(Debug, utoipa::ToSchema)]
pub struct UploadForm {
    /// Either this or url.
    #[schema(value_type = Option<String>, format = Binary)]
    pub file: Option<Vec<u8>>,
    /// http or https.
    pub url: Option<String>,
    /// 1: the file waits to be started.
    pub look: Option<String>,
    /// Of a workbook.
    pub sheet: Option<String>,
    pub encoding: Option<String>,
    pub delimiter: Option<String>,
    pub quote: Option<String>,
    pub escape: Option<String>,
    pub header: Option<String>,
    pub header_rows: Option<String>,
}

/// What the query says about a body of the type text/csv.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct BodyQuery {
    /// The name of the file.
    pub name: Option<String>,
    /// 1: the file waits to be started.
    pub look: Option<String>,
    pub encoding: Option<String>,
    pub delimiter: Option<String>,
    pub quote: Option<String>,
    pub escape: Option<String>,
    pub header: Option<String>,
    pub header_rows: Option<String>,
}

/// The types of a body, for people.
const TYPES: &str = "Send a form (multipart/form-data) with a file, a CSV as the body (text/csv), or an address as JSON \
                     (application/json).";
/// Why a body with a content coding is refused: it would be read as if it had none.
const CODED: &str = "Send the body without Content-Encoding. A file that is packed, such as .gz, is recognised by its \
                     content.";
/// Import a file or the file at an address.
///
/// A form has the file, or the address, and how it is read. A body of the type text/csv is the file itself, and the query says what a form would. A file that is only looked at (look) waits to be started.
#[utoipa::path(
    post, path = "/imports", operation_id = "makeImport", tag = "imports",
    params(BodyQuery, ("Idempotency-Key" = Option<String>, Header, description = "Makes nothing more if the same request comes again.", example = "8e03978e-40d5-43dd-bc93-6894a57f9324")),
    request_body(content(
        (UploadForm = "multipart/form-data"),
        (String = "text/csv", example = json!("id,name\n1,Zoë\n")),
        (AddressRequest = "application/json", example = json!({ "url": "https://example.org/orders.csv" })),
    )),
    responses((status = 201, description = "The new import.", body = ImportJson, headers(("Location" = String, description = "The path of what was made.")))),
    security(("token" = ["import"]), ("session" = [])),
)]
pub async fn make(
    caller: ApiPrincipal<ToImport>,
    request: HttpRequest,
    payload: web::Payload,
    (uploads, imports): (web::Data<Uploads>, web::Data<Imports>),
    (engine, store): (web::Data<EngineName>, web::Data<Store>),
) -> Result<HttpResponse, Problem> {
    let owner = caller.principal.user;
    if request.headers().contains_key(CONTENT_ENCODING) {
        return Err(Problem::WrongType(CODED));
    }
    let (keyed, token) = (Keyed::of(&request)?, caller.caller.token());
    let by = UploadRequest { request: &request, owner, keyed, token };
    let kind = request.content_type().to_ascii_lowercase();
    let accepted = if kind == "multipart/form-data" {
        query::none(&request)?;
        uploads.take_one_form(by, payload).await?
    } else if kind == "text/csv" {
        let (name, choices, start) = of_body(request.query_string())?;
        uploads.take_body(by, name, (choices, start), payload).await?
    } else if json::is_json(&request) {
        query::none(&request)?;
        let body = json::read(payload.into_inner()).await?;
        let AddressRequest { url, name, reading } = json::parse(&body)?;
        let address = upload::address(&url)?;
        let name = name.map(|name| FileName::from_client(&name));
        let choices = reading.map_or_else(ReadingRequest::default, |reading| reading.0).choices()?;
        uploads.take_address(by, &body, (&address, name), choices).await?
    } else {
        return Err(Problem::WrongType(TYPES));
    };
    made(owner, accepted, (&imports, &store), &engine).await
}

/// 201 with a new import, or with the one that the same request has made before.
pub async fn made(
    owner: UserId,
    accepted: Accepted,
    (imports, store): (&Imports, &Store),
    engine: &EngineName,
) -> Result<HttpResponse, Problem> {
    // It may have been deleted since the request was sent first.
    let import = imports.made(owner, accepted).await?.ok_or(Error::NotFound)?;
    let told = whole(&import, store, &inputs(engine)).await?;
    created(&format!("/api/v1/imports/{}", accepted.id), &told)
}

/// What the query says about a CSV that is the body.
fn of_body(query: &str) -> Result<(FileName, Choices, Start), Problem> {
    let (mut name, mut start, mut reading) = (String::new(), Start::AtOnce, ReadingFields::default());
    for (field, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*field {
            "name" => name = value.into_owned(),
            LOOK_FIELD if is_look(&value) => start = Start::OnRequest,
            LOOK_FIELD => {}
            _ if reading.add(&field, value) => {}
            _ => return Err(Problem::unknown_field(&field)),
        }
    }
    Ok((FileName::from_client(&name), reading.choices()?, start))
}
