//! `GET, POST /account/delete`: deletes the account with all its imports, after its password.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, http::header::ContentType, web};
use askama::Template;
use serde::Deserialize;

use crate::{
    accounts::{Accounts, LeaveError},
    base::client_address::client_address,
    http::{
        error::Error,
        origin::PublicOrigin,
        principal::{FormOf, Principal},
        session,
    },
    web::{
        pages::form_error::{FormError, Refusal},
        site::Site,
        views::Frame,
    },
};

#[derive(Clone, Debug, Template)]
#[template(path = "pages/account/leave.html")]
pub struct LeavePage {
    pub frame: Frame,
    pub error: Option<FormError>,
}

/// The last page of an account.
#[derive(Clone, Debug, Template)]
#[template(path = "pages/account/left.html")]
pub struct LeftPage {
    /// Nothing of the account is left.
    pub is_done: bool,
}

/// A missing field counts as empty.
#[derive(Deserialize)]
pub struct LeaveForm {
    #[serde(default)]
    password: String,
}

/// The name of the form's field.
const PASSWORD: &str = "password";

/// How long the answer waits for the deletion, so that it can say that it is done. It usually is.
const PATIENCE: Duration = Duration::from_secs(3);

const LAST_ADMIN: &str = "You are the only admin, and other people have accounts here. Nobody could invite, help or \
                          disable them. Ask the operator to make another one an admin first: runboard account admin \
                          THEIR-E-MAIL on";

impl LeavePage {
    fn blames(&self, field: &str) -> bool {
        self.error.as_ref().is_some_and(|error| error.blames(field))
    }
}

pub async fn show(user: Principal, site: web::Data<Site>) -> Result<HttpResponse, Error> {
    page(&site, &user, None)
}

pub async fn submit(
    request: HttpRequest,
    FormOf(user, form): FormOf<Principal, LeaveForm>,
    accounts: web::Data<Accounts>,
    origin: web::Data<PublicOrigin>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Error> {
    let who = (user.user, &user.email);
    let password = form.password.into();
    if let Err(error) = accounts.leave(who, password, client_address(&request)).await {
        let refusal = match error {
            LeaveError::LastAdmin => FormError::of_form(LAST_ADMIN).into(),
            LeaveError::Unconfirmed(error) => {
                Refusal::of_sign_in(error, FormError::of(&[PASSWORD], "This is not your password."))?
            }
        };
        return page(&site, &user, Some(refusal));
    }
    let is_done = accounts.has_left(user.user, PATIENCE).await.unwrap_or(false);
    let mut response =
        HttpResponse::Ok().content_type(ContentType::html()).body(LeftPage { is_done }.render()?);
    session::forget(&mut response, &origin);
    Ok(response)
}

fn page(site: &Site, user: &Principal, refusal: Option<Refusal>) -> Result<HttpResponse, Error> {
    let mut answer = Refusal::answer(refusal.as_ref());
    let page = LeavePage { frame: site.frame(user), error: refusal.map(|refusal| refusal.error) };
    Ok(answer.content_type(ContentType::html()).body(page.render()?))
}
