//! `GET, POST /account/email`.

use actix_web::{HttpRequest, HttpResponse, http::header::ContentType, web};
use askama::Template;
use serde::Deserialize;

use crate::{
    accounts::{Accounts, ChangeEmailError},
    base::client_address::client_address,
    http::{
        error::Error,
        origin::PublicOrigin,
        principal::{FormOf, Principal},
        session,
    },
    web::{
        flash::{self, AccountChange, Flash},
        pages::form_error::{FormError, Refusal},
        site::Site,
        views::Frame,
    },
};

#[derive(Clone, Debug, Template)]
#[template(path = "pages/account/email.html")]
pub struct EmailPage {
    pub frame: Frame,
    /// The new address as it was typed.
    pub email: String,
    pub error: Option<FormError>,
}

/// A missing field counts as empty.
#[derive(Deserialize)]
pub struct EmailForm {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
}

/// The names of the form's fields.
const EMAIL: &str = "email";
const PASSWORD: &str = "password";

impl EmailPage {
    fn blames(&self, field: &str) -> bool {
        self.error.as_ref().is_some_and(|error| error.blames(field))
    }
}

pub async fn show(user: Principal, site: web::Data<Site>) -> Result<HttpResponse, Error> {
    page(&site, &user, String::new(), None)
}

pub async fn submit(
    request: HttpRequest,
    FormOf(user, form): FormOf<Principal, EmailForm>,
    accounts: web::Data<Accounts>,
    origin: web::Data<PublicOrigin>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Error> {
    let EmailForm { email: typed, password } = form;
    let Ok(new) = typed.parse() else {
        let error = FormError::of(&[EMAIL], "Enter a valid e-mail address.");
        return page(&site, &user, typed, Some(error.into()));
    };
    let who = (user.user, &user.email);
    if let Err(error) = accounts.change_email(who, password.into(), &new, client_address(&request)).await {
        let refusal = match error {
            ChangeEmailError::Taken => {
                FormError::of(&[EMAIL], "This e-mail address already has an account.").into()
            }
            ChangeEmailError::Unconfirmed(error) => {
                Refusal::of_sign_in(error, FormError::of(&[PASSWORD], "This is not your password."))?
            }
        };
        return page(&site, &user, typed, Some(refusal));
    }
    let mut response = session::see_other("/account");
    flash::send(&request, &mut response, &origin, &Flash::Account(AccountChange::Email));
    Ok(response)
}

fn page(
    site: &Site,
    user: &Principal,
    typed: String,
    refusal: Option<Refusal>,
) -> Result<HttpResponse, Error> {
    let mut answer = Refusal::answer(refusal.as_ref());
    let page =
        EmailPage { frame: site.frame(user), email: typed, error: refusal.map(|refusal| refusal.error) };
    Ok(answer.content_type(ContentType::html()).body(page.render()?))
}
