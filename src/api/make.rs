//! `POST /api/v1/imports`: a form with a file or an address, a CSV as it is, or an address in JSON.

use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use serde::Deserialize;
use url::form_urlencoded;

use super::{created, imports::whole, inputs, reading_json::ReadingRequest};
use crate::{
    base::ids::UserId,
    csv::Choices,
    http::{
        caller::{ApiPrincipal, ToImport},
        error::Error,
        json,
        keyed::Keyed,
        problem::Problem,
        reading_fields::ReadingFields,
        upload::{self, LOOK_FIELD, UploadRequest, Uploads, is_look},
    },
    imports::{Accepted, FileName, Imports, Start},
    report::EngineName,
    store::Store,
};

/// A file at an address.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddressRequest {
    /// http or https.
    url: String,
    /// What the file is called, whatever its server says.
    name: Option<String>,
    reading: Option<ReadingRequest>,
}

/// The types of a body, for people.
const TYPES: &str = "Send a form (multipart/form-data) with a file, a CSV as the body (text/csv), or an address as JSON \
                     (application/json).";

pub async fn make(
    caller: ApiPrincipal<ToImport>,
    request: HttpRequest,
    payload: web::Payload,
    (uploads, imports): (web::Data<Uploads>, web::Data<Imports>),
    (engine, store): (web::Data<EngineName>, web::Data<Store>),
) -> Result<HttpResponse, Problem> {
    let owner = caller.principal.user;
    let by = UploadRequest { request: &request, owner, keyed: Keyed::of(&request)? };
    let query = request.query_string();
    let kind = request.content_type().to_ascii_lowercase();
    let accepted = if kind == "multipart/form-data" {
        no_fields(query)?;
        uploads.take_one_form(by, payload).await?
    } else if kind == "text/csv" {
        let (name, choices, start) = of_body(query)?;
        uploads.take_body(by, name, (choices, start), payload).await?
    } else if json::is_json(&request) {
        no_fields(query)?;
        let body = json::read(payload.into_inner()).await?;
        let AddressRequest { url, name, reading } = json::parse(&body)?;
        let address = upload::address(&url)?;
        let name = name.map(|name| FileName::from_client(&name));
        let choices = reading.unwrap_or_default().choices()?;
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

fn no_fields(query: &str) -> Result<(), Problem> {
    match form_urlencoded::parse(query.as_bytes()).next() {
        Some((field, _)) => Err(Problem::unknown_field(&field)),
        None => Ok(()),
    }
}
