//! E-mails for forgotten passwords. Whether an address has an account must not be seen from outside, so nothing that
//! others can observe depends on it.
//!
//! Their lane has [`FORGOTTEN_AT_ONCE`] places. Each request keeps a place for [`Mailer::place_for`], which is longer
//! than a server may take, whether or not its address has an account. Therefore the time at which an e-mail is sent says
//! nothing of the requests before it. The e-mails of the other lane wait for none of them.

use std::time::Duration;

use super::{LONGEST_WAIT, MailOutcome, Mailer, next_attempt, reset_path, words};
use crate::{
    accounts::Token,
    base::time::UnixMillis,
    store::{
        self,
        mail::{MailLane, MailRow},
        one_time_links::NewLink,
    },
};

/// How long a link for a new password works that a user has asked for, and how long its e-mail is tried for.
pub const FORGOTTEN_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// How many requests have a place at once: with 35 s each, over 80 requests a minute. That is far more than one address
/// gets in an hour, so that repeated attempts, which only addresses with an account have, never fill the places. One
/// neighbourhood gets 100 requests at once, which fill the places for 70 s, and then one every 36 s, which takes one place.
/// So it delays others by little more than a minute, and never has the 1,000 requests that can wait.
pub const FORGOTTEN_AT_ONCE: usize = 50;

/// How long the database may take besides the server.
const BESIDE_THE_SERVER: Duration = Duration::from_secs(5);

/// What is next in the lane.
pub enum NextForgotten {
    /// Its attempt is recorded; [`Mailer::send_forgotten`] makes it.
    Due(Box<MailRow>),
    /// None is due before this time, or at all.
    Idle(Option<UnixMillis>),
}

impl Mailer {
    /// How long each request keeps its place.
    #[must_use]
    pub fn place_for(&self) -> Duration {
        self.smtp.sends_within + BESIDE_THE_SERVER
    }

    /// Takes the next e-mail that is due at `now`, whether or not its address has an account.
    pub async fn take_forgotten(&self, now: UnixMillis) -> store::Result<NextForgotten> {
        let lane = MailLane::Forgotten;
        loop {
            let Some(row) = self.store.next_mail(lane, now, now.plus(LONGEST_WAIT)).await? else {
                return Ok(NextForgotten::Idle(self.store.next_mail_at(lane).await?));
            };
            if !self.is_too_late(&row, now).await?
                && self.store.begin_mail(&row, next_attempt(&row, now)).await?
            {
                return Ok(NextForgotten::Due(Box::new(row)));
            }
        }
    }

    /// Sends an e-mail that was taken at `now`, if its address has an account. The link is made only now, and its token
    /// is stored nowhere. A later attempt makes another one.
    pub async fn send_forgotten(&self, row: &MailRow, now: UnixMillis) -> store::Result<MailOutcome> {
        let account = match &row.address {
            Some(address) => self.store.credentials(address).await?.map(|known| (address, known.account)),
            None => None,
        };
        let Some((address, account)) = account else { return self.drop_forgotten(row).await };
        let (token, made_at) = (Token::generate(), UnixMillis::wall());
        let link = NewLink {
            token_hash: token.hash().to_string(),
            account: Some(account),
            made_by: account,
            note: None,
            created_at: made_at,
            expires_at: made_at.plus(FORGOTTEN_LIFETIME),
        };
        if !self.store.create_own_link(&link).await? {
            return self.drop_forgotten(row).await;
        }
        let letter = words::reset_by_user(address, self.link(&reset_path(&token)));
        self.hand_over(row, (address, &letter), now, next_attempt(row, now)).await
    }

    async fn drop_forgotten(&self, row: &MailRow) -> store::Result<MailOutcome> {
        self.store.delete_mail(row.id).await?;
        Ok(MailOutcome::Void)
    }
}
