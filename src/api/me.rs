//! `GET /api/v1/me`: whose token it is, and what it allows.

use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::{json, names, time};
use crate::{
    accounts::Scope,
    http::{
        caller::{ApiCaller, ApiPrincipal, WithAnyScope},
        problem::Problem,
        query::{NoFields, QueryOf},
    },
};

/// The account of the caller.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    id: String,
    email: String,
    /// What the caller may do. A session may do everything.
    scopes: Vec<&'static str>,
    /// Absent for a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<MyToken>,
}

/// The token that the request was made with.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MyToken {
    id: String,
    name: String,
    /// Absent if it never expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}
/// Whose token it is, and what it allows.
#[utoipa::path(
    get, path = "/me", operation_id = "showAccount", tag = "account",
    responses((status = 200, description = "The account.", body = Me)),
    security(("token" = []), ("session" = [])),
)]
pub async fn show(
    QueryOf { by: caller, .. }: QueryOf<ApiPrincipal<WithAnyScope>, NoFields>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (scopes, token) = match &caller.caller {
        ApiCaller::Session(_) => (names(&Scope::ALL.into()), None),
        ApiCaller::Token(grant) => {
            let token = &grant.token;
            let my_token = MyToken {
                id: token.id.to_string(),
                name: token.name.clone(),
                expires_at: token.expires_at.map(time),
            };
            (names(&token.scopes), Some(my_token))
        }
    };
    let principal = caller.principal;
    json(&request, &Me { id: principal.user.to_string(), email: principal.email.to_string(), scopes, token })
}
