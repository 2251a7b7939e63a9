//! `GET, POST /sign-up`.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header::ContentType},
    web,
};
use askama::Template;
use secrecy::SecretString;
use serde::Deserialize;

use crate::{
    accounts::{Accounts, Email, InvalidPassword, Password, SignUpError, Token},
    web::{error::Error, origin::PublicOrigin, session},
};

#[derive(Clone, Template)]
#[template(path = "pages/sign_up.html")]
pub struct SignUpPage {
    /// As it was typed.
    pub email: String,
    /// Why the form came back, or why there is none: a sentence.
    pub error: Option<String>,
    /// The one-time link's, to be sent along with the form.
    pub token: Option<String>,
    /// Whether there is a form at all.
    pub allowed: bool,
    /// Where one signs up: `runboard.example.org`.
    pub host: String,
}

/// `/sign-up?token=`.
#[derive(Deserialize)]
pub struct Query {
    token: Option<String>,
}

/// What the form sends. A field that is missing counts as left empty.
#[derive(Deserialize)]
pub struct Form {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    token: Option<String>,
}

const CLOSED: &str = "Sign-up is closed. Ask the operator of this Runboard for an account.";
const LINK_NEEDED: &str = "To create the first account, open the link that Runboard printed when it started.";
const NOT_AN_EMAIL: &str = "Enter a valid e-mail address.";
const TAKEN: &str = "This e-mail address already has an account. Sign in with it.";

pub async fn show(
    request: HttpRequest,
    accounts: web::Data<Accounts>,
    origin: web::Data<PublicOrigin>,
    query: web::Query<Query>,
) -> Result<HttpResponse, Error> {
    if session::current(&request, &accounts).await?.is_some() {
        return Ok(session::see_other("/"));
    }
    let link = query.into_inner().token.as_deref().and_then(Token::parse);
    match accounts.may_sign_up(link.as_ref()).await {
        Ok(()) => page(StatusCode::OK, &origin, String::new(), link.as_ref(), None),
        Err(refusal) => refused(refusal, &origin, String::new(), None),
    }
}

pub async fn submit(
    request: HttpRequest,
    accounts: web::Data<Accounts>,
    origin: web::Data<PublicOrigin>,
    query: web::Query<Query>,
    form: web::Form<Form>,
) -> Result<HttpResponse, Error> {
    let Form { email: typed, password, token } = form.into_inner();
    let link = token.or(query.into_inner().token).as_deref().and_then(Token::parse);
    // A closed door is said before anything about the form.
    if let Err(refusal) = accounts.may_sign_up(link.as_ref()).await {
        return refused(refusal, &origin, typed, link.as_ref());
    }
    let (email, password) = match check(&typed, password.into()) {
        Ok(checked) => checked,
        Err(error) => {
            return page(StatusCode::UNPROCESSABLE_ENTITY, &origin, typed, link.as_ref(), Some(error));
        }
    };
    match accounts.sign_up(email, password, link.as_ref()).await {
        Ok(user) => Ok(session::begin(&request, &accounts, &origin, user, "/").await?),
        Err(refusal) => refused(refusal, &origin, typed, link.as_ref()),
    }
}

fn check(email: &str, password: SecretString) -> Result<(Email, Password), String> {
    let email = email.parse().map_err(|_| NOT_AN_EMAIL.to_owned())?;
    let password = Password::try_from(password).map_err(|refusal| match refusal {
        InvalidPassword::TooShort => {
            format!("Choose a password of at least {} characters.", Password::MIN_CHARACTERS)
        }
        InvalidPassword::TooLong => {
            format!("Choose a password of at most {} bytes.", Password::MAX_BYTES)
        }
    })?;
    Ok((email, password))
}

fn refused(
    refusal: SignUpError,
    origin: &PublicOrigin,
    email: String,
    link: Option<&Token>,
) -> Result<HttpResponse, Error> {
    match refusal {
        SignUpError::Closed => closed(origin, email, CLOSED),
        SignUpError::LinkNeeded => closed(origin, email, LINK_NEEDED),
        SignUpError::EmailTaken => {
            page(StatusCode::UNPROCESSABLE_ENTITY, origin, email, link, Some(TAKEN.to_owned()))
        }
        SignUpError::Failed(error) => Err(error.into()),
    }
}

fn page(
    status: StatusCode,
    origin: &PublicOrigin,
    email: String,
    link: Option<&Token>,
    error: Option<String>,
) -> Result<HttpResponse, Error> {
    let host = origin.authority().to_owned();
    render(status, &SignUpPage { email, error, token: link.map(Token::expose), allowed: true, host })
}

fn closed(origin: &PublicOrigin, email: String, why: &str) -> Result<HttpResponse, Error> {
    let host = origin.authority().to_owned();
    let page = SignUpPage { email, error: Some(why.to_owned()), token: None, allowed: false, host };
    render(StatusCode::FORBIDDEN, &page)
}

fn render(status: StatusCode, page: &SignUpPage) -> Result<HttpResponse, Error> {
    Ok(HttpResponse::build(status).content_type(ContentType::html()).body(page.render()?))
}
