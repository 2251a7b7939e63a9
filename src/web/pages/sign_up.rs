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

use super::form_error::{FormError, chosen_password, password_rules, waiting_time};
use crate::{
    accounts::{self, Accounts, Admission, BUSY_RETRY_AFTER, Email, Password, SignUpError, Token},
    base::client_address::client_address,
    http::{error::Error, error_info::seconds, origin::PublicOrigin, session},
};

#[derive(Clone, Template)]
#[template(path = "pages/sign_up.html")]
pub struct SignUpPage {
    /// The address as it was typed.
    pub email: String,
    /// Why the form was refused, or why there is no form.
    pub error: Option<FormError>,
    /// The token of the one-time link, which the form sends along.
    pub token: Option<String>,
    /// Whether there is a form.
    pub allowed: bool,
    /// Whether this creates the only account that can be made without an invitation.
    pub is_only_account: bool,
    /// Whether no account exists yet, so that this one becomes an admin's.
    pub is_first_account: bool,
    /// Whether an invitation has led here.
    pub is_invited: bool,
    /// Whether an account exists, so that signing in may help.
    pub offers_sign_in: bool,
    /// The host, if it is known: `runboard.example.org`.
    pub host: Option<String>,
}

/// `/sign-up?token=`.
#[derive(Deserialize)]
pub struct SignUpQuery {
    token: Option<String>,
}

/// The form's fields. A missing field counts as empty.
#[derive(Deserialize)]
pub struct SignUpForm {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    token: Option<String>,
}

/// The names of the form's fields.
const EMAIL: &str = "email";
const PASSWORD: &str = "password";

const CLOSED: &str = "Sign-up is closed. Ask the operator of this Runboard for an account.";
const INVITATION_OVER: &str = "This link was used already, or has expired. Ask for a new one.";
const LINK_NEEDED: &str = "To create the first account, open the link that Runboard printed when it started.";
const TAKEN: &str = "This e-mail address already has an account. Sign in with it.";
const BUSY: &str = "Many people are signing in right now. Try again in a few seconds.";

impl SignUpPage {
    fn blames(&self, field: &str) -> bool {
        self.error.as_ref().is_some_and(|error| error.blames(field))
    }

    /// The rules for passwords, shown before one is chosen.
    #[must_use]
    pub fn password_rules(&self) -> String {
        password_rules()
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
    let answer = Answer::new(&accounts, &origin, String::new(), link, &may).await?;
    match may {
        Ok(_) => answer.form(StatusCode::OK, None),
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
    // A closed sign-up is reported before any error of the form.
    let may = accounts.may_sign_up(link.as_ref()).await;
    let checked = check(&typed, password.into());
    let answer = Answer::new(&accounts, &origin, typed, link, &may).await?;
    if let Err(refusal) = may {
        return answer.refused(refusal);
    }
    let (email, password) = match checked {
        Ok(checked) => checked,
        Err(error) => return answer.form(StatusCode::UNPROCESSABLE_ENTITY, Some(error)),
    };
    match accounts.sign_up(email, password, answer.link.as_ref(), client_address(&request)).await {
        Ok(user) => Ok(session::begin(&request, &accounts, &origin, user, "/").await?),
        Err(refusal) => answer.refused(refusal),
    }
}

fn check(email: &str, password: SecretString) -> Result<(Email, Password), FormError> {
    let email = email.parse().map_err(|_| FormError::of(&[EMAIL], "Enter a valid e-mail address."))?;
    let password = chosen_password(password, &[PASSWORD])?;
    Ok((email, password))
}

/// The common parts of all answers.
struct Answer<'a> {
    accounts: &'a Accounts,
    origin: &'a PublicOrigin,
    /// The address as it was typed.
    email: String,
    link: Option<Token>,
    is_invited: bool,
    is_first_account: bool,
}

impl<'a> Answer<'a> {
    async fn new(
        accounts: &'a Accounts,
        origin: &'a PublicOrigin,
        email: String,
        link: Option<Token>,
        may: &Result<Admission, SignUpError>,
    ) -> Result<Self, Error> {
        let is_first_account = match may {
            Ok(Admission::First) => true,
            Ok(Admission::Open) => !accounts.has_account().await?,
            Ok(Admission::Invited(_)) | Err(_) => false,
        };
        let is_invited = matches!(may, Ok(Admission::Invited(_)));
        Ok(Self { accounts, origin, email, link, is_invited, is_first_account })
    }

    fn refused(self, refusal: SignUpError) -> Result<HttpResponse, Error> {
        match refusal {
            SignUpError::Closed => self.closed(CLOSED, true),
            SignUpError::InvitationOver => self.closed(INVITATION_OVER, true),
            // No account exists yet.
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
        // If only one account is allowed, none exists yet.
        let offers_sign_in = self.accounts.is_open() || self.is_invited;
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
            is_only_account: !self.accounts.is_open() && !self.is_invited,
            is_first_account: self.is_first_account,
            is_invited: self.is_invited,
            offers_sign_in,
            host: self.origin.host().map(str::to_owned),
        };
        Ok(HttpResponse::build(status).content_type(ContentType::html()).body(page.render()?))
    }
}
