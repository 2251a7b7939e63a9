//! Accounts: users, passwords, sessions.
//!
//! [`Accounts`] is the only entry point. It keeps the sessions in use in memory, because every request needs
//! one, and limits what a visitor can make it do: concurrent hashes, and guesses at one password.

mod email;
mod hasher;
mod password;
mod session;
mod token;

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use secrecy::SecretString;

pub use self::{
    email::{Email, InvalidEmail},
    password::{InvalidPassword, Password},
    session::Session,
    token::Token,
};
use self::{hasher::Hasher, session::Sessions};
use crate::{
    base::{
        config::SignUp,
        ids::UserId,
        limits::{Network, Rate, RateLimiter},
        time::UnixMillis,
    },
    store::{self, Store, accounts::NewAccount},
};

/// All functions of accounts; shared by all requests.
pub struct Accounts {
    store: Store,
    sign_up: SignUp,
    /// The token of the one-time link. None if no stranger could use the sign-up before the operator.
    link_token: Option<Token>,
    hasher: Hasher,
    /// Wrong passwords for one account from one network.
    guesses: RateLimiter<(Email, Option<Network>)>,
    /// Sign-ins from one network, for any account.
    sign_ins: RateLimiter<Network>,
    /// Sign-ups from one network.
    sign_ups: RateLimiter<Network>,
    sessions: Sessions,
}

/// Ten wrong guesses at once, for a user who tries to remember, then one per minute. Each network is counted
/// separately, so that guesses from elsewhere do not lock the owner out.
const GUESSES: Rate = Rate { burst: 10, every: Duration::from_secs(60) };

/// The `Retry-After` while too many passwords are being checked: about the time that those take.
pub const BUSY_RETRY_AFTER: Duration = Duration::from_secs(3);

/// 30 a minute, enough for an office behind one address. Also limits how many accounts one network can fill
/// the table of guesses with.
const SIGN_INS: Rate = Rate { burst: 30, every: Duration::from_secs(2) };

/// 10 an hour.
const SIGN_UPS: Rate = Rate { burst: 10, every: Duration::from_secs(6 * 60) };

/// An internal failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    // Not transparent: the cause must stay in the chain, because a full disk has its own answer.
    #[error("{0}")]
    Store(#[from] store::Error),
    #[error("a password could not be hashed or checked: {0}")]
    Hash(#[from] argon2::password_hash::Error),
    #[error("too many passwords are being checked at once")]
    Busy,
    #[error("hashing a password was interrupted: {0}")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// Why no account was created.
#[derive(Debug, thiserror::Error)]
pub enum SignUpError {
    /// `RUNBOARD_SIGN_UP` is closed, or it is first and an account exists.
    #[error("sign-up is closed")]
    Closed,
    /// The first account is created through the link that was printed at start.
    #[error("sign-up needs the one-time link")]
    LinkNeeded,
    #[error("the e-mail address already has an account")]
    EmailTaken,
    #[error("too many sign-ups")]
    TooMany { retry_after: Duration },
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Why a sign-in was refused.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// No such account, or a wrong password. The answer must not reveal which.
    #[error("wrong e-mail or password")]
    WrongCredentials,
    #[error("too many attempts")]
    TooMany { retry_after: Duration },
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Accounts {
    /// `listen` is the address that visitors reach. Unless it is loopback, only the holder of a one-time link
    /// may create the first account.
    #[must_use]
    pub fn new(store: Store, sign_up: SignUp, listen: SocketAddr) -> Self {
        let needs_link = sign_up == SignUp::First && !listen.ip().is_loopback();
        Self {
            sessions: Sessions::new(store.clone()),
            store,
            sign_up,
            link_token: needs_link.then(Token::generate),
            hasher: Hasher::new(),
            guesses: RateLimiter::new(GUESSES),
            sign_ins: RateLimiter::new(SIGN_INS),
            sign_ups: RateLimiter::new(SIGN_UPS),
        }
    }

    /// The token of the one-time link, for the operator, until the first account is created. It is valid
    /// until the next start.
    pub async fn link_token(&self) -> Result<Option<&Token>, Error> {
        Ok(if self.store.has_account().await? { None } else { self.link_token.as_ref() })
    }

    /// Whether no account exists yet and the first one is created by sign-up.
    pub async fn awaits_first(&self) -> Result<bool, Error> {
        Ok(self.sign_up != SignUp::Closed && !self.store.has_account().await?)
    }

    /// Whether anybody may create an account at any time.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.sign_up == SignUp::Open
    }

    /// Whether a visitor with `link_token` may create an account now.
    pub async fn may_sign_up(&self, link_token: Option<&Token>) -> Result<(), SignUpError> {
        match self.sign_up {
            SignUp::Open => Ok(()),
            SignUp::Closed => Err(SignUpError::Closed),
            SignUp::First if self.store.has_account().await.map_err(Error::from)? => Err(SignUpError::Closed),
            SignUp::First => match (&self.link_token, link_token) {
                (None, _) => Ok(()),
                (Some(needed), Some(shown)) if needed.matches(shown) => Ok(()),
                (Some(_), _) => Err(SignUpError::LinkNeeded),
            },
        }
    }

    /// Creates an account for a visitor at address `from`.
    pub async fn sign_up(
        &self,
        email: Email,
        password: Password,
        link_token: Option<&Token>,
        from: Option<IpAddr>,
    ) -> Result<UserId, SignUpError> {
        // Checked before the hash is made, so that a refused sign-up is cheap. The insert decides.
        self.may_sign_up(link_token).await?;
        within(&self.sign_ups, from).map_err(|retry_after| SignUpError::TooMany { retry_after })?;
        let account = self.new_account(&email, password, from).await?;
        let (made, refusal) = if self.sign_up == SignUp::First {
            (self.store.create_first_account(&account).await, SignUpError::Closed)
        } else {
            (self.store.create_account(&account).await, SignUpError::EmailTaken)
        };
        if made.map_err(Error::from)? { Ok(account.id) } else { Err(refusal) }
    }

    /// The account of `email`, if `password` is its password. `from` is the visitor's address.
    pub async fn sign_in(
        &self,
        email: &Email,
        password: SecretString,
        from: Option<IpAddr>,
    ) -> Result<UserId, SignInError> {
        let too_many = |retry_after| SignInError::TooMany { retry_after };
        within(&self.sign_ins, from).map_err(too_many)?;
        // Counted before the password is checked, so that concurrent attempts cannot exceed the limit.
        let key = (email.clone(), from.map(Network::from));
        self.guesses.check(&key, Instant::now()).map_err(too_many)?;
        let checked = self.check(email, password, from).await;
        if checked.is_err() {
            // No password was checked, so this was not a guess.
            self.guesses.give_back(&key);
        }
        let user = checked?.ok_or(SignInError::WrongCredentials)?;
        // The password was right, so the earlier attempts were not guesses.
        self.guesses.forget(&key);
        Ok(user)
    }

    /// The account of `email`, if `password` is its password.
    async fn check(
        &self,
        email: &Email,
        password: SecretString,
        from: Option<IpAddr>,
    ) -> Result<Option<UserId>, Error> {
        let credentials = self.store.credentials(email.as_str()).await?;
        let (user, hash) = match credentials {
            Some(credentials) => (Some(credentials.account), Some(credentials.password_hash)),
            None => (None, None),
        };
        let is_right = self.hasher.verify(password, hash, from).await?;
        Ok(user.filter(|_| is_right))
    }

    /// Begins a session of `user`, and ends the browser's previous session.
    pub async fn begin_session(&self, user: UserId, replaced: Option<&Token>) -> Result<Token, Error> {
        self.sessions.begin(user, replaced).await
    }

    /// The session of `token`. Sessions in use are answered from memory.
    pub async fn session(&self, token: &Token) -> Result<Option<Session>, Error> {
        self.sessions.find(token, UnixMillis::wall()).await
    }

    pub async fn end_session(&self, token: &Token) -> Result<(), Error> {
        self.sessions.end(token).await
    }

    /// Deletes expired sessions, and drops sessions from memory that ended in another process, such as an
    /// operator's `account reset`. Must be called about twice a minute while the server runs.
    pub async fn sweep_sessions(&self) -> Result<(), Error> {
        self.sessions.sweep(UnixMillis::wall()).await
    }

    /// For the operator: creates an account, whatever `RUNBOARD_SIGN_UP` says.
    pub async fn add(&self, email: Email, password: Password) -> Result<UserId, SignUpError> {
        let account = self.new_account(&email, password, None).await?;
        let made = self.store.create_account(&account).await.map_err(Error::from)?;
        if made { Ok(account.id) } else { Err(SignUpError::EmailTaken) }
    }

    /// For the operator: sets another password and ends all sessions. Returns `false` if there is no such
    /// account. A running server follows with its next [`Self::sweep_sessions`].
    pub async fn reset(&self, email: &Email, password: Password) -> Result<bool, Error> {
        let hash = self.hasher.hash(password, None).await?;
        Ok(self.store.reset_password(email.as_str(), &hash).await?)
    }

    /// For the operator: e-mail and creation time of every account, oldest first.
    pub async fn list(&self) -> Result<Vec<(String, UnixMillis)>, Error> {
        Ok(self.store.accounts().await?)
    }

    async fn new_account(
        &self,
        email: &Email,
        password: Password,
        from: Option<IpAddr>,
    ) -> Result<NewAccount, Error> {
        Ok(NewAccount {
            id: UserId::generate(),
            email: email.as_str().to_owned(),
            password_hash: self.hasher.hash(password, from).await?,
            created_at: UnixMillis::now(),
        })
    }
}

/// Counts a visit from `address`. Only a request without a connection has no address.
fn within(limiter: &RateLimiter<Network>, address: Option<IpAddr>) -> Result<(), Duration> {
    address.map_or(Ok(()), |address| limiter.check(&address.into(), Instant::now()))
}
