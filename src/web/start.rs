//! `POST /imports/{id}/start`: starts a held import, read as the fields say.

use actix_web::{HttpRequest, HttpResponse, web};

use super::{pages::import, reading_fields::ReadingFields, rows::chosen, site::Site};
use crate::{
    csv::Choices,
    function::{Preview, PreviewError, Previewer},
    http::{error::Error, principal::OwnedImport, session},
    imports::{ImportState, Imports, Owned},
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
    let held = &owned.import;
    let fields = ReadingFields::of_request(&form, request.query_string());
    let choices = match chosen(held, &fields) {
        Ok(choices) => choices,
        Err(refused) => return import::refused(owned, &fields, refused, &store, &site).await,
    };
    imports.start_held(held, choices.clone()).await?;
    if held.state() == ImportState::Held && !choices.is_empty() {
        remember(held, &choices, &imports, &previewer).await;
    }
    Ok(session::see_other(&format!("/imports/{}", held.row.id)))
}

/// Remembers `choices` for the next file with the same header, as that is detected. A failure is only logged,
/// because nothing depends on it.
async fn remember(held: &Owned, choices: &Choices, imports: &Imports, previewer: &Previewer) {
    let row = &held.row;
    let Ok(Some((file, about))) = imports.stored_file(held).await else { return };
    match previewer.read(row.owner, file, about, Choices::default()).await {
        Ok(Preview { header: Some(header), .. }) => imports.remember_choices(row, &header, choices).await,
        Ok(Preview { header: None, .. }) | Err(PreviewError::NotReadable(_)) => {}
        Err(error) => tracing::warn!(import = %row.id, %error, "cannot look at the header of a file"),
    }
}
