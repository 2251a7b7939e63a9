//! `GET, POST /forgot`: sends a link for a new password by e-mail. Not found unless e-mails can be sent.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header::ContentType},
    web,
};
use askama::Template;
use serde::Deserialize;

use super::{
    form_error::{FormError, Refusal, waiting_time},
    mail_is_offered,
};
use crate::{
    accounts::{Accounts, Email, Error as AccountError, ForgottenError},
    base::client_address::client_address,
    http::{error::Error, session},
};

#[derive(Clone, Debug, Template)]
#[template(path = "pages/forgot.html")]
pub struct ForgotPage {
    /// The address as it was typed.
    pub email: String,
    pub error: Option<FormError>,
    /// The form was taken. Says nothing of whether the address has an account.
    pub is_sent: bool,
}

/// `/forgot?sent=1`: what the form leads to.
#[derive(Deserialize)]
pub struct ForgotQuery {
    sent: Option<String>,
}

/// A missing field counts as empty.
#[derive(Deserialize)]
pub struct ForgotForm {
    #[serde(default)]
    email: String,
}

/// When to try again while too many e-mails wait.
const QUEUE_RETRY_AFTER: Duration = Duration::from_secs(60);

/// The name of the form's field.
const EMAIL: &str = "email";

impl ForgotPage {
    fn blames(&self, field: &str) -> bool {
        self.error.as_ref().is_some_and(|error| error.blames(field))
    }
}

pub async fn show(
    accounts: web::Data<Accounts>,
    query: web::Query<ForgotQuery>,
) -> Result<HttpResponse, Error> {
    mail_is_offered(&accounts)?;
    page(String::new(), query.sent.is_some(), None)
}

pub async fn submit(
    request: HttpRequest,
    accounts: web::Data<Accounts>,
    form: web::Form<ForgotForm>,
) -> Result<HttpResponse, Error> {
    mail_is_offered(&accounts)?;
    let typed = form.into_inner().email;
    let Ok(email) = typed.parse::<Email>() else {
        let error = FormError::of(&[EMAIL], "Enter a valid e-mail address.");
        return page(typed, false, Some(error.into()));
    };
    match accounts.send_reset_link(&email, client_address(&request)).await {
        Ok(()) => Ok(session::see_other("/forgot?sent=1")),
        Err(ForgottenError::TooMany { retry_after }) => {
            later(typed, StatusCode::TOO_MANY_REQUESTS, "Too many attempts.", retry_after)
        }
        Err(ForgottenError::Failed(AccountError::Busy)) => {
            let why = "Many e-mails are waiting to be sent.";
            later(typed, StatusCode::SERVICE_UNAVAILABLE, why, QUEUE_RETRY_AFTER)
        }
        Err(ForgottenError::Failed(error)) => Err(error.into()),
    }
}

/// The form again, which may be sent after `wait`.
fn later(typed: String, status: StatusCode, why: &str, wait: Duration) -> Result<HttpResponse, Error> {
    let error = FormError::of_form(format!("{why} Try again in {}.", waiting_time(wait)));
    page(typed, false, Some(Refusal { status, error, retry_after: Some(wait) }))
}

fn page(email: String, is_sent: bool, refusal: Option<Refusal>) -> Result<HttpResponse, Error> {
    let mut answer = Refusal::answer(refusal.as_ref());
    let page = ForgotPage { email, error: refusal.map(|refusal| refusal.error), is_sent };
    Ok(answer.content_type(ContentType::html()).body(page.render()?))
}
