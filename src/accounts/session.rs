//! Sessions: a random token in the browser, its hash in a table, and the signed-in user in memory.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Email, Error, Token, token::TokenHash};
use crate::{
    base::{ids::UserId, time::UnixMillis},
    store::{
        self, LONGEST_LIST, Store,
        sessions::{SESSION_NAME_CHARS, SessionRow, SessionUse},
    },
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

/// The browser that begins a session.
#[derive(Clone, Debug, Default)]
pub struct Browser {
    /// As it says.
    pub user_agent: Option<String>,
    pub address: Option<IpAddr>,
}

/// A session as its user sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenSession {
    /// Names the session in a form, and opens nothing.
    pub name: String,
    /// As the browser says.
    pub user_agent: Option<String>,
    /// The address of the last request.
    pub address: Option<String>,
    pub last_seen_at: UnixMillis,
    /// The session that asks.
    pub is_own: bool,
}

/// A full cache takes a few megabytes. It is then cleared, and sessions are read from the table again.
const CACHED: usize = 10_000;

/// How many characters of what a browser says are kept: enough for its name and system.
const USER_AGENT_CHARS: usize = 200;

/// The last request of a session is written when the written one is as old as this.
const WRITTEN_EVERY: Duration = Duration::from_secs(60);

/// All sessions. Those in use are cached by the hash of their token.
#[derive(Debug)]
pub(super) struct Sessions {
    store: Store,
    cache: Mutex<Cache>,
}

#[derive(Debug)]
struct CachedSession {
    session: Session,
    /// The last request.
    seen_at: UnixMillis,
    address: Option<IpAddr>,
    /// The time of the last request that is written.
    written_at: UnixMillis,
}

#[derive(Debug, Default)]
struct Cache {
    sessions: HashMap<TokenHash, CachedSession>,
    /// How many times this process has ended or changed sessions, or heard that another replica did.
    changes: u64,
}

impl Cache {
    /// Ends those sessions for which `is_over` holds.
    fn end(&mut self, mut is_over: impl FnMut(&TokenHash, &Session) -> bool) {
        self.changes += 1;
        self.sessions.retain(|hash, cached| !is_over(hash, &cached.session));
    }

    fn end_one(&mut self, hash: TokenHash) {
        self.changes += 1;
        self.sessions.remove(&hash);
    }
}

impl Sessions {
    pub fn new(store: Store) -> Self {
        Self { store, cache: Mutex::default() }
    }

    /// None if the account cannot be used.
    pub async fn begin(
        &self,
        user: UserId,
        replaced: Option<&Token>,
        browser: &Browser,
    ) -> Result<Option<Token>, Error> {
        let token = Token::generate();
        let now = UnixMillis::wall();
        let user_agent = browser.user_agent.as_deref();
        let session = SessionRow {
            account: user,
            created_at: now,
            expires_at: now.plus(Session::LIFETIME),
            user_agent: user_agent.map(|text| text.chars().take(USER_AGENT_CHARS).collect()),
            address: browser.address.map(|address| address.to_string()),
            last_seen_at: Some(now),
        };
        let replaced = replaced.map(Token::hash);
        let replaced_row = replaced.map(|hash| hash.to_string());
        let has_begun =
            self.store.create_session(&token.hash().to_string(), &session, replaced_row.as_deref()).await?;
        if let Some(replaced) = replaced {
            self.cached().end_one(replaced);
        }
        Ok(has_begun.then_some(token))
    }

    /// The session of `token`, for a request from `address`.
    pub async fn find(
        &self,
        token: &Token,
        address: Option<IpAddr>,
        now: UnixMillis,
    ) -> Result<Option<Session>, Error> {
        let hash = token.hash();
        let cached = self.cached().sessions.get_mut(&hash).map(|cached| {
            cached.seen_at = now;
            cached.address = address.or(cached.address);
            cached.session.clone()
        });
        let session = match cached {
            Some(session) => Some(session),
            None => self.read(hash, address, now).await?,
        };
        Ok(session.filter(|session| session.expires_at > now))
    }

    async fn read(
        &self,
        hash: TokenHash,
        address: Option<IpAddr>,
        now: UnixMillis,
    ) -> Result<Option<Session>, Error> {
        let changes_before = self.cached().changes;
        let Some((row, email)) = self.store.session(&hash.to_string()).await? else { return Ok(None) };
        let email = email.parse().map_err(|error| store::Error::Corrupt {
            table: "account",
            why: format!("{email:?}: {error}"),
        })?;
        let session = Session { user: row.account, email, expires_at: row.expires_at };
        let mut cache = self.cached();
        // A session that has ended or changed since the row was read must not enter the cache again.
        if cache.changes == changes_before {
            if cache.sessions.len() >= CACHED {
                cache.sessions.clear();
            }
            let written_at = row.last_seen_at.unwrap_or(row.created_at);
            let cached = CachedSession { session: session.clone(), seen_at: now, address, written_at };
            cache.sessions.insert(hash, cached);
        }
        Ok(Some(session))
    }

    /// The sessions of `user`, newest first; `own` is the one that asks.
    pub async fn of(&self, user: UserId, own: &Token, now: UnixMillis) -> Result<Vec<OpenSession>, Error> {
        let own = own.hash().to_string();
        let mut rows = self.store.sessions_of(user).await?;
        rows.retain(|(_, row)| row.expires_at > now);
        // The memory knows requests that are not in the table yet, and of those to other replicas only the table does.
        let cache = self.cached();
        let in_use: HashMap<String, &CachedSession> = cache
            .sessions
            .iter()
            .filter(|(_, cached)| cached.session.user == user)
            .map(|(hash, cached)| (hash.to_string(), cached))
            .collect();
        let open = rows.into_iter().map(|(hash, row)| {
            let written_at = row.last_seen_at.unwrap_or(row.created_at);
            let cached = in_use.get(&hash).filter(|cached| cached.seen_at >= written_at);
            OpenSession {
                is_own: hash == own,
                user_agent: row.user_agent,
                address: cached
                    .and_then(|cached| cached.address)
                    .map_or(row.address, |it| Some(it.to_string())),
                last_seen_at: cached.map_or(written_at, |cached| cached.seen_at),
                name: hash.chars().take(SESSION_NAME_CHARS).collect(),
            }
        });
        Ok(open.collect())
    }

    pub async fn end(&self, token: &Token) -> Result<(), Error> {
        let hash = token.hash();
        self.store.delete_session(&hash.to_string()).await?;
        self.cached().end_one(hash);
        Ok(())
    }

    /// Ends the session of `user` with this [`OpenSession::name`]. Returns false if there is none.
    pub async fn end_named(&self, user: UserId, name: &str) -> Result<bool, Error> {
        let has_ended = self.store.delete_session_of(user, name).await?;
        self.cached().end(|hash, session| session.user == user && hash.to_string().starts_with(name));
        Ok(has_ended)
    }

    /// Ends the sessions of `user` except for `kept`. Returns how many have ended.
    pub async fn end_others(&self, user: UserId, kept: &Token) -> Result<u64, Error> {
        let kept = kept.hash();
        let ended = self.store.delete_sessions_except(user, &kept.to_string()).await?;
        self.cached().end(|hash, session| session.user == user && *hash != kept);
        Ok(ended)
    }

    /// Drops the sessions of `user`, which have ended or changed in the table. Their last uses that are not written yet
    /// are lost, which are of the last minute.
    pub fn forget(&self, user: UserId) {
        self.cached().end(|_, session| session.user == user);
    }

    /// Takes over the new e-mail of `user`.
    pub fn rename(&self, user: UserId, email: &Email) {
        let mut cache = self.cached();
        cache.changes += 1;
        for cached in cache.sessions.values_mut().filter(|cached| cached.session.user == user) {
            cached.session.email = email.clone();
        }
    }

    /// Drops the session of this hash, which has ended in the table.
    pub fn forget_one(&self, hash: TokenHash) {
        self.cached().end_one(hash);
    }

    /// Drops all sessions. Those that have not ended are read from the table again.
    pub fn forget_all(&self) {
        self.cached().end(|_, _| true);
    }

    pub async fn sweep(&self, now: UnixMillis) -> Result<(), Error> {
        self.store.delete_expired_sessions(now).await?;
        self.write_last_uses().await?;
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

    /// Writes the last requests of the sessions in use. They are written together and not by the requests, so
    /// that no poll waits for the database.
    async fn write_last_uses(&self) -> Result<(), Error> {
        let mut uses = Vec::new();
        for (hash, cached) in &mut self.cached().sessions {
            if cached.seen_at.since(cached.written_at) >= WRITTEN_EVERY {
                cached.written_at = cached.seen_at;
                let address = cached.address.map(|address| address.to_string());
                uses.push(SessionUse { token_hash: hash.to_string(), at: cached.seen_at, address });
            }
        }
        // In one order at all replicas, so that none waits for a row of another that waits for one of its own.
        uses.sort_by(|one, other| one.token_hash.cmp(&other.token_hash));
        for some in uses.chunks(LONGEST_LIST) {
            self.store.record_session_uses(some).await?;
        }
        Ok(())
    }

    fn cached(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
