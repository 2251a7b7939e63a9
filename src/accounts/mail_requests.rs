//! What people ask for by e-mail. It is queued; [`super::Mailer`] sends it.

use std::{net::IpAddr, time::Duration};

use super::{
    Accounts, Error,
    email::Email,
    mail::{FORGOTTEN_LIFETIME, MailOutlet},
    token::Token,
    visitor_limits::within,
};
use crate::{
    base::{
        ids::UserId,
        limits::{Neighbourhood, Network, Rate},
        time::UnixMillis,
    },
    replicas::{Rates, SharedLimiter},
    store::{
        ended_mail::EndedMail,
        mail::{MailKind, MailLane, NewMail},
    },
};

/// The way to the sender, and how often strangers may use it.
pub(super) struct MailRequests {
    outlet: Option<MailOutlet>,
    limits: MailLimits,
}

struct MailLimits {
    /// Links for a new password to one address.
    to_address: SharedLimiter<Email>,
    /// The same from one network.
    from_network: SharedLimiter<Network>,
    /// The same from all networks that one party can have.
    from_neighbourhood: SharedLimiter<Neighbourhood>,
}

/// 3 an hour, so that a stranger cannot fill a mailbox. Nor can one keep its owner out by using them up: the last of them
/// was queued in the 20 minutes before, and its link works for an hour.
const TO_ADDRESS: Rate = Rate { burst: 3, every: Duration::from_secs(20 * 60) };

/// 10 an hour.
const FROM_NETWORK: Rate = Rate { burst: 10, every: Duration::from_secs(6 * 60) };

/// 100 an hour, so that one party cannot take the places of everybody: see [`super::FORGOTTEN_AT_ONCE`].
const FROM_NEIGHBOURHOOD: Rate = Rate { burst: 100, every: Duration::from_secs(36) };

/// How long an e-mail is tried for that an admin has asked for.
const TRIED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// Why no link for a new password is sent. It says nothing of whether the address has an account.
#[derive(Debug, thiserror::Error)]
pub enum ForgottenError {
    #[error("too many requests")]
    TooMany { retry_after: Duration },
    #[error(transparent)]
    Failed(#[from] Error),
}

impl MailLimits {
    fn new(rates: &Rates) -> Self {
        Self {
            to_address: rates.limiter("mail-to-address", TO_ADDRESS),
            from_network: rates.limiter("mail-from-network", FROM_NETWORK),
            from_neighbourhood: rates.limiter("mail-from-neighbourhood", FROM_NEIGHBOURHOOD),
        }
    }
}

impl MailRequests {
    /// Without a sender.
    pub fn new(rates: &Rates) -> Self {
        Self { outlet: None, limits: MailLimits::new(rates) }
    }

    pub fn to(self, outlet: Option<MailOutlet>) -> Self {
        Self { outlet, ..self }
    }

    pub fn with_rates(self, rates: &Rates) -> Self {
        Self { limits: MailLimits::new(rates), ..self }
    }
}

impl Accounts {
    /// Where e-mails go; None if none can be sent.
    #[must_use]
    pub fn mail(&self) -> Option<&MailOutlet> {
        self.mail_requests.outlet.as_ref()
    }

    /// Sends a link for a new password to `email`, if that has an account and did not get several a moment ago. Whether it
    /// has one is looked up only when the e-mail is about to be sent, so that the time of this call does not say it.
    pub async fn send_reset_link(&self, email: &Email, from: Option<IpAddr>) -> Result<(), ForgottenError> {
        let too_many = |retry_after| ForgottenError::TooMany { retry_after };
        let limits = &self.mail_requests.limits;
        within(&limits.from_network, from).await?.map_err(too_many)?;
        within(&limits.from_neighbourhood, from).await?.map_err(too_many)?;
        if limits.to_address.take(email).await.map_err(Error::from)?.is_err() {
            // No refusal: the mailbox has a link that works.
            return Ok(());
        }
        let now = UnixMillis::now();
        let mail = NewMail {
            kind: MailKind::Forgotten,
            account: None,
            address: Some(email.as_str().to_owned()),
            created_at: now,
            expires_at: now.plus(FORGOTTEN_LIFETIME),
        };
        self.queue(&mail).await?;
        Ok(())
    }

    /// Sends a link that an admin has made: an invitation to `email`, or, without one, a link for a new password to
    /// the address of its account. Returns false if the link is not valid any more.
    pub async fn mail_link(&self, token: &Token, email: Option<&Email>) -> Result<bool, Error> {
        let (now, secret, hash) = (UnixMillis::now(), token.expose(), token.hash().to_string());
        let to = email.map(Email::as_str);
        let is_queued = self.store.queue_link((&secret, &hash), to, now, now.plus(TRIED_FOR)).await?;
        self.wake_sender(MailLane::Others);
        Ok(is_queued)
    }

    /// Sends an e-mail to `user` that says nothing but that it has arrived.
    pub async fn send_test_mail(&self, user: UserId) -> Result<(), Error> {
        let now = UnixMillis::now();
        let mail = NewMail {
            kind: MailKind::Test,
            account: Some(user),
            address: None,
            created_at: now,
            expires_at: now.plus(TRIED_FOR),
        };
        self.queue(&mail).await
    }

    /// Which ends of imports `user` is told by e-mail.
    pub async fn ended_mail(&self, user: UserId) -> Result<EndedMail, Error> {
        Ok(self.store.ended_mail(user).await?)
    }

    pub async fn set_ended_mail(&self, user: UserId, choice: EndedMail) -> Result<(), Error> {
        Ok(self.store.set_ended_mail(user, choice).await?)
    }

    async fn queue(&self, mail: &NewMail) -> Result<(), Error> {
        if !self.store.queue_mail(mail).await? {
            return Err(Error::Busy);
        }
        let lane = if mail.kind == MailKind::Forgotten { MailLane::Forgotten } else { MailLane::Others };
        self.wake_sender(lane);
        Ok(())
    }

    fn wake_sender(&self, lane: MailLane) {
        if let Some(outlet) = self.mail() {
            outlet.want(lane);
        }
    }
}
