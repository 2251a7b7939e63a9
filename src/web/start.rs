//! `POST /imports/{id}/start`: starts a held import, read as the fields say.

use actix_web::{HttpRequest, HttpResponse, web};

use super::{pages::import, site::Site};
use crate::{
    function::Previewer,
    http::{error::Error, principal::OwnedImport, reading_fields::ReadingFields, session, start::start},
    imports::Imports,
    store::Store,
};

/// Without fields it is read as was chosen with the upload. Of an import that has started nothing changes.
pub async fn submit(
    owned: OwnedImport,
    request: HttpRequest,
    form: web::Bytes,
    (imports, previewer): (web::Data<Imports>, web::Data<Previewer>),
    store: web::Data<Store>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Error> {
    let fields = ReadingFields::of_request(&form, request.query_string());
    let choices = match fields.choices_for(&owned.import) {
        Ok(choices) => choices,
        Err(refused) => return import::refused(owned, &fields, refused, &store, &site).await,
    };
    start(&owned.import, choices, &imports, &previewer).await?;
    Ok(session::see_other(&format!("/imports/{}", owned.import.row.id)))
}
