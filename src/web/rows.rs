//! `GET /imports/{id}/rows`: the first rows of an import's file as they would be read with the choices in the query.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header::ContentType},
    web,
};

use super::views::{PreviewFragment, render};
use crate::{
    csv::Sheets,
    function::{Preview, PreviewError, Previewer},
    http::{
        error::Error,
        htmx,
        principal::OwnedImport,
        reading_fields::{ReadingFields, RefusedField},
        session,
    },
    imports::{Imports, Owned},
    report::preview::PreviewReport,
    store::last_choices::HeaderHash,
};

/// The outcome of a look at a file.
#[derive(Clone, Debug)]
pub enum Looked {
    Rows(Box<Preview>),
    /// Why there are no rows.
    Nothing(String),
    /// What is wrong with the file: an import of it would fail.
    NotReadable(String),
    Refused(RefusedField),
}

impl Looked {
    /// The refused field.
    #[must_use]
    pub fn refused(&self) -> Option<RefusedField> {
        match self {
            Self::Refused(refused) => Some(refused.clone()),
            Self::Rows(_) | Self::Nothing(_) | Self::NotReadable(_) => None,
        }
    }

    /// The file's header, if rows are shown and it has one.
    #[must_use]
    pub fn header(&self) -> Option<&HeaderHash> {
        match self {
            Self::Rows(preview) => preview.header.as_ref(),
            Self::Nothing(_) | Self::NotReadable(_) | Self::Refused(_) => None,
        }
    }

    /// The sheets of the workbook whose rows are shown.
    #[must_use]
    pub fn sheets(&self) -> Option<&Sheets> {
        match self {
            Self::Rows(preview) => preview.read_as.sheet.as_ref().map(|sheet| &sheet.sheets),
            Self::Nothing(_) | Self::NotReadable(_) | Self::Refused(_) => None,
        }
    }

    #[must_use]
    pub fn report(&self) -> PreviewReport<'_> {
        match self {
            Self::Rows(preview) => PreviewReport::new(&preview.read_as, &preview.first_rows),
            Self::Nothing(why) => PreviewReport::none(why),
            Self::NotReadable(why) => PreviewReport::unreadable(why),
            Self::Refused(refused) => PreviewReport::refused(refused.field, refused.to_string()),
        }
    }
}

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
    let looked = look(&import, &ReadingFields::read(query.as_bytes()), &imports, &previewer).await?;
    let status = match looked {
        Looked::Rows(_) | Looked::Nothing(_) | Looked::NotReadable(_) => StatusCode::OK,
        Looked::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let fragment = render(&PreviewFragment { preview: looked.report() })?.html;
    Ok(HttpResponse::build(status).content_type(ContentType::html()).body(fragment))
}

/// Looks at an import's file as it would be read with `fields`.
pub async fn look(
    import: &Owned,
    fields: &ReadingFields,
    imports: &Imports,
    previewer: &Previewer,
) -> Result<Looked, Error> {
    let choices = match fields.choices_for(import) {
        Ok(choices) => choices,
        Err(refused) => return Ok(Looked::Refused(refused)),
    };
    let Some((file, about)) = imports.stored_file(import).await? else {
        return Ok(Looked::Nothing("The file is not stored here yet.".to_owned()));
    };
    match previewer.read(import.row.owner, file, about, choices).await {
        Ok(preview) => Ok(Looked::Rows(Box::new(preview))),
        Err(PreviewError::NotReadable(why)) => Ok(Looked::NotReadable(why)),
        Err(PreviewError::NotShown(why)) => Ok(Looked::Nothing(why)),
        Err(PreviewError::NoSuchSheet(why)) => Ok(Looked::Refused(RefusedField::sheet(why))),
        Err(error) => Err(error.into()),
    }
}

/// The sheets of an import's file. None if it is no workbook, or its sheets cannot be listed.
pub async fn sheets(
    import: &Owned,
    imports: &Imports,
    previewer: &Previewer,
) -> Result<Option<Sheets>, Error> {
    let Some((file, _)) = imports.stored_file(import).await? else { return Ok(None) };
    Ok(previewer.sheets(import.row.owner, &file).await.unwrap_or_else(|error| {
        tracing::debug!(import = %import.row.id, %error, "cannot list the sheets of a file");
        None
    }))
}
