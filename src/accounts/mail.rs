//! The sender of e-mails. They wait in the database ([`crate::store::mail`]), so that a request for one does not wait
//! for the SMTP server, and a restart loses none.
//!
//! An attempt is recorded before it begins. If the process dies between the server's confirmation and our record of
//! it, the e-mail is sent again, with the same Message-ID.
//!
//! Of several replicas, the one that leads sends. If one was paused and goes on as if it still led, both may send, but
//! never the same attempt: it is taken from those that the row counts. The pause before the next attempt begins with
//! this one and is longer than a server may take.

mod forgotten;
mod letter;
mod smtp;
mod words;

use std::{sync::Arc, time::Duration};

use secrecy::ExposeSecret;
use tokio::sync::Notify;
use url::Url;

pub use self::{
    forgotten::{FORGOTTEN_AT_ONCE, FORGOTTEN_LIFETIME, NextForgotten},
    smtp::SmtpSetupError,
    words::EndedImport,
};
use self::{letter::Letter, smtp::Smtp};
use super::{Token, email::Email};
use crate::{
    base::{
        config::MailConfig,
        ids::{ImportId, UserId},
        time::UnixMillis,
    },
    store::{
        self, Store,
        ended_mail::EndedMail,
        mail::{MailKind, MailLane, MailRow},
    },
};

/// The pauses after the first, second, ... failed attempt; further ones are as long as the last.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 60 * 60),
    Duration::from_secs(4 * 60 * 60),
];

/// How many e-mails about ended imports an account gets within [`ENDED_WINDOW`]. Further ends are summed up.
pub const MOST_ENDED: u64 = 20;
pub const ENDED_WINDOW: Duration = Duration::from_secs(60 * 60);

/// No e-mail waits longer for its next attempt. A row with a later time was written before the clock was set back, and
/// counts as due.
const LONGEST_WAIT: Duration = PAUSES[PAUSES.len() - 1];

/// An import may go on before its end was told. The sender looks at it again after this pause.
const GOES_ON_PAUSE: Duration = Duration::from_secs(5);

/// The pause after a failure to write an e-mail, such as that of an import that cannot be read.
const UNWRITTEN_PAUSE: Duration = Duration::from_secs(60);

/// How often a server may refuse an e-mail for good before it is dropped. A wrong setting can have the same answer as
/// an unknown recipient (a relay that we may not use also says 550), and an operator needs time to correct it.
const MOST_REFUSALS: u32 = 3;

/// Sends the e-mails that wait in the database.
pub struct Mailer {
    store: Store,
    smtp: Smtp,
    /// What the links in e-mails begin with.
    origin: Url,
    outlet: MailOutlet,
}

/// What the rest of the program knows of the sender.
#[derive(Clone, Debug)]
pub struct MailOutlet {
    /// Where e-mails are handed over and who they are from, for an operator: `smtp.example.org:587 (from
    /// runboard@example.org)`.
    pub route: Arc<str>,
    /// Notified when an e-mail of the lane of forgotten passwords is wanted, and one of the other lane.
    forgotten: Arc<Notify>,
    others: Arc<Notify>,
}

/// What one step of the sender did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailOutcome {
    /// No e-mail is due before this time, or at all.
    Idle(Option<UnixMillis>),
    Sent(MailKind),
    /// The server did not take it, or it could not be written; it is tried again at this time.
    Postponed(UnixMillis),
    /// The server has refused it for good three times, or no server would take it.
    Refused,
    /// It was tried for as long as it is of use.
    Expired,
    /// The account has got many e-mails about ended imports; this end is told with others at this time.
    SummedUp(UnixMillis),
    /// The import goes on; it is looked at again at this time.
    GoesOn(UnixMillis),
    /// While the e-mail was written, its import ended again or its row was deleted. The next step writes it again, if
    /// it is still there.
    Changed,
    /// There is nothing to say any more: no such account, the link has ended, the import is gone, or its owner wants
    /// no e-mails about imports now.
    Void,
}

/// Whom an e-mail goes to, and what it says.
enum Content {
    Letter {
        to: String,
        letter: Letter,
    },
    SummedUp(UnixMillis),
    /// The import goes on.
    NotYet,
    Void,
}

impl MailOutlet {
    /// Wakes the sender of a lane.
    pub(super) fn want(&self, lane: MailLane) {
        self.lane(lane).notify_one();
    }

    fn lane(&self, lane: MailLane) -> &Notify {
        match lane {
            MailLane::Forgotten => &self.forgotten,
            MailLane::Others => &self.others,
        }
    }
}

impl Mailer {
    /// A sender whose links lead to `origin`.
    pub fn new(store: Store, config: &MailConfig, origin: Url) -> Result<Self, SmtpSetupError> {
        let route = format!("{} (from {})", config.server, config.from).into();
        let smtp = Smtp::new(config, &origin)?;
        let outlet = MailOutlet { route, forgotten: Arc::default(), others: Arc::default() };
        Ok(Self { store, smtp, origin, outlet })
    }

    #[must_use]
    pub fn outlet(&self) -> MailOutlet {
        self.outlet.clone()
    }

    /// Notified when somebody asks for an e-mail of `lane`, not at the end of an import.
    #[must_use]
    pub fn wanted(&self, lane: MailLane) -> &Notify {
        self.outlet.lane(lane)
    }

    /// Call once at a start: what an earlier process could not send is tried at once, because the server, its settings
    /// or the clock may have changed. Where that process may still be sending, call it with a time at which it has
    /// ended: [`place_for`](Self::place_for) from now.
    pub async fn resume(&self, at: UnixMillis) -> store::Result<()> {
        self.store.retry_mail(at).await
    }

    /// Sends the next e-mail that is due at `now`, except those for forgotten passwords. `describe` says how an import
    /// has ended; None if it is gone or goes on.
    pub async fn send_next<F>(
        &self,
        now: UnixMillis,
        describe: impl Fn(UserId, ImportId) -> F,
    ) -> store::Result<MailOutcome>
    where
        F: Future<Output = store::Result<Option<EndedImport>>>,
    {
        let lane = MailLane::Others;
        let Some(row) = self.store.next_mail(lane, now, now.plus(LONGEST_WAIT)).await? else {
            return Ok(MailOutcome::Idle(self.store.next_mail_at(lane).await?));
        };
        if self.is_too_late(&row, now).await? {
            return Ok(MailOutcome::Expired);
        }
        let content = match self.content(&row, now, describe).await {
            Ok(content) => content,
            Err(error) => {
                // Later, so that the other e-mails do not wait for this one.
                let at = now.plus(UNWRITTEN_PAUSE);
                self.store.postpone_mail(row.id, at).await?;
                tracing::error!(mail = %row.id, kind = ?row.kind, %error, "an e-mail cannot be written");
                return Ok(MailOutcome::Postponed(at));
            }
        };
        let (to, letter) = match content {
            Content::Letter { to, letter } => (to, letter),
            Content::SummedUp(at) => return Ok(MailOutcome::SummedUp(at)),
            Content::NotYet => {
                // The row of an import that is gone is gone too.
                let at = now.plus(GOES_ON_PAUSE);
                let is_there = self.store.postpone_mail(row.id, at).await?;
                return Ok(if is_there { MailOutcome::GoesOn(at) } else { MailOutcome::Void });
            }
            Content::Void => {
                self.store.delete_mail(row.id).await?;
                return Ok(MailOutcome::Void);
            }
        };
        let next_attempt = next_attempt(&row, now);
        if !self.store.begin_mail(&row, next_attempt).await? {
            return Ok(MailOutcome::Changed);
        }
        self.hand_over(&row, (&to, &letter), now, next_attempt).await
    }

    /// Drops an e-mail that was tried for as long as it is of use. Returns whether it was.
    async fn is_too_late(&self, row: &MailRow, now: UnixMillis) -> store::Result<bool> {
        if row.expires_at > now {
            return Ok(false);
        }
        self.store.delete_mail(row.id).await?;
        tracing::warn!(mail = %row.id, kind = ?row.kind, attempts = row.attempts, "an e-mail could not be sent in time");
        Ok(true)
    }

    /// Sends an e-mail whose attempt is recorded, and records what became of it.
    async fn hand_over(
        &self,
        row: &MailRow,
        (to, letter): (&str, &Letter),
        now: UnixMillis,
        next_attempt: UnixMillis,
    ) -> store::Result<MailOutcome> {
        match self.smtp.send(row.id, to, letter).await {
            Ok(()) => {
                if matches!(row.kind, MailKind::Ended | MailKind::MoreEnded) {
                    self.store.mail_was_sent(row.id, now, now.plus(ENDED_WINDOW)).await?;
                } else {
                    self.store.delete_mail(row.id).await?;
                }
                tracing::info!(mail = %row.id, kind = ?row.kind, "sent an e-mail");
                Ok(MailOutcome::Sent(row.kind))
            }
            Err(smtp::Unsent::Refused(why)) if row.refusals + 1 < MOST_REFUSALS => {
                self.store.mail_was_refused(row.id).await?;
                tracing::warn!(mail = %row.id, kind = ?row.kind, %why, next_attempt = %next_attempt, "an e-mail was refused and is tried again");
                Ok(MailOutcome::Postponed(next_attempt))
            }
            Err(smtp::Unsent::Refused(why) | smtp::Unsent::ForGood(why)) => {
                self.store.delete_mail(row.id).await?;
                tracing::warn!(mail = %row.id, kind = ?row.kind, %why, "an e-mail was refused and is dropped");
                Ok(MailOutcome::Refused)
            }
            Err(smtp::Unsent::ForNow(why)) => {
                tracing::warn!(mail = %row.id, kind = ?row.kind, %why, next_attempt = %next_attempt, "an e-mail could not be sent yet");
                Ok(MailOutcome::Postponed(next_attempt))
            }
        }
    }

    async fn content<F>(
        &self,
        row: &MailRow,
        now: UnixMillis,
        describe: impl Fn(UserId, ImportId) -> F,
    ) -> store::Result<Content>
    where
        F: Future<Output = store::Result<Option<EndedImport>>>,
    {
        let to = match (row.account, &row.address) {
            (Some(account), _) => self.store.usable_email(account).await?,
            (None, address) => address.clone(),
        };
        let Some(to) = to else { return Ok(Content::Void) };
        let token = row.token.as_ref().and_then(|token| Token::parse(token.expose_secret()));
        let is_unwanted = match (row.kind, row.account) {
            (MailKind::Ended | MailKind::MoreEnded, Some(account)) => {
                self.store.ended_mail(account).await? == EndedMail::Off
            }
            _ => false,
        };
        let letter = match (row.kind, row.account, row.import, token) {
            _ if is_unwanted => return Ok(Content::Void),
            (MailKind::Reset, _, _, Some(token)) => {
                if self.store.reset_link(&token.hash().to_string(), UnixMillis::wall()).await?.is_none() {
                    return Ok(Content::Void);
                }
                words::reset_by_admin(&to, self.link(&reset_path(&token)))
            }
            (MailKind::Invitation, _, _, Some(token)) => {
                if !self.store.is_invitation(&token.hash().to_string(), UnixMillis::wall()).await? {
                    return Ok(Content::Void);
                }
                words::invitation(self.link(&format!("/sign-up?token={}", token.expose())))
            }
            (MailKind::Ended, Some(account), Some(import), _) => {
                let (sent, first_at) = self.store.ended_mail_since(account, now.minus(ENDED_WINDOW)).await?;
                if sent >= MOST_ENDED {
                    // The first may have been sent before the clock was set back.
                    let at = first_at.unwrap_or(now).min(now).plus(ENDED_WINDOW);
                    self.store.sum_up_ended(account, now, at).await?;
                    return Ok(Content::SummedUp(at));
                }
                let Some(ended) = describe(account, import).await? else { return Ok(Content::NotYet) };
                words::ended(ended, self.link(&format!("/imports/{import}")), self.settings())
            }
            (MailKind::MoreEnded, ..) => {
                words::more_ended(row.ended_imports, self.link("/imports"), self.settings())
            }
            (MailKind::Test, ..) => words::test(self.link("/")),
            // A row of another version.
            _ => return Ok(Content::Void),
        };
        Ok(Content::Letter { to, letter })
    }

    fn settings(&self) -> String {
        self.link("/account")
    }

    /// The address of one of our pages.
    fn link(&self, path: &str) -> String {
        format!("{}{path}", self.origin.as_str().trim_end_matches('/'))
    }
}

fn reset_path(token: &Token) -> String {
    format!("/reset?token={}", token.expose())
}

/// Whether e-mails can be sent to `email`: not every address that has the shape of one is valid.
pub fn can_be_sent_to(email: &Email) -> bool {
    smtp::recipient(email.as_str()).is_some()
}

fn next_attempt(row: &MailRow, now: UnixMillis) -> UnixMillis {
    now.plus(pause_after(row.attempts)).min(row.expires_at)
}

fn pause_after(attempts: u32) -> Duration {
    let pause = usize::try_from(attempts).ok().and_then(|attempts| PAUSES.get(attempts));
    pause.or(PAUSES.last()).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_grow_to_four_hours() {
        let minutes = (0..7).map(|attempts| pause_after(attempts).as_secs() / 60).collect::<Vec<_>>();
        assert_eq!(minutes, [1, 5, 30, 120, 240, 240, 240]);
        assert_eq!(pause_after(u32::MAX), PAUSES[4]);
    }
}
