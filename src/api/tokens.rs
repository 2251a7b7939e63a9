//! `/api/v1/tokens`: making, listing and ending tokens.

use std::{collections::BTreeSet, time::Duration};

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};

use super::{created, json, names, time};
use crate::{
    accounts::{Accounts, NewToken, Scope, TokenInfo, TokenName},
    base::{ids::UserId, time::UnixMillis},
    files::Address,
    http::{
        caller::{ApiPrincipal, ToGiveTokens},
        error::Error,
        json::JsonOf,
        keyed::Keyed,
        problem::Problem,
        query::{NoFields, QueryOf},
    },
    store::{Store, idempotency::KeyedRequest},
    webhooks::Webhooks,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The secret of a token that is made once is derived from its request, so the request's key must be hard to guess. A
/// random UUID in base64 has so many characters.
const LEAST_KEY: usize = 22;

/// Ten years. A longer life is a typing error, or means that the token should never expire.
const MOST_DAYS: u32 = 3_650;

// The types with a webhook's address are not `Debug`: its query may be a secret.

/// A token to be made.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenRequest {
    #[schema(min_length = 1, max_length = 100, example = "nightly")]
    name: String,
    #[schema(min_items = 1, example = json!(["read", "import"]))]
    scopes: BTreeSet<ScopeName>,
    /// Absent: it never expires.
    #[schema(minimum = 1, maximum = 3650, example = 90)]
    expires_in_days: Option<u32>,
    /// Where the ends of the token's imports are told, instead of to the account's own webhook.
    #[schema(max_length = 2048, example = "https://example.org/runboard")]
    webhook_url: Option<String>,
}

/// A scope as a program writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ScopeName {
    Read,
    Import,
    Tokens,
}

/// A token that was just made. Its secret is never shown again.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MadeToken {
    id: String,
    token: String,
    name: String,
    scopes: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_url: Option<String>,
}

/// A token, without its secret.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListedToken {
    id: String,
    name: String,
    scopes: Vec<&'static str>,
    #[schema(format = DateTime)]
    created_at: String,
    /// Absent if it never expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// Up to a minute old. Absent if it was not used yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    last_used_at: Option<String>,
    /// Where the ends of its imports are told. Absent if that is the account's own webhook.
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_url: Option<String>,
}

/// All tokens of an account: so few that the list has one page.
#[derive(Serialize, utoipa::ToSchema)]
pub struct TokenList {
    data: Vec<ListedToken>,
    next: Option<String>,
}
/// The tokens of the account, without their secrets.
#[utoipa::path(
    get, path = "/tokens", operation_id = "listTokens", tag = "account",
    responses((status = 200, description = "All tokens, newest first.", body = TokenList)),
    security(("token" = ["tokens"]), ("session" = [])),
)]
pub async fn list(
    QueryOf { by: caller, .. }: QueryOf<ApiPrincipal<ToGiveTokens>, NoFields>,
    accounts: web::Data<Accounts>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let tokens = accounts.tokens(caller.principal.user).await?;
    json(&request, &TokenList { data: tokens.into_iter().map(ListedToken::from).collect(), next: None })
}
/// Make a token.
#[utoipa::path(
    post, path = "/tokens", operation_id = "makeToken", tag = "account",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes nothing more if the same request comes again.", example = "8e03978e-40d5-43dd-bc93-6894a57f9324")),
    request_body = TokenRequest,
    responses((status = 201, description = "The token. It is shown here only.", body = MadeToken, headers(("Location" = String, description = "The path of what was made.")))),
    security(("token" = ["tokens"]), ("session" = [])),
)]
pub async fn make(
    JsonOf { by, value, bytes }: JsonOf<ApiPrincipal<ToGiveTokens>, TokenRequest>,
    request: HttpRequest,
    (accounts, webhooks, store): (web::Data<Accounts>, web::Data<Webhooks>, web::Data<Store>),
) -> Result<HttpResponse, Problem> {
    let user = by.principal.user;
    let keyed = Keyed::with_body(&request, &bytes)?;
    if keyed.as_ref().is_some_and(|keyed| keyed.key.as_str().len() < LEAST_KEY) {
        let sentence = format!(
            "The Idempotency-Key of a token has at least {LEAST_KEY} characters: send a random UUID."
        );
        return Err(Problem::NotAccepted(sentence));
    }
    let is_repeated = match &keyed {
        Some(keyed) => was_answered(user, keyed, &store).await?,
        None => false,
    };
    let webhook = match &value.webhook_url {
        // It was checked when the token was made. The same request gets the same answer, even if its host is away now.
        Some(url) if is_repeated => url.parse::<Address>().ok(),
        Some(url) => Some(webhook(user, url, &webhooks).await?),
        None => None,
    };
    let new = NewToken { webhook, ..value.checked()? };
    let (secret, token) = match keyed {
        Some(request) => accounts.make_token_once(user, new, &request).await?,
        None => accounts.make_token(user, new).await?,
    };
    let made = MadeToken {
        id: token.id.to_string(),
        token: secret.expose().to_owned(),
        name: token.name,
        scopes: names(&token.scopes),
        expires_at: token.expires_at.map(time),
        webhook_url: token.webhook.map(|address| address.url().to_string()),
    };
    created(&format!("/api/v1/tokens/{}", token.id), &made)
}

/// Whether an earlier request with this key has made a token.
async fn was_answered(user: UserId, request: &KeyedRequest, store: &Store) -> Result<bool, Problem> {
    // The token's id is read as an import's, which has the same form. No import has such a key.
    let earlier = store.earlier_answer(user, &request.key.hidden(), UnixMillis::wall()).await?;
    Ok(earlier.is_some())
}

/// The address of a token's webhook. Its deliveries are signed with the account's secret.
async fn webhook(user: UserId, url: &str, webhooks: &Webhooks) -> Result<Address, Problem> {
    if !webhooks.has_secret(user).await.map_err(Error::from)? {
        let sentence =
            "The account has no secret yet that webhooks are signed with. Make it on its page Webhook.";
        return Err(Problem::NotAccepted(sentence.to_owned()));
    }
    webhooks.address(url).await.map_err(|error| Problem::NotAccepted(format!("webhookUrl: {error}")))
}

/// End a token at once.
#[utoipa::path(
    delete, path = "/tokens/{token}", operation_id = "endToken", tag = "account",
    params(("token" = String, Path, description = "The id of the token.", example = "01KBC8Z3V5F0M3E2J8W4R7T9QX")),
    responses((status = 204, description = "It has ended.")),
    security(("token" = ["tokens"]), ("session" = [])),
)]
pub async fn end(
    QueryOf { by: caller, .. }: QueryOf<ApiPrincipal<ToGiveTokens>, NoFields>,
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
        let scopes = self.scopes.into_iter().map(Scope::from).collect();
        Ok(NewToken { name, scopes, lifetime, webhook: None })
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
            webhook_url: token.webhook.map(|address| address.url().to_string()),
        }
    }
}
