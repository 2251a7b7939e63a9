//! `GET, POST /account/password`.

use actix_web::{HttpRequest, HttpResponse, http::header::ContentType, web};
use askama::Template;
use serde::Deserialize;

use crate::{
    accounts::Accounts,
    base::client_address::client_address,
    http::{
        error::Error,
        origin::PublicOrigin,
        principal::{FormOf, Principal},
        session,
    },
    web::{
        flash::{self, AccountChange, Flash},
        pages::form_error::{FormError, Refusal, chosen_password, password_rules},
        site::Site,
        views::Frame,
    },
};

#[derive(Clone, Debug, Template)]
#[template(path = "pages/account/password.html")]
pub struct PasswordPage {
    pub frame: Frame,
    pub error: Option<FormError>,
}

/// A missing field counts as empty.
#[derive(Deserialize)]
pub struct PasswordForm {
    #[serde(default)]
    present: String,
    #[serde(default)]
    new: String,
}

/// The names of the form's fields.
const PRESENT: &str = "present";
const NEW: &str = "new";

impl PasswordPage {
    fn blames(&self, field: &str) -> bool {
        self.error.as_ref().is_some_and(|error| error.blames(field))
    }

    fn rules(&self) -> String {
        password_rules()
    }
}

pub async fn show(user: Principal, site: web::Data<Site>) -> Result<HttpResponse, Error> {
    page(&site, &user, None)
}

pub async fn submit(
    request: HttpRequest,
    FormOf(user, form): FormOf<Principal, PasswordForm>,
    accounts: web::Data<Accounts>,
    origin: web::Data<PublicOrigin>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Error> {
    let PasswordForm { present, new } = form;
    let new = match chosen_password(new.into(), &[NEW]) {
        Ok(new) => new,
        Err(error) => return page(&site, &user, Some(error.into())),
    };
    let who = (user.user, &user.email);
    if let Err(error) = accounts.change_password(who, present.into(), new, client_address(&request)).await {
        let wrong = FormError::of(&[PRESENT], "This is not your present password.");
        return page(&site, &user, Some(Refusal::of_sign_in(error, wrong)?));
    }
    let (mut response, token) = session::replace(&request, &accounts, &origin, user.user, "/account").await?;
    if let Some(token) = token {
        flash::send_to(&token, &mut response, &origin, &Flash::Account(AccountChange::Password));
    }
    Ok(response)
}

fn page(site: &Site, user: &Principal, refusal: Option<Refusal>) -> Result<HttpResponse, Error> {
    let mut answer = Refusal::answer(refusal.as_ref());
    let page = PasswordPage { frame: site.frame(user), error: refusal.map(|refusal| refusal.error) };
    Ok(answer.content_type(ContentType::html()).body(page.render()?))
}
