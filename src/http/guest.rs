//! The extractor of the routes that need no account but a guest link.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError, dev::Payload, http::StatusCode};

use super::{
    error::Error,
    error_page::LinkOverPage,
    principal::{accounts_of, imports_of},
};
use crate::{
    accounts::{self, GuestGrant, Token},
    imports::Snapshot,
};

/// Below it are the pages of guest links.
pub const PREFIX: &str = "/shared/";

/// The import that the link of the path's `{token}` opens. A snapshot and not an `Owned`: a guest can act on nothing.
/// Needs `web::Data<Accounts>` and `web::Data<Imports>`.
#[derive(Clone)]
pub struct SharedImport {
    /// All that is known. Texts for the guest are made from what
    /// [`for_guests`](crate::report::guest::for_guests) leaves of it.
    pub import: Snapshot,
    pub grant: Arc<GuestGrant>,
    pub token: Token,
}

/// Why a guest link opens nothing.
#[derive(Debug)]
pub enum NotShared {
    /// It has ended or expired, or never existed. The answer must not reveal which.
    Over,
    Failed(Error),
}

impl FromRequest for SharedImport {
    type Error = NotShared;
    type Future = Pin<Box<dyn Future<Output = Result<Self, NotShared>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let token = request.match_info().get("token").and_then(Token::parse).ok_or(NotShared::Over)?;
            let grant = accounts_of(&request).opened_by(&token).await?.ok_or(NotShared::Over)?;
            let import = imports_of(&request).get(grant.owner, grant.import).await.map_err(Error::from)?;
            let import = import.ok_or(NotShared::Over)?.into_snapshot();
            Ok(Self { import, grant, token })
        })
    }
}

impl From<Error> for NotShared {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<accounts::Error> for NotShared {
    fn from(error: accounts::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl fmt::Display for NotShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Over => f.write_str("the link opens nothing"),
            Self::Failed(failure) => failure.fmt(f),
        }
    }
}

impl ResponseError for NotShared {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Over => StatusCode::NOT_FOUND,
            Self::Failed(failure) => failure.status_code(),
        }
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Self::Over => LinkOverPage.response(HttpResponse::NotFound()),
            Self::Failed(failure) => failure.error_response(),
        }
    }
}
