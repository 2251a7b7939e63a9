//! Who a request comes from: the session cookie, and the extractor that asks for it.

use std::{fmt, future::Future, pin::Pin};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, ResponseError,
    cookie::{Cookie, SameSite, time},
    dev::Payload,
    http::{Method, StatusCode, header},
    web,
};
use url::form_urlencoded;

use super::{error::Error, origin::PublicOrigin};
use crate::{
    accounts::{self, Accounts, Email, Session, Token},
    ids::UserId,
};

/// Holds the session's token and nothing else.
pub const COOKIE: &str = "runboard_session";

/// Extractor for everything that is somebody's own. Needs `web::Data<Accounts>`.
#[derive(Clone, Debug)]
pub struct SignedIn {
    pub user: UserId,
    pub email: Email,
}

/// What somebody without a session is answered.
#[derive(Debug)]
pub enum NotSignedIn {
    /// A fragment: 401, so that htmx leaves the page as it is.
    Fragment,
    /// A page, or a form: 303 to this path, where one can sign in (or, at first, up).
    Page {
        location: String,
    },
    Failed(Error),
}

impl FromRequest for SignedIn {
    type Error = NotSignedIn;
    type Future = Pin<Box<dyn Future<Output = Result<Self, NotSignedIn>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let accounts = request
                .app_data::<web::Data<Accounts>>()
                .expect("the application is built with its accounts");
            if let Some(session) = current(&request, accounts).await? {
                return Ok(Self { user: session.user, email: session.email });
            }
            if request.headers().contains_key("hx-request") {
                return Err(NotSignedIn::Fragment);
            }
            let location =
                if accounts.awaits_first().await? { "/sign-up".to_owned() } else { sign_in_path(&request) };
            Err(NotSignedIn::Page { location })
        })
    }
}

/// The sign-in page that leads back to what was asked for, where that can be asked for again.
fn sign_in_path(request: &HttpRequest) -> String {
    let is_dashboard = request.uri() == "/";
    if is_dashboard || !matches!(*request.method(), Method::GET | Method::HEAD) {
        return "/sign-in".to_owned();
    }
    let asked_for = request.uri().path_and_query().map_or("/", |asked_for| asked_for.as_str());
    let next = form_urlencoded::byte_serialize(asked_for.as_bytes()).collect::<String>();
    format!("/sign-in?next={next}")
}

impl From<accounts::Error> for NotSignedIn {
    fn from(error: accounts::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl fmt::Display for NotSignedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fragment | Self::Page { .. } => f.write_str("not signed in"),
            Self::Failed(failure) => failure.fmt(f),
        }
    }
}

impl ResponseError for NotSignedIn {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Fragment => StatusCode::UNAUTHORIZED,
            Self::Page { .. } => StatusCode::SEE_OTHER,
            Self::Failed(failure) => failure.status_code(),
        }
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Self::Fragment => HttpResponse::build(self.status_code()).finish(),
            Self::Page { location } => see_other(location),
            Self::Failed(failure) => failure.error_response(),
        }
    }
}

/// The session token that the request carries, whatever it opens.
#[must_use]
pub fn token(request: &HttpRequest) -> Option<Token> {
    Token::parse(request.cookie(COOKIE)?.value())
}

/// The session of the request, if it has one.
pub async fn current(request: &HttpRequest, accounts: &Accounts) -> Result<Option<Session>, accounts::Error> {
    match token(request) {
        Some(token) => accounts.session(&token).await,
        None => Ok(None),
    }
}

/// Begins a session of `user`, ends the one this browser had, and leads to `location`.
pub async fn begin(
    request: &HttpRequest,
    accounts: &Accounts,
    origin: &PublicOrigin,
    user: UserId,
    location: &str,
) -> Result<HttpResponse, accounts::Error> {
    let token = accounts.begin_session(user, token(request).as_ref()).await?;
    let mut cookie = cookie(origin, token.expose());
    cookie.set_max_age(time::Duration::seconds(Session::LIFETIME.as_secs().cast_signed()));
    Ok(HttpResponse::SeeOther().insert_header((header::LOCATION, location)).cookie(cookie).finish())
}

/// Ends the session of the request, takes its cookie away, and leads to sign-in.
pub async fn end(
    request: &HttpRequest,
    accounts: &Accounts,
    origin: &PublicOrigin,
) -> Result<HttpResponse, accounts::Error> {
    if let Some(token) = token(request) {
        accounts.end_session(&token).await?;
    }
    let mut cookie = cookie(origin, String::new());
    cookie.make_removal();
    Ok(HttpResponse::SeeOther().insert_header((header::LOCATION, "/sign-in")).cookie(cookie).finish())
}

/// `Lax`, so that a link from elsewhere finds the person signed in; what changes something is
/// guarded by [`super::csrf`].
fn cookie(origin: &PublicOrigin, value: String) -> Cookie<'static> {
    Cookie::build(COOKIE, value)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(origin.is_https())
        .finish()
}

/// 303: look there, with GET.
#[must_use]
pub fn see_other(location: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, location)).finish()
}
