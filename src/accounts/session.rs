//! Sessions: a random token in the browser, its hash in a table, and the signed-in user in memory.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Email, Error, Token, token::TokenHash};
use crate::{
    base::{ids::UserId, time::UnixMillis},
    store::{self, LONGEST_LIST, Store, accounts::SessionRow},
};

/// The signed-in user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub user: UserId,
    pub email: Email,
    pub expires_at: UnixMillis,
}

impl Session {
    /// From sign-in to the end, even if the session is in use.
    pub const LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);
}

/// A full cache takes a few megabytes. It is then cleared, and sessions are read from the table again.
const CACHED: usize = 10_000;

/// All sessions. Those in use are cached by the hash of their token.
#[derive(Debug)]
pub(super) struct Sessions {
    store: Store,
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    sessions: HashMap<TokenHash, Session>,
    /// How many sessions have ended in this process.
    ends: u64,
}

impl Cache {
    fn end(&mut self, hash: TokenHash) {
        self.ends += 1;
        self.sessions.remove(&hash);
    }
}

impl Sessions {
    pub fn new(store: Store) -> Self {
        Self { store, cache: Mutex::default() }
    }

    pub async fn begin(&self, user: UserId, replaced: Option<&Token>) -> Result<Token, Error> {
        let token = Token::generate();
        let now = UnixMillis::wall();
        let session = SessionRow { account: user, created_at: now, expires_at: now.plus(Session::LIFETIME) };
        let replaced = replaced.map(Token::hash);
        let replaced_row = replaced.map(|hash| hash.to_string());
        self.store.create_session(&token.hash().to_string(), &session, replaced_row.as_deref()).await?;
        if let Some(replaced) = replaced {
            self.cached().end(replaced);
        }
        Ok(token)
    }

    pub async fn find(&self, token: &Token, now: UnixMillis) -> Result<Option<Session>, Error> {
        let hash = token.hash();
        let cached = self.cached().sessions.get(&hash).cloned();
        let session = match cached {
            Some(session) => Some(session),
            None => self.read(hash).await?,
        };
        Ok(session.filter(|session| session.expires_at > now))
    }

    async fn read(&self, hash: TokenHash) -> Result<Option<Session>, Error> {
        let ends_before = self.cached().ends;
        let Some((row, email)) = self.store.session(&hash.to_string()).await? else { return Ok(None) };
        let email = email.parse().map_err(|error| store::Error::Corrupt {
            table: "account",
            why: format!("{email:?}: {error}"),
        })?;
        let session = Session { user: row.account, email, expires_at: row.expires_at };
        let mut cache = self.cached();
        // A session that has ended since the row was read must not enter the cache again.
        if cache.ends == ends_before {
            if cache.sessions.len() >= CACHED {
                cache.sessions.clear();
            }
            cache.sessions.insert(hash, session.clone());
        }
        Ok(Some(session))
    }

    pub async fn end(&self, token: &Token) -> Result<(), Error> {
        let hash = token.hash();
        self.store.delete_session(&hash.to_string()).await?;
        self.cached().end(hash);
        Ok(())
    }

    pub async fn sweep(&self, now: UnixMillis) -> Result<(), Error> {
        self.store.delete_expired_sessions(now).await?;
        let cached: Vec<TokenHash> = self.cached().sessions.keys().copied().collect();
        for some in cached.chunks(LONGEST_LIST) {
            let rows: Vec<String> = some.iter().map(TokenHash::to_string).collect();
            let live = self.store.sessions_among(&rows).await?;
            let mut cache = self.cached();
            for (ended, _) in some.iter().zip(&rows).filter(|(_, row)| !live.contains(*row)) {
                cache.sessions.remove(ended);
            }
        }
        Ok(())
    }

    fn cached(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
