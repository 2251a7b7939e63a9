//! `POST /account/sessions/end`: ends one session of the user, or all others.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use crate::{
    accounts::Accounts,
    http::{
        error::Error,
        origin::PublicOrigin,
        principal::{FormOf, Principal},
        session,
    },
    web::flash::{self, AccountChange, Flash},
};

/// Without a name all sessions end but the one that asks.
#[derive(Deserialize)]
pub struct EndForm {
    session: Option<String>,
}

pub async fn end(
    request: HttpRequest,
    FormOf(user, form): FormOf<Principal, EndForm>,
    accounts: web::Data<Accounts>,
    origin: web::Data<PublicOrigin>,
) -> Result<HttpResponse, Error> {
    let own = session::token(&request).ok_or(Error::NotFound)?;
    let change = match &form.session {
        None => AccountChange::OtherSessionsEnded(accounts.end_other_sessions(user.user, &own).await?),
        Some(name) => {
            let open = accounts.sessions(user.user, &own).await?;
            if open.iter().any(|open| open.is_own && open.name == *name) {
                return Ok(session::end(&request, &accounts, &origin).await?);
            }
            // It may have ended in the meantime, which is what was asked for.
            accounts.end_session_named(user.user, name).await?;
            AccountChange::SessionEnded
        }
    };
    let mut response = session::see_other("/account");
    flash::send(&request, &mut response, &origin, &Flash::Account(change));
    Ok(response)
}
