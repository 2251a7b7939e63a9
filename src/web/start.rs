//! `POST /imports/{id}/start`: starts a held import, read as the fields say.

use actix_web::{HttpRequest, HttpResponse, web};

use super::{pages::import, site::Site};
use crate::{
    function::Previewer,
    http::{
        error::Error, principal::OwnedImport, reading_fields::ReadingFields, session, sheet::find_sheet,
        start::start,
    },
    imports::{ImportState, Imports},
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
    let mut choices = match fields.choices_for(&owned.import) {
        Ok(choices) => choices,
        Err(refused) => {
            return import::refused(owned, &fields, refused, (&imports, &previewer), &store, &site).await;
        }
    };
    if owned.import.state() == ImportState::Held
        && let Err(refused) = find_sheet(&mut choices, &owned.import, &imports, &previewer).await?
    {
        return import::refused(owned, &fields, refused, (&imports, &previewer), &store, &site).await;
    }
    start(&owned.import, choices, &imports, &previewer).await?;
    Ok(session::see_other(&format!("/imports/{}", owned.import.row.id)))
}
