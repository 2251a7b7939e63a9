//! `POST /imports/{id}/retry`: runs an import again, read as the fields say, or with `only=failed` its failed
//! records.

use actix_web::{HttpRequest, HttpResponse, web};
use url::form_urlencoded;

use super::{pages::import, reading_fields::ReadingFields, site::Site};
use crate::{
    base::{ids::ImportId, time::UnixMillis},
    csv::Choices,
    files::Storage,
    http::{error::Error, principal::OwnedImport, session},
    imports::{ImportState, Imports, Owned},
    results::outputs,
    store::{Store, imports::RetryOf},
};

/// Redirects to the retry, whether it is new or not, so that a second click changes nothing.
pub async fn submit(
    owned: OwnedImport,
    request: HttpRequest,
    form: web::Bytes,
    imports: web::Data<Imports>,
    (store, storage): (web::Data<Store>, web::Data<Storage>),
    site: web::Data<Site>,
) -> Result<HttpResponse, Error> {
    let kind = asked_for(&form, request.query_string())?;
    let fields = ReadingFields::of_request(&form, request.query_string());
    let choices = match fields.choices() {
        Ok(choices) => choices,
        Err(refused) => return import::refused(owned, &fields, refused, &store, &site).await,
    };
    let import = owned.import;
    let is_of_failed = kind == RetryOf::Failed || import.row.failed_rows_of.is_some();
    if is_of_failed && !choices.is_empty() {
        return Err(Error::ReadAsBefore);
    }
    if import.state() == ImportState::Held {
        return Err(Error::NotStarted);
    }
    let now = UnixMillis::now();
    let retry = match import.retry(kind, &choices) {
        Some(retry) => retry.id,
        // Which records have failed is known only at the end.
        None if !import.state().is_final() && (kind == RetryOf::Failed || !import.may_run_again(now)) => {
            return Err(Error::StillGoing);
        }
        None => match make((kind, choices), &import, &imports, &store, &storage, &site).await {
            // The import may be deleted in the meantime, its record before its files. An error is then
            // expected.
            Err(error) if imports.is_deleted(&import).await? => {
                tracing::warn!(import = %import.row.id, ?error, "the import was deleted while its re-run was being made");
                return Err(Error::NotFound);
            }
            Err(Error::Missing(error)) => {
                tracing::error!(import = %import.row.id, ?error, "the file to be run again is missing");
                return Err(Error::FileMissing);
            }
            made => made?,
        },
    };
    // Cancels the original import, so that it does not run beside its retry if it comes to life. (The second
    // of two clicks repeats this. It does not change an import that is over.)
    imports.cancel(&import).await?;
    Ok(session::see_other(&format!("/imports/{retry}")))
}

async fn make(
    (kind, choices): (RetryOf, Choices),
    import: &Owned,
    imports: &Imports,
    store: &Store,
    storage: &Storage,
    site: &Site,
) -> Result<ImportId, Error> {
    // Held until the retry is recorded. Later each step reserves what it writes.
    let reserve =
        async |bytes| site.quota.reserve(import.row.owner, bytes).await?.map_err(|_| Error::OverQuota);
    match kind {
        RetryOf::All => {
            let _reservation = reserve(import.row.size_bytes).await?;
            Ok(imports.retry_all(import, choices).await?)
        }
        RetryOf::Failed => {
            // Runs of other people's functions leave no records here.
            let run = import.runs.iter().find(|run| run.is_ours()).ok_or(Error::NothingFailed)?;
            let records =
                outputs::failed_records(store, &run.row.run_id).await?.ok_or(Error::NothingFailed)?;
            let size = records.size(storage).await?;
            let _reservation = reserve(size).await?;
            Ok(imports.retry_failed(import, &run.row.run_id, size).await?)
        }
    }
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
