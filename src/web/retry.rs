//! `POST /imports/{id}/retry`: runs an import again, read as the fields say, or with `only=failed` its failed
//! records.

use actix_web::{HttpRequest, HttpResponse, web};
use url::form_urlencoded;

use super::{pages::import, site::Site};
use crate::{
    function::Previewer,
    http::{error::Error, principal::OwnedImport, reading_fields::ReadingFields, session, sheet::find_sheet},
    imports::{ImportOptions, Imports},
    store::{Store, imports::RetryOf},
};

/// Redirects to the retry, whether it is new or not, so that a second click changes nothing.
pub async fn submit(
    owned: OwnedImport,
    request: HttpRequest,
    form: web::Bytes,
    (imports, previewer): (web::Data<Imports>, web::Data<Previewer>),
    store: web::Data<Store>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Error> {
    let kind = asked_for(&form, request.query_string())?;
    let fields = ReadingFields::of_request(&form, request.query_string());
    let mut choices = match fields.choices() {
        Ok(choices) => choices,
        Err(refused) => {
            return import::refused(owned, &fields, refused, (&imports, &previewer), &store, &site).await;
        }
    };
    if let Err(refused) = find_sheet(&mut choices, &owned.import, &imports, &previewer).await? {
        return import::refused(owned, &fields, refused, (&imports, &previewer), &store, &site).await;
    }
    let options = ImportOptions { choices, ..ImportOptions::default() };
    let retry = imports.run_again(&owned.import, kind, options).await?.id;
    Ok(session::see_other(&format!("/imports/{retry}")))
}

/// The value of the field `only`, in the form or the query. Without it, all records.
fn asked_for(form: &[u8], query: &str) -> Result<RetryOf, Error> {
    let mut fields = form_urlencoded::parse(form).chain(form_urlencoded::parse(query.as_bytes()));
    match fields.find(|(name, _)| name == "only") {
        None => Ok(RetryOf::All),
        Some((_, only)) if only == "failed" => Ok(RetryOf::Failed),
        Some(_) => Err(Error::NoSuchPart),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_run_again_is_said_in_the_form_or_the_query() {
        assert_eq!(asked_for(b"", "").unwrap(), RetryOf::All);
        assert_eq!(asked_for(b"only=failed", "").unwrap(), RetryOf::Failed);
        assert_eq!(asked_for(b"", "only=failed").unwrap(), RetryOf::Failed);
        for (form, query) in [("only=", ""), ("only=processed", ""), ("", "only=FAILED")] {
            assert!(
                matches!(asked_for(form.as_bytes(), query), Err(Error::NoSuchPart)),
                "{form:?} {query:?}"
            );
        }
    }
}
