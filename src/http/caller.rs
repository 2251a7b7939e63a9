//! The caller of the API: a program with a token, or a page of ours with a session.

use std::{
    future::{Ready, ready},
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use actix_web::{
    Error as ActixError, FromRequest, HttpMessage, HttpRequest, ResponseError,
    body::MessageBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    middleware::Next,
    web,
};

use super::{
    api_rate::{ApiRate, CountedAs},
    audit, bearer,
    error::Error,
    principal::{Principal, imports_of},
    problem::Problem,
    session,
};
use crate::{
    accounts::{self, Accounts, ApiToken, Scope, TokenGrant},
    base::{
        ids::{TokenId, UserId},
        limits::Allowance,
    },
    imports::Owned,
};

/// Who calls, and what the call may do.
#[derive(Clone, Debug)]
pub enum ApiCaller {
    /// A session may do everything.
    Session(Principal),
    /// A token may do what its scopes say.
    Token(Arc<TokenGrant>),
}

impl ApiCaller {
    #[must_use]
    pub fn principal(&self) -> Principal {
        match self {
            Self::Session(principal) => principal.clone(),
            Self::Token(grant) => Principal { user: grant.user, email: grant.email.clone() },
        }
    }

    /// The token that the request is made with.
    #[must_use]
    pub fn token(&self) -> Option<TokenId> {
        match self {
            Self::Session(_) => None,
            Self::Token(grant) => Some(grant.token.id),
        }
    }

    fn user(&self) -> UserId {
        match self {
            Self::Session(principal) => principal.user,
            Self::Token(grant) => grant.user,
        }
    }

    fn counted_as(&self) -> CountedAs {
        match self {
            Self::Session(principal) => CountedAs::User(principal.user),
            Self::Token(grant) => CountedAs::Token(grant.token.id),
        }
    }

    /// Whether it may do what `scope` stands for.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        match self {
            Self::Session(_) => true,
            Self::Token(grant) => grant.token.scopes.contains(&scope),
        }
    }

    /// The caller of `request`. A token decides alone: with a wrong one, a session beside it counts nothing,
    /// because requests with a token are exempt from [`csrf`](super::csrf).
    async fn of(
        request: &HttpRequest,
        accounts: &Accounts,
    ) -> Result<Result<Self, Unidentified>, accounts::Error> {
        let Some(sent) = bearer::sent(request) else {
            let session = session::current(request, accounts).await?;
            let principal = session.map(|session| Principal { user: session.user, email: session.email });
            return Ok(principal.map(Self::Session).ok_or(Unidentified::Nobody));
        };
        let grant = match ApiToken::parse(sent) {
            Some(token) => accounts.token_of(&token).await?,
            None => None,
        };
        Ok(grant.map(Self::Token).ok_or(Unidentified::BadToken))
    }
}

/// Why the caller is unknown.
#[derive(Clone, Copy, Debug)]
enum Unidentified {
    Nobody,
    BadToken,
}

/// The caller, stored in the request's extensions.
struct Identified(Result<ApiCaller, Unidentified>);

/// Middleware (for `middleware::from_fn`) of the routes of the API: finds the caller before a handler reads
/// the body, and counts the request. The extractors below refuse an unknown caller; a route without one is for
/// anybody. Needs `web::Data` of `Accounts` and `ApiRate`.
pub async fn identify(
    accounts: web::Data<Accounts>,
    rate: web::Data<ApiRate>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, ActixError> {
    let (caller, counted) = match counted_caller(request.request(), &accounts, &rate).await {
        Ok(counted) => counted,
        // A response instead of an error: the outer middleware would not add its headers to an error.
        Err(error) => {
            let refused = Problem::from(error).error_response();
            return Ok(request.into_response(refused).map_into_right_body());
        }
    };
    if let Ok(caller) = &caller {
        audit::is_by(&request, caller.user());
    }
    let mut response = match counted {
        Some(Err(retry_after)) => {
            let refused = Problem::TooManyRequests { retry_after }.error_response();
            request.into_response(refused).map_into_right_body()
        }
        Some(Ok(_)) | None => {
            request.extensions_mut().insert(Identified(caller));
            next.call(request).await?.map_into_left_body()
        }
    };
    if let Some(counted) = counted {
        rate.tell(counted, response.headers_mut());
    }
    Ok(response)
}

/// What is left to a caller that is known, or the time to wait.
type CountedCall = Option<Result<Allowance, Duration>>;

/// The caller of `request`, which is counted as one of its requests.
async fn counted_caller(
    request: &HttpRequest,
    accounts: &Accounts,
    rate: &ApiRate,
) -> Result<(Result<ApiCaller, Unidentified>, CountedCall), accounts::Error> {
    let caller = ApiCaller::of(request, accounts).await?;
    let counted = match &caller {
        Ok(caller) => Some(rate.count(caller.counted_as()).await?),
        Err(_) => None,
    };
    Ok((caller, counted))
}

/// What a route needs, as a type, so that no handler can forget it.
pub trait Permission: 'static {
    /// None: any caller that is known.
    const SCOPE: Option<Scope>;
}

/// A route that needs the scope `read`.
#[derive(Debug)]
pub enum ToRead {}

/// A route that needs the scope `import`.
#[derive(Debug)]
pub enum ToImport {}

/// A route that needs the scope `tokens`.
#[derive(Debug)]
pub enum ToGiveTokens {}

/// A route for every valid token.
#[derive(Debug)]
pub enum WithAnyScope {}

impl Permission for ToRead {
    const SCOPE: Option<Scope> = Some(Scope::Read);
}

impl Permission for ToImport {
    const SCOPE: Option<Scope> = Some(Scope::Import);
}

impl Permission for ToGiveTokens {
    const SCOPE: Option<Scope> = Some(Scope::Tokens);
}

impl Permission for WithAnyScope {
    const SCOPE: Option<Scope> = None;
}

/// Extractor: a caller that has the permission `P`. Needs [`identify`].
#[derive(Debug)]
pub struct ApiPrincipal<P> {
    pub principal: Principal,
    pub caller: ApiCaller,
    permission: PhantomData<P>,
}

impl<P: Permission> ApiPrincipal<P> {
    fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let caller = match request.extensions().get::<Identified>() {
            Some(Identified(Ok(caller))) => caller.clone(),
            Some(Identified(Err(Unidentified::BadToken))) => return Err(Problem::BadToken),
            Some(Identified(Err(Unidentified::Nobody))) | None => return Err(Problem::NoCredentials),
        };
        match P::SCOPE {
            Some(scope) if !caller.may(scope) => Err(Problem::MissingScope(scope)),
            _ => Ok(Self { principal: caller.principal(), caller, permission: PhantomData }),
        }
    }
}

impl<P: Permission> FromRequest for ApiPrincipal<P> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}

/// Extractor for the routes of one import: the import of the path's `{id}`, if it belongs to the caller and
/// the caller has the permission `P`. Otherwise the answer is the same as for an unknown id. Needs
/// [`identify`] and `web::Data<Imports>`.
#[derive(Debug)]
pub struct ApiImport<P> {
    pub principal: Principal,
    pub caller: ApiCaller,
    pub import: Owned,
    permission: PhantomData<P>,
}

impl<P: Permission> FromRequest for ApiImport<P> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let ApiPrincipal { principal, caller, permission } = ApiPrincipal::<P>::of(&request)?;
            let imports = imports_of(&request);
            let id = request.match_info().get("id").and_then(|id| id.parse().ok());
            let import = match id {
                Some(id) => imports.get(principal.user, id).await.map_err(Error::from)?,
                None => None,
            };
            Ok(Self { principal, caller, import: import.ok_or(Error::NotFound)?, permission })
        })
    }
}
