//! Tokens of the API: a secret that a program sends, its hash in a table, and its owner in memory.

mod secret;

use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc, time::Duration};

pub use self::secret::ApiToken;
use super::{Accounts, Email, Error, token::TokenHash, told::AccessChange};
use crate::{
    base::{
        characters::misleads,
        ids::{TokenId, UserId},
        time::UnixMillis,
    },
    files::Address,
    store::{
        self, Store,
        api_tokens::{ApiTokenRow, TokenCreation},
        idempotency::{EarlierAnswer, KeyedRequest},
    },
};

/// Something that a token allows. A session allows all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// See imports and their files.
    Read,
    /// Make, start, cancel, run again and delete imports.
    Import,
    /// Make and end tokens, with any scope: as powerful as a session.
    Tokens,
}

impl Scope {
    pub const ALL: [Self; 3] = [Self::Read, Self::Import, Self::Tokens];

    /// As it is written in the table and in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Import => "import",
            Self::Tokens => "tokens",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not the name of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a scope is read, import or tokens")]
pub struct InvalidScope;

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or(InvalidScope)
    }
}

/// What a token is called, so that its owner recognises it: 1 to 100 visible characters on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenName(String);

/// The text cannot be the name of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Give the token a name of 1 to {} characters, on one line and all visible.", TokenName::LONGEST)]
pub struct InvalidTokenName;

impl TokenName {
    /// Characters.
    pub const LONGEST: usize = 100;

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TokenName {
    type Err = InvalidTokenName;

    fn from_str(text: &str) -> Result<Self, InvalidTokenName> {
        let text = text.trim();
        let is_good = (1..=Self::LONGEST).contains(&text.chars().count()) && !text.contains(misleads);
        if is_good { Ok(Self(text.to_owned())) } else { Err(InvalidTokenName) }
    }
}

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewToken {
    pub name: TokenName,
    pub scopes: BTreeSet<Scope>,
    /// None: it never expires.
    pub lifetime: Option<Duration>,
    /// Where the ends of its imports are told, instead of to the account's own webhook.
    pub webhook: Option<Address>,
}

/// What its owner sees of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenInfo {
    pub id: TokenId,
    pub name: String,
    pub scopes: BTreeSet<Scope>,
    pub created_at: UnixMillis,
    /// None: never.
    pub expires_at: Option<UnixMillis>,
    /// Up to a minute old. None: not used yet.
    pub last_used_at: Option<UnixMillis>,
    /// Where the ends of its imports are told.
    pub webhook: Option<Address>,
}

impl TokenInfo {
    #[must_use]
    pub fn has_expired(&self, now: UnixMillis) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// Whose token it is, and what it allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenGrant {
    pub user: UserId,
    pub email: Email,
    /// Its last use is the one before this request, or an earlier one.
    pub token: TokenInfo,
}

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum MakeTokenError {
    /// The account has as many as it may have.
    #[error("the account has too many tokens")]
    TooMany,
    /// It was disabled or deleted a moment ago.
    #[error("the account cannot be used any more")]
    NoAccount,
    /// Another request was sent with the same key.
    #[error("the key was used for another request")]
    KeyUsed,
    /// The account has no secret yet that the deliveries of a webhook are signed with.
    #[error("the account has no signing secret")]
    NoSecret,
    /// An earlier request with the same key has made it, and it was ended since.
    #[error("the token has ended")]
    Ended,
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Why a token was not recorded.
enum NotRecorded {
    /// The same key has made another one.
    AnsweredBefore(EarlierAnswer<TokenId>),
    Refused(MakeTokenError),
}

impl From<MakeTokenError> for NotRecorded {
    fn from(error: MakeTokenError) -> Self {
        Self::Refused(error)
    }
}

impl From<NotRecorded> for MakeTokenError {
    fn from(not_recorded: NotRecorded) -> Self {
        match not_recorded {
            // Without a key there is no such request.
            NotRecorded::AnsweredBefore(_) => Self::KeyUsed,
            NotRecorded::Refused(error) => error,
        }
    }
}

impl Accounts {
    /// Makes a token of `user`. Its secret is returned here only.
    pub async fn make_token(
        &self,
        user: UserId,
        new: NewToken,
    ) -> Result<(ApiToken, TokenInfo), MakeTokenError> {
        let (id, secret) = (TokenId::generate(), ApiToken::generate());
        let token = self.record_token(user, new, (id, &secret), None).await?;
        Ok((secret, token))
    }

    /// The same for a request that may be sent again, which then returns the same token: its secret follows from the
    /// request's key, the request and a key of this installation.
    pub async fn make_token_once(
        &self,
        user: UserId,
        new: NewToken,
        request: &KeyedRequest,
    ) -> Result<(ApiToken, TokenInfo), MakeTokenError> {
        let new_key = hex::encode(rand::random::<[u8; 32]>());
        let key = self.store.setting("token_key", &new_key).await.map_err(Error::from)?;
        let secret = |id: TokenId| {
            let (user, id) = (user.to_string(), id.to_string());
            ApiToken::derived(key.as_bytes(), &[&user, &id, request.hash.as_str(), request.key.as_str()])
        };
        let recorded = KeyedRequest { key: request.key.hidden(), hash: request.hash.clone() };
        let id = TokenId::generate();
        match self.record_token(user, new, (id, &secret(id)), Some(&recorded)).await {
            Ok(token) => Ok((secret(id), token)),
            Err(NotRecorded::AnsweredBefore(earlier)) if earlier.hash != request.hash => {
                Err(MakeTokenError::KeyUsed)
            }
            Err(NotRecorded::AnsweredBefore(earlier)) => {
                let tokens = self.tokens(user).await?;
                let token = tokens.into_iter().find(|token| token.id == earlier.made);
                Ok((secret(earlier.made), token.ok_or(MakeTokenError::Ended)?))
            }
            Err(NotRecorded::Refused(error)) => Err(error),
        }
    }

    async fn record_token(
        &self,
        user: UserId,
        new: NewToken,
        (id, secret): (TokenId, &ApiToken),
        request: Option<&KeyedRequest>,
    ) -> Result<TokenInfo, NotRecorded> {
        let now = UnixMillis::wall();
        let token = TokenInfo {
            id,
            name: new.name.0,
            scopes: new.scopes,
            created_at: now,
            expires_at: new.lifetime.map(|lifetime| now.plus(lifetime)),
            last_used_at: None,
            webhook: new.webhook,
        };
        let row = ApiTokenRow {
            id: token.id,
            account: user,
            name: token.name.clone(),
            scopes: written(&token.scopes),
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used_at: None,
            webhook: token.webhook.as_ref().map(|address| address.url().to_string()),
        };
        let created = self.store.create_api_token(&row, &secret.hash().to_string(), request).await;
        Err(NotRecorded::Refused(match created.map_err(Error::from).map_err(MakeTokenError::from)? {
            TokenCreation::Made => return Ok(token),
            TokenCreation::AnsweredBefore(earlier) => return Err(NotRecorded::AnsweredBefore(earlier)),
            TokenCreation::TooMany => MakeTokenError::TooMany,
            TokenCreation::NoAccount => MakeTokenError::NoAccount,
            TokenCreation::NoSecret => MakeTokenError::NoSecret,
        }))
    }

    /// The tokens of `user`, newest first, also those that have expired.
    pub async fn tokens(&self, user: UserId) -> Result<Vec<TokenInfo>, Error> {
        let rows = self.store.api_tokens(user).await?;
        rows.into_iter().map(info).collect()
    }

    /// Ends a token of `user` at once. Returns `false` if there is no such token.
    pub async fn end_token(&self, user: UserId, id: TokenId) -> Result<bool, Error> {
        let ended = self.store.delete_api_token(user, id).await?;
        self.changed(&AccessChange::Token(id));
        Ok(ended)
    }

    /// Whose token it is. None if it has ended or expired, or never existed. Tokens in use are answered from
    /// memory. Records the use.
    pub async fn token_of(&self, secret: &ApiToken) -> Result<Option<Arc<TokenGrant>>, Error> {
        let (hash, now) = (secret.hash(), UnixMillis::wall());
        let found = self.tokens_in_use.find(hash, self.read_token(hash)).await?;
        let grant = found.filter(|grant| !grant.token.has_expired(now));
        if let Some(grant) = &grant
            && self.tokens_in_use.is_use_to_be_recorded(hash, now)
        {
            record_use(self.store.clone(), grant.token.id, now);
        }
        Ok(grant)
    }

    async fn read_token(&self, hash: TokenHash) -> Result<Option<(TokenGrant, Option<UnixMillis>)>, Error> {
        let Some((row, email)) = self.store.api_token(&hash.to_string()).await? else { return Ok(None) };
        let email = email.parse().map_err(|error| store::Error::Corrupt {
            table: "account",
            why: format!("{email:?}: {error}"),
        })?;
        let (user, last_use) = (row.account, row.last_used_at);
        Ok(Some((TokenGrant { user, email, token: info(row)? }, last_use)))
    }
}

/// Records the use beside the request, which does not wait for the database's writers.
fn record_use(store: Store, id: TokenId, now: UnixMillis) {
    tokio::spawn(async move {
        if let Err(error) = store.api_token_used(id, now).await {
            tracing::warn!(token = %id, %error, "cannot record the use of a token");
        }
    });
}

fn written(scopes: &BTreeSet<Scope>) -> String {
    scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ")
}

fn info(row: ApiTokenRow) -> Result<TokenInfo, Error> {
    let scopes = row.scopes.split(' ').map(str::parse).collect::<Result<_, InvalidScope>>();
    let scopes = scopes.map_err(|error| store::Error::Corrupt {
        table: "api_token",
        why: format!("{:?}: {error}", row.scopes),
    })?;
    Ok(TokenInfo {
        id: row.id,
        name: row.name,
        scopes,
        created_at: row.created_at,
        expires_at: row.expires_at,
        last_used_at: row.last_used_at,
        webhook: row.webhook.and_then(|address| address.parse().ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_line_that_can_be_read() {
        for (text, name) in [("ci", "ci"), ("  nightly job ", "nightly job"), ("é", "é")] {
            assert_eq!(text.parse::<TokenName>().unwrap().as_str(), name);
        }
        let longest = "é".repeat(TokenName::LONGEST);
        assert!(longest.parse::<TokenName>().is_ok());
        for text in ["", "   ", "a\nb", "a\u{7f}b", "a\u{202e}b", "a\u{200b}b", &format!("{longest}x")] {
            assert_eq!(text.parse::<TokenName>(), Err(InvalidTokenName), "{text:?}");
        }
    }

    #[test]
    fn scopes_survive_the_table() {
        let all = BTreeSet::from(Scope::ALL);
        assert_eq!(written(&all), "read import tokens");
        let row = |scopes: &str| ApiTokenRow {
            id: TokenId::MIN,
            account: UserId::MIN,
            name: "ci".to_owned(),
            scopes: scopes.to_owned(),
            created_at: UnixMillis(0),
            expires_at: None,
            last_used_at: None,
            webhook: None,
        };
        assert_eq!(info(row("read import tokens")).unwrap().scopes, all);
        for scopes in ["", "read  import", "admin"] {
            assert!(info(row(scopes)).is_err(), "{scopes}");
        }
    }
}
