//! `POST /imports/{id}/start`: starts a held import, read as the fields say.

use actix_web::{HttpRequest, HttpResponse, web};

use super::{pages::import, reading_fields::ReadingFields, rows::chosen, site::Site};
use crate::{
    http::{error::Error, principal::OwnedImport, session},
    imports::Imports,
    store::Store,
};

/// Without fields it is read as was chosen with the upload. Of an import that has started nothing changes.
pub async fn submit(
    owned: OwnedImport,
    request: HttpRequest,
    form: web::Bytes,
    imports: web::Data<Imports>,
    store: web::Data<Store>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Error> {
    let held = &owned.import;
    let fields = ReadingFields::of_request(&form, request.query_string());
    let choices = match chosen(held, &fields) {
        Ok(choices) => choices,
        Err(refused) => return import::refused(owned, &fields, refused, &store, &site).await,
    };
    imports.start_held(held, choices).await?;
    Ok(session::see_other(&format!("/imports/{}", held.row.id)))
}
