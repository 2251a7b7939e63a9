//! `GET /imports/{id}/rows`: the first rows of an import's file as they would be read with the choices in the query.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header::ContentType},
    web,
};

use super::{
    reading_fields::{ReadingFields, RefusedField},
    views::{PreviewSection, render},
};
use crate::{
    csv::Choices,
    function::{PreviewError, Previewer},
    http::{error::Error, htmx, principal::OwnedImport, session},
    imports::{ImportState, Imports, Owned, Snapshot},
};

/// A browser without the script gets the import's page, with the same query.
pub async fn show(
    OwnedImport { import, .. }: OwnedImport,
    request: HttpRequest,
    imports: web::Data<Imports>,
    previewer: web::Data<Previewer>,
) -> Result<HttpResponse, Error> {
    let query = request.query_string();
    if !htmx::wants_fragment(&request) {
        let mark = if query.is_empty() { "" } else { "?" };
        return Ok(session::see_other(&format!("/imports/{}{mark}{query}", import.row.id)));
    }
    let (status, section) = match chosen(&import, &ReadingFields::read(query.as_bytes())) {
        Ok(choices) => (StatusCode::OK, preview(&import, choices, &imports, &previewer).await?),
        Err(refused) => (StatusCode::UNPROCESSABLE_ENTITY, PreviewSection::refused(refused)),
    };
    let fragment = render(&section)?.html;
    Ok(HttpResponse::build(status).content_type(ContentType::html()).body(fragment))
}

/// The choices that the import would start or be run again with. Without fields, a held import is read as was
/// chosen with the upload.
pub fn chosen(import: &Snapshot, fields: &ReadingFields) -> Result<Choices, RefusedField> {
    if fields.is_empty() && import.state() == ImportState::Held {
        return Ok(import.row.choices.clone());
    }
    fields.choices()
}

/// The preview of an import's file, or why there is none.
pub async fn preview(
    import: &Owned,
    choices: Choices,
    imports: &Imports,
    previewer: &Previewer,
) -> Result<PreviewSection, Error> {
    let Some(file) = imports.stored_file(import).await? else {
        return Ok(PreviewSection::without_rows("The file is not stored here yet."));
    };
    match previewer.read(import.row.owner, file, choices).await {
        Ok(preview) => Ok(PreviewSection::of(preview)),
        Err(PreviewError::NotReadable(why)) => Ok(PreviewSection::without_rows(why)),
        Err(error) => Err(error.into()),
    }
}
