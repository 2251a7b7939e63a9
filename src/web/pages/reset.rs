//! `GET, POST /reset?token=`: sets a new password through a link from an admin or from an e-mail.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header::ContentType},
    web,
};
use askama::Template;
use serde::Deserialize;

use super::form_error::{FormError, Refusal, chosen_password, password_rules};
use crate::{
    accounts::{self, Accounts, BUSY_RETRY_AFTER, Token},
    base::client_address::client_address,
    http::{error::Error, origin::PublicOrigin, session},
};

#[derive(Clone, Template)]
#[template(path = "pages/reset.html")]
pub struct ResetPage {
    /// The account and the token of its link; None if the link is not valid any more.
    pub link: Option<(String, String)>,
    /// Whether a new link can be sent by e-mail.
    pub sends_mail: bool,
    pub error: Option<FormError>,
}

/// `/reset?token=`.
#[derive(Deserialize)]
pub struct ResetQuery {
    #[serde(default)]
    token: String,
}

/// A missing field counts as empty.
#[derive(Deserialize)]
pub struct ResetForm {
    #[serde(default)]
    token: String,
    #[serde(default)]
    password: String,
}

/// The name of the form's field.
const PASSWORD: &str = "password";

impl ResetPage {
    fn blames(&self, field: &str) -> bool {
        self.error.as_ref().is_some_and(|error| error.blames(field))
    }

    fn rules(&self) -> String {
        password_rules()
    }
}

pub async fn show(
    accounts: web::Data<Accounts>,
    query: web::Query<ResetQuery>,
) -> Result<HttpResponse, Error> {
    form(&accounts, &query.token, None).await
}

pub async fn submit(
    request: HttpRequest,
    accounts: web::Data<Accounts>,
    origin: web::Data<PublicOrigin>,
    form_fields: web::Form<ResetForm>,
) -> Result<HttpResponse, Error> {
    let ResetForm { token, password } = form_fields.into_inner();
    let Some(link) = Token::parse(&token) else { return over(&accounts) };
    let password = match chosen_password(password.into(), &[PASSWORD]) {
        Ok(password) => password,
        Err(error) => return form(&accounts, &token, Some(error.into())).await,
    };
    match accounts.use_reset_link(&link, password, client_address(&request)).await {
        Ok(Some(user)) => Ok(session::begin(&request, &accounts, &origin, user, "/").await?),
        Ok(None) => over(&accounts),
        Err(accounts::Error::Busy) => {
            let busy = Refusal {
                status: StatusCode::SERVICE_UNAVAILABLE,
                error: FormError::of_form(
                    "Many people are signing in right now. Try again in a few seconds.",
                ),
                retry_after: Some(BUSY_RETRY_AFTER),
            };
            form(&accounts, &token, Some(busy)).await
        }
        Err(error) => Err(error.into()),
    }
}

/// The form of a link, if it is valid.
async fn form(accounts: &Accounts, token: &str, refusal: Option<Refusal>) -> Result<HttpResponse, Error> {
    let Some(link) = Token::parse(token) else { return over(accounts) };
    let Some(email) = accounts.reset_link(&link).await? else { return over(accounts) };
    let mut answer = Refusal::answer(refusal.as_ref());
    let page = ResetPage {
        link: Some((email, link.expose())),
        sends_mail: accounts.mail().is_some(),
        error: refusal.map(|refusal| refusal.error),
    };
    Ok(answer.content_type(ContentType::html()).body(page.render()?))
}

fn over(accounts: &Accounts) -> Result<HttpResponse, Error> {
    let page = ResetPage { link: None, sends_mail: accounts.mail().is_some(), error: None };
    Ok(HttpResponse::Forbidden().content_type(ContentType::html()).body(page.render()?))
}
