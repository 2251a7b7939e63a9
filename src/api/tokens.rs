//! `/api/v1/tokens`: making, listing and ending tokens.

use std::{collections::BTreeSet, time::Duration};

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};

use super::{created, json, names, time};
use crate::{
    accounts::{Accounts, NewToken, Scope, TokenInfo, TokenName},
    http::{
        caller::{ApiPrincipal, ToGiveTokens},
        error::Error,
        json::JsonOf,
        keyed::Keyed,
        problem::Problem,
    },
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Ten years. A longer life is a typing error, or means that the token should never expire.
const MOST_DAYS: u32 = 3_650;

/// A token to be made.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenRequest {
    name: String,
    scopes: BTreeSet<ScopeName>,
    /// Absent: it never expires.
    expires_in_days: Option<u32>,
}

/// A scope as a program writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScopeName {
    Read,
    Import,
    Tokens,
}

/// A token that was just made. Its secret is never shown again.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MadeToken {
    id: String,
    token: String,
    name: String,
    scopes: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

/// A token, without its secret.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedToken {
    id: String,
    name: String,
    scopes: Vec<&'static str>,
    created_at: String,
    /// Absent if it never expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// Up to a minute old. Absent if it was not used yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<String>,
}

/// All tokens of an account: so few that the list has one page.
#[derive(Debug, Serialize)]
pub struct TokenList {
    data: Vec<ListedToken>,
    next: Option<String>,
}

pub async fn list(
    caller: ApiPrincipal<ToGiveTokens>,
    accounts: web::Data<Accounts>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let tokens = accounts.tokens(caller.principal.user).await?;
    json(&request, &TokenList { data: tokens.into_iter().map(ListedToken::from).collect(), next: None })
}

pub async fn make(
    JsonOf { by, value, bytes }: JsonOf<ApiPrincipal<ToGiveTokens>, TokenRequest>,
    request: HttpRequest,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, Problem> {
    let (user, new) = (by.principal.user, value.checked()?);
    let (secret, token) = match Keyed::with_body(&request, &bytes)? {
        Some(request) => accounts.make_token_once(user, new, &request).await?,
        None => accounts.make_token(user, new).await?,
    };
    let made = MadeToken {
        id: token.id.to_string(),
        token: secret.expose().to_owned(),
        name: token.name,
        scopes: names(&token.scopes),
        expires_at: token.expires_at.map(time),
    };
    created(&format!("/api/v1/tokens/{}", token.id), &made)
}

pub async fn end(
    caller: ApiPrincipal<ToGiveTokens>,
    accounts: web::Data<Accounts>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let id = request.match_info().get("token").and_then(|id| id.parse().ok()).ok_or(Error::NotFound)?;
    if accounts.end_token(caller.principal.user, id).await? {
        Ok(HttpResponse::NoContent().finish())
    } else {
        Err(Error::NotFound.into())
    }
}

impl TokenRequest {
    fn checked(self) -> Result<NewToken, Problem> {
        let name: TokenName = self.name.parse().map_err(|error| Problem::NotAccepted(format!("{error}")))?;
        if self.scopes.is_empty() {
            let sentence = "Give the token at least one scope: read, import or tokens.";
            return Err(Problem::NotAccepted(sentence.to_owned()));
        }
        let lifetime = match self.expires_in_days {
            Some(days @ 1..=MOST_DAYS) => Some(DAY * days),
            Some(_) => {
                let sentence = format!(
                    "expiresInDays is a number from 1 to {MOST_DAYS}. Leave it out for a token that never expires."
                );
                return Err(Problem::NotAccepted(sentence));
            }
            None => None,
        };
        Ok(NewToken { name, scopes: self.scopes.into_iter().map(Scope::from).collect(), lifetime })
    }
}

impl From<ScopeName> for Scope {
    fn from(name: ScopeName) -> Self {
        match name {
            ScopeName::Read => Self::Read,
            ScopeName::Import => Self::Import,
            ScopeName::Tokens => Self::Tokens,
        }
    }
}

impl From<TokenInfo> for ListedToken {
    fn from(token: TokenInfo) -> Self {
        Self {
            id: token.id.to_string(),
            name: token.name,
            scopes: names(&token.scopes),
            created_at: time(token.created_at),
            expires_at: token.expires_at.map(time),
            last_used_at: token.last_used_at.map(time),
        }
    }
}
