//! The extractors of handlers: the user of a request, an admin, and the import in its path.

use std::{fmt, future::Future, pin::Pin};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, ResponseError,
    dev::Payload,
    http::{Method, StatusCode},
    web,
};
use serde::de::DeserializeOwned;
use url::form_urlencoded;

use super::{audit, error::Error, session};
use crate::{
    accounts::{self, Accounts, Email},
    base::ids::UserId,
    imports::{Imports, Owned},
};

/// The user of a request. As an extractor it requires a signed-in user. Needs `web::Data<Accounts>`.
#[derive(Clone, Debug)]
pub struct Principal {
    pub user: UserId,
    pub email: Email,
}

/// Why a request is denied: it has no session, or the import belongs to another user.
#[derive(Debug)]
pub enum Denied {
    /// A fragment: 401, so that htmx leaves the page unchanged.
    Fragment,
    /// A page or a form: 303 to this path, where people sign in, or sign up if there is no account yet.
    Page {
        location: String,
    },
    Failed(Error),
}

impl Principal {
    /// The user of `request`.
    async fn of(request: &HttpRequest) -> Result<Self, Denied> {
        let accounts = accounts_of(request);
        if let Some(session) = session::current(request, accounts).await? {
            audit::is_by(request, session.user);
            return Ok(Self { user: session.user, email: session.email });
        }
        if request.headers().contains_key("hx-request") {
            return Err(Denied::Fragment);
        }
        let location =
            if accounts.awaits_first().await? { "/sign-up".to_owned() } else { sign_in_path(request) };
        Err(Denied::Page { location })
    }
}

impl FromRequest for Principal {
    type Error = Denied;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Denied>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { Self::of(&request).await })
    }
}

/// Extractor of a form that only somebody whom `W` requires may send. It is read once that is known: extractors beside
/// each other are tried at once, and a form that cannot be read would be judged before its sender.
#[derive(Clone, Debug)]
pub struct FormOf<W, T>(pub W, pub T);

impl<W, T> FromRequest for FormOf<W, T>
where
    W: FromRequest<Error = Denied> + 'static,
    T: DeserializeOwned + 'static,
{
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, actix_web::Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let sender = W::from_request(&request, &mut Payload::None).await?;
            let form = web::Form::<T>::from_request(&request, &mut payload).await?;
            Ok(Self(sender, form.into_inner()))
        })
    }
}

/// Extractor for the routes of admins: the only place where that role is checked. To everybody else who is signed in
/// the answer is that of an unknown path. Needs `web::Data<Accounts>`.
#[derive(Clone, Debug)]
pub struct Admin(pub Principal);

impl FromRequest for Admin {
    type Error = Denied;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Denied>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let principal = Principal::of(&request).await?;
            let accounts = accounts_of(&request);
            if accounts.is_admin(principal.user).await? {
                Ok(Self(principal))
            } else {
                Err(Error::NotFound.into())
            }
        })
    }
}

/// Extractor for the routes of one import: the import of the path's `{id}`, if it belongs to the principal.
/// Otherwise the answer is the same as for an unknown id. Needs `web::Data<Accounts>` and
/// `web::Data<Imports>`.
#[derive(Clone, Debug)]
pub struct OwnedImport {
    pub principal: Principal,
    pub import: Owned,
}

impl FromRequest for OwnedImport {
    type Error = Denied;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Denied>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let principal = Principal::of(&request).await?;
            let imports = imports_of(&request);
            let id = request.match_info().get("id").and_then(|id| id.parse().ok());
            let import = match id {
                Some(id) => imports.get(principal.user, id).await.map_err(Error::from)?,
                None => None,
            };
            Ok(Self { principal, import: import.ok_or(Error::NotFound)? })
        })
    }
}

pub(super) fn accounts_of(request: &HttpRequest) -> &Accounts {
    request.app_data::<web::Data<Accounts>>().expect("the application is built with its accounts")
}

pub(super) fn imports_of(request: &HttpRequest) -> &Imports {
    request.app_data::<web::Data<Imports>>().expect("the application is built with its imports")
}

/// The sign-in page, with a link back to the requested path if that can be requested again.
fn sign_in_path(request: &HttpRequest) -> String {
    let is_dashboard = request.uri() == "/";
    if is_dashboard || !matches!(*request.method(), Method::GET | Method::HEAD) {
        return "/sign-in".to_owned();
    }
    let asked_for = request.uri().path_and_query().map_or("/", |asked_for| asked_for.as_str());
    let next = form_urlencoded::byte_serialize(asked_for.as_bytes()).collect::<String>();
    format!("/sign-in?next={next}")
}

impl From<accounts::Error> for Denied {
    fn from(error: accounts::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Error> for Denied {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fragment | Self::Page { .. } => f.write_str("not signed in"),
            Self::Failed(failure) => failure.fmt(f),
        }
    }
}

impl ResponseError for Denied {
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
            Self::Page { location } => session::see_other(location),
            Self::Failed(failure) => failure.error_response(),
        }
    }
}
