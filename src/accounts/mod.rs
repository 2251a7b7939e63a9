//! Accounts: users, passwords, sessions, and the tokens of programs.
//!
//! [`Accounts`] is the only entry point. It keeps the sessions in use in memory, because every request needs
//! one, and limits what a visitor can make it do: concurrent hashes, and guesses at one password.

mod admin;
mod api_token;
mod change;
mod device;
mod email;
mod first;
mod guest_link;
mod hasher;
mod in_use;
mod leave;
mod mail;
mod mail_requests;
mod password;
mod session;
mod token;
mod told;
mod visitor_limits;

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use secrecy::SecretString;
use tokio::sync::Notify;

pub use self::{
    admin::{INVITATION_LIFETIME, RESET_LIFETIME},
    api_token::{
        ApiToken, InvalidScope, InvalidTokenName, MakeTokenError, NewToken, Scope, TokenGrant, TokenInfo,
        TokenName,
    },
    change::ChangeEmailError,
    device::device,
    email::{Email, InvalidEmail},
    guest_link::{GuestGrant, MakeGuestLinkError, NewGuestLink},
    leave::LeaveError,
    mail::{
        ENDED_WINDOW, EndedImport, FORGOTTEN_AT_ONCE, FORGOTTEN_LIFETIME, MOST_ENDED, MailOutcome,
        MailOutlet, Mailer, NextForgotten, SmtpSetupError, can_be_sent_to,
    },
    mail_requests::ForgottenError,
    password::{InvalidPassword, Password},
    session::{Browser, OpenSession, Session},
    token::Token,
};
use self::{
    hasher::Hasher,
    in_use::InUse,
    mail_requests::MailRequests,
    session::Sessions,
    told::AccessChange,
    visitor_limits::{Guess, VisitorLimits, within},
};
pub use crate::store::{
    accounts::ListedAccount,
    ended_mail::EndedMail,
    guest_links::OpenGuestLink,
    mail::MailKind,
    one_time_links::OpenInvitation,
    roles::{AccountSummary, AdminChange},
};
use crate::{
    base::{config::SignUp, ids::UserId, time::UnixMillis},
    replicas::{Bus, Rates},
    store::{
        self, Store,
        accounts::{Credentials, NewAccount},
        one_time_links::Acceptance,
    },
};

/// All functions of accounts; shared by all requests.
pub struct Accounts {
    store: Store,
    sign_up: SignUp,
    /// The token of the one-time link. None if no stranger could use the sign-up before the operator.
    link_token: Option<Token>,
    /// The way to the other replicas.
    bus: Bus,
    hasher: Hasher,
    limits: VisitorLimits,
    mail_requests: MailRequests,
    sessions: Sessions,
    /// An account is to be deleted.
    leaving: Notify,
    tokens_in_use: InUse<TokenGrant>,
    guest_links_in_use: InUse<GuestGrant>,
}

/// The `Retry-After` while too many passwords are being checked: about the time that those take.
pub const BUSY_RETRY_AFTER: Duration = Duration::from_secs(3);

/// An internal failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    // Not transparent: the cause must stay in the chain, because a full disk has its own answer.
    #[error("{0}")]
    Store(#[from] store::Error),
    #[error("a password could not be hashed or checked: {0}")]
    Hash(#[from] argon2::password_hash::Error),
    /// Too many passwords are being checked, or e-mails are waiting.
    #[error("too many such requests at once")]
    Busy,
    #[error("hashing a password was interrupted: {0}")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// Why a visitor may create an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is the first one.
    First,
    /// Anybody may.
    Open,
    /// By an invitation, whose token has this hash.
    Invited(String),
}

/// Why no account was created.
#[derive(Debug, thiserror::Error)]
pub enum SignUpError {
    /// `RUNBOARD_SIGN_UP` is closed, or it is first and an account exists.
    #[error("sign-up is closed")]
    Closed,
    /// The invitation was used or ended, or has expired.
    #[error("the invitation is not valid any more")]
    InvitationOver,
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
    /// The password is right, but an admin has disabled the account.
    #[error("the account is disabled")]
    Disabled,
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
        let rates = Rates::alone();
        let needs_link = sign_up == SignUp::First && !listen.ip().is_loopback();
        Self {
            sessions: Sessions::new(store.clone()),
            tokens_in_use: InUse::default(),
            guest_links_in_use: InUse::default(),
            store,
            sign_up,
            link_token: needs_link.then(Token::generate),
            hasher: Hasher::new(),
            limits: VisitorLimits::new(&rates),
            mail_requests: MailRequests::new(&rates),
            leaving: Notify::new(),
            bus: Bus::alone(),
        }
    }

    /// The same with e-mails, which are sent by the mailer of this outlet.
    #[must_use]
    pub fn with_mail(self, outlet: Option<MailOutlet>) -> Self {
        Self { mail_requests: self.mail_requests.to(outlet), ..self }
    }

    /// The same with uses of its limits that are counted where `rates` says.
    #[must_use]
    pub fn with_rates(self, rates: &Rates) -> Self {
        let mail_requests = self.mail_requests.with_rates(rates);
        Self { limits: VisitorLimits::new(rates), mail_requests, ..self }
    }

    /// Whether anybody may create an account at any time.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.sign_up == SignUp::Open
    }

    /// Whether a visitor with `link_token`, of the one-time link or of an invitation, may create an account now.
    pub async fn may_sign_up(&self, link_token: Option<&Token>) -> Result<Admission, SignUpError> {
        if let Some(token) = link_token {
            let hash = token.hash().to_string();
            if self.store.is_invitation(&hash, UnixMillis::wall()).await.map_err(Error::from)? {
                return Ok(Admission::Invited(hash));
            }
        }
        let closed = || if link_token.is_some() { SignUpError::InvitationOver } else { SignUpError::Closed };
        match self.sign_up {
            SignUp::Open => Ok(Admission::Open),
            SignUp::Closed => Err(closed()),
            SignUp::First if self.store.has_account().await.map_err(Error::from)? => Err(closed()),
            SignUp::First => match (self.needed_link().await?, link_token) {
                (None, _) => Ok(Admission::First),
                (Some(needed), Some(shown)) if needed.matches(shown) => Ok(Admission::First),
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
        let admission = self.may_sign_up(link_token).await?;
        let too_many = |retry_after| SignUpError::TooMany { retry_after };
        within(&self.limits.sign_ups, from).await?.map_err(too_many)?;
        let account = self.new_account(&email, password, from).await?;
        let (made, refusal) = match admission {
            Admission::First => (self.create_first(&account).await, SignUpError::Closed),
            Admission::Open => (self.store.create_account(&account).await, SignUpError::EmailTaken),
            Admission::Invited(hash) => {
                let accepted = self.store.accept_invitation(&hash, &account, UnixMillis::wall()).await;
                return match accepted.map_err(Error::from)? {
                    Acceptance::Accepted => Ok(account.id),
                    Acceptance::Over => Err(SignUpError::InvitationOver),
                    Acceptance::EmailTaken => Err(SignUpError::EmailTaken),
                };
            }
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
        within(&self.limits.sign_ins, from).await?.map_err(too_many)?;
        // Counted before the password is checked, so that concurrent attempts cannot exceed the limit.
        let (guesses, guess) = (&self.limits.guesses, Guess::new(email, from));
        guesses.take(&guess).await.map_err(Error::from)?.map_err(too_many)?;
        let checked = self.check(email, password, from).await;
        if checked.is_err() {
            // No password was checked, so this was not a guess. What cannot be given back comes back with time.
            if let Err(error) = guesses.give_back(&guess).await {
                tracing::warn!(%error, "a sign-in that failed counts as a guess");
            }
        }
        let credentials = checked?.ok_or(SignInError::WrongCredentials)?;
        // The password was right, so the earlier attempts were not guesses.
        guesses.forget(&guess).await.map_err(Error::from)?;
        if credentials.is_disabled { Err(SignInError::Disabled) } else { Ok(credentials.account) }
    }

    /// The account of `email`, if `password` is its password.
    async fn check(
        &self,
        email: &Email,
        password: SecretString,
        from: Option<IpAddr>,
    ) -> Result<Option<Credentials>, Error> {
        let credentials = self.store.credentials(email.as_str()).await?;
        let hash = credentials.as_ref().map(|credentials| credentials.password_hash.clone());
        let is_right = self.hasher.verify(password, hash, from).await?;
        Ok(credentials.filter(|_| is_right))
    }

    /// Begins a session of `user`, and ends the browser's previous session. None if the account was disabled
    /// in the meantime.
    pub async fn begin_session(
        &self,
        user: UserId,
        replaced: Option<&Token>,
        browser: &Browser,
    ) -> Result<Option<Token>, Error> {
        let begun = self.sessions.begin(user, replaced, browser).await?;
        if let Some(replaced) = replaced {
            self.tell_end_of(replaced);
        }
        Ok(begun)
    }

    /// The session of `token`, for a request from `address`. Sessions in use are answered from memory.
    pub async fn session(&self, token: &Token, address: Option<IpAddr>) -> Result<Option<Session>, Error> {
        self.sessions.find(token, address, UnixMillis::wall()).await
    }

    /// The sessions of `user`, newest first; `own` is the one that asks.
    pub async fn sessions(&self, user: UserId, own: &Token) -> Result<Vec<OpenSession>, Error> {
        self.sessions.of(user, own, UnixMillis::wall()).await
    }

    /// Ends the session of `user` with this [`OpenSession::name`]. Returns false if there is none.
    pub async fn end_session_named(&self, user: UserId, name: &str) -> Result<bool, Error> {
        let has_ended = self.sessions.end_named(user, name).await?;
        self.tell(&AccessChange::Sessions(user));
        Ok(has_ended)
    }

    /// Ends all sessions of `user` but `kept`. Returns how many have ended.
    pub async fn end_other_sessions(&self, user: UserId, kept: &Token) -> Result<u64, Error> {
        let ended = self.sessions.end_others(user, kept).await?;
        self.tell(&AccessChange::Sessions(user));
        Ok(ended)
    }

    pub async fn end_session(&self, token: &Token) -> Result<(), Error> {
        self.sessions.end(token).await?;
        self.tell_end_of(token);
        Ok(())
    }

    /// Deletes expired sessions, links and sent e-mails, writes when the other sessions were last used, and drops
    /// sessions from memory that ended in another process, such as an operator's `account reset`. Must be called about
    /// twice a minute while the server runs, at each replica.
    pub async fn sweep_sessions(&self) -> Result<(), Error> {
        let now = UnixMillis::wall();
        self.store.delete_expired_links(now).await?;
        self.store.delete_expired_guest_links(now).await?;
        self.store.delete_old_mail(UnixMillis::now(), self.mail().is_none()).await?;
        self.sessions.sweep(now).await
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
        let Some(credentials) = self.store.credentials(email.as_str()).await? else { return Ok(false) };
        self.store.set_password(credentials.account, &hash).await?;
        Ok(true)
    }

    /// For the operator: all accounts, oldest first.
    pub async fn list(&self) -> Result<Vec<ListedAccount>, Error> {
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
