//! `GET, POST /sign-up`.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, ContentType},
    },
    web,
};
use askama::Template;
use secrecy::SecretString;
use serde::Deserialize;

use super::form_error::{FormError, waiting_time};
use crate::{
    accounts::{self, Accounts, BUSY_RETRY_AFTER, Email, InvalidPassword, Password, SignUpError, Token},
    function::serve::client,
    http::{
        error::{Error, seconds},
        origin::PublicOrigin,
        session,
    },
};

#[derive(Clone, Template)]
#[template(path = "pages/sign_up.html")]
pub struct SignUpPage {
    /// As it was typed.
    pub email: String,
    /// Why the form came back, or why there is none.
    pub error: Option<FormError>,
    /// The one-time link's, to be sent along with the form.
    pub token: Option<String>,
    /// Whether there is a form at all.
    pub allowed: bool,
    /// Whether this makes the only account there will be.
    pub is_only_account: bool,
    /// Whether there is an account already, so that signing in may help.
    pub offers_sign_in: bool,
    /// Where one signs up: `runboard.example.org`.
    pub host: Option<String>,
}

/// `/sign-up?token=`.
#[derive(Deserialize)]
pub struct SignUpQuery {
    token: Option<String>,
}

/// What the form sends. A field that is missing counts as left empty.
#[derive(Deserialize)]
pub struct SignUpForm {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    token: Option<String>,
}

/// The fields, as the form names them.
const EMAIL: &str = "email";
const PASSWORD: &str = "password";

const CLOSED: &str = "Sign-up is closed. Ask the operator of this Runboard for an account.";
const LINK_NEEDED: &str = "To create the first account, open the link that Runboard printed when it started.";
const TAKEN: &str = "This e-mail address already has an account. Sign in with it.";
const BUSY: &str = "Many people are signing in right now. Try again in a few seconds.";

impl SignUpPage {
    fn blames(&self, field: &str) -> bool {
        self.error.as_ref().is_some_and(|error| error.blames(field))
    }

    /// What a password has to be, said before one is chosen.
    #[must_use]
    pub fn password_rules(&self) -> String {
        format!(
            "At least {} characters. The most common passwords are refused; a few unrelated words make a good one.",
            Password::MIN_CHARACTERS
        )
    }
}

pub async fn show(
    request: HttpRequest,
    accounts: web::Data<Accounts>,
    origin: web::Data<PublicOrigin>,
    query: web::Query<SignUpQuery>,
) -> Result<HttpResponse, Error> {
    if session::current(&request, &accounts).await?.is_some() {
        return Ok(session::see_other("/"));
    }
    let link = query.into_inner().token.as_deref().and_then(Token::parse);
    let may = accounts.may_sign_up(link.as_ref()).await;
    let answer = Answer { accounts: &accounts, origin: &origin, email: String::new(), link };
    match may {
        Ok(()) => answer.form(StatusCode::OK, None),
        Err(refusal) => answer.refused(refusal),
    }
}

pub async fn submit(
    request: HttpRequest,
    accounts: web::Data<Accounts>,
    origin: web::Data<PublicOrigin>,
    query: web::Query<SignUpQuery>,
    form: web::Form<SignUpForm>,
) -> Result<HttpResponse, Error> {
    let SignUpForm { email: typed, password, token } = form.into_inner();
    let link = token.or(query.into_inner().token).as_deref().and_then(Token::parse);
    // A closed door is said before anything about the form.
    let may = accounts.may_sign_up(link.as_ref()).await;
    let checked = check(&typed, password.into());
    let answer = Answer { accounts: &accounts, origin: &origin, email: typed, link };
    if let Err(refusal) = may {
        return answer.refused(refusal);
    }
    let (email, password) = match checked {
        Ok(checked) => checked,
        Err(error) => return answer.form(StatusCode::UNPROCESSABLE_ENTITY, Some(error)),
    };
    match accounts.sign_up(email, password, answer.link.as_ref(), client::address(&request)).await {
        Ok(user) => Ok(session::begin(&request, &accounts, &origin, user, "/").await?),
        Err(refusal) => answer.refused(refusal),
    }
}

fn check(email: &str, password: SecretString) -> Result<(Email, Password), FormError> {
    let email = email.parse().map_err(|_| FormError::of(&[EMAIL], "Enter a valid e-mail address."))?;
    let password = Password::try_from(password).map_err(|refusal| {
        let sentence = match refusal {
            InvalidPassword::TooShort => {
                format!("Choose a password of at least {} characters.", Password::MIN_CHARACTERS)
            }
            InvalidPassword::TooLong => {
                format!("Choose a password of at most {} bytes.", Password::MAX_BYTES)
            }
            InvalidPassword::Common => {
                "This is one of the most common passwords, which are guessed first. Choose another one."
                    .to_owned()
            }
        };
        FormError::of(&[PASSWORD], sentence)
    })?;
    Ok((email, password))
}

/// What an answer is made of, whatever it says.
struct Answer<'a> {
    accounts: &'a Accounts,
    origin: &'a PublicOrigin,
    /// As it was typed.
    email: String,
    link: Option<Token>,
}

impl Answer<'_> {
    fn refused(self, refusal: SignUpError) -> Result<HttpResponse, Error> {
        match refusal {
            SignUpError::Closed => self.closed(CLOSED, true),
            // There is no account yet.
            SignUpError::LinkNeeded => self.closed(LINK_NEEDED, false),
            SignUpError::EmailTaken => {
                self.form(StatusCode::UNPROCESSABLE_ENTITY, Some(FormError::of(&[EMAIL], TAKEN)))
            }
            SignUpError::TooMany { retry_after } => {
                let sentence = format!(
                    "Too many accounts were made from your network. Try again in {}.",
                    waiting_time(retry_after)
                );
                self.later(StatusCode::TOO_MANY_REQUESTS, retry_after, &sentence)
            }
            SignUpError::Failed(accounts::Error::Busy) => {
                self.later(StatusCode::SERVICE_UNAVAILABLE, BUSY_RETRY_AFTER, BUSY)
            }
            SignUpError::Failed(error) => Err(error.into()),
        }
    }

    fn later(self, status: StatusCode, retry_after: Duration, sentence: &str) -> Result<HttpResponse, Error> {
        let mut response = self.form(status, Some(FormError::of_form(sentence)))?;
        response.headers_mut().insert(header::RETRY_AFTER, seconds(retry_after).into());
        Ok(response)
    }

    fn form(self, status: StatusCode, error: Option<FormError>) -> Result<HttpResponse, Error> {
        // Where only one account can be made, there is none yet.
        let offers_sign_in = self.accounts.is_open();
        self.page(status, error, true, offers_sign_in)
    }

    fn closed(self, why: &str, offers_sign_in: bool) -> Result<HttpResponse, Error> {
        self.page(StatusCode::FORBIDDEN, Some(FormError::of_form(why)), false, offers_sign_in)
    }

    fn page(
        self,
        status: StatusCode,
        error: Option<FormError>,
        allowed: bool,
        offers_sign_in: bool,
    ) -> Result<HttpResponse, Error> {
        let page = SignUpPage {
            email: self.email,
            error,
            token: self.link.filter(|_| allowed).as_ref().map(Token::expose),
            allowed,
            is_only_account: !self.accounts.is_open(),
            offers_sign_in,
            host: self.origin.host().map(str::to_owned),
        };
        Ok(HttpResponse::build(status).content_type(ContentType::html()).body(page.render()?))
    }
}
