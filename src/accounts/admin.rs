//! What an admin can do: see all accounts, invite, hand out links for a new password, disable.

use std::{net::IpAddr, time::Duration};

use super::{Accounts, Email, Error, Password, Token, told::AccessChange};
use crate::{
    base::{ids::UserId, time::UnixMillis},
    store::{
        one_time_links::{NewLink, OpenInvitation},
        roles::{AccountSummary, AdminChange},
    },
};

/// How long an invitation can be accepted.
pub const INVITATION_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long a link can set a password.
pub const RESET_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// A longer note is cut.
const NOTE_CHARS: usize = 100;

impl Accounts {
    /// Whether `user` is an admin. Read from the database, so that an operator's command takes effect at once.
    pub async fn is_admin(&self, user: UserId) -> Result<bool, Error> {
        Ok(self.store.is_admin(user).await?)
    }

    /// Up to `limit` accounts that were made after the account `after`, oldest first.
    pub async fn summaries(&self, after: Option<UserId>, limit: u32) -> Result<Vec<AccountSummary>, Error> {
        Ok(self.store.account_summaries(after, limit).await?)
    }

    /// Makes an invitation by the admin `by`; `note` says for whom, and `email` gets it by e-mail. None if there are
    /// too many.
    pub async fn invite(
        &self,
        by: UserId,
        note: &str,
        email: Option<&Email>,
    ) -> Result<Option<Token>, Error> {
        let note: String = note.trim().chars().filter(|c| !c.is_control()).take(NOTE_CHARS).collect();
        let note = Some(note).filter(|note| !note.is_empty()).or_else(|| email.map(Email::to_string));
        let invitation = self.make_link(by, None, note, INVITATION_LIFETIME).await?;
        if let (Some(token), Some(email)) = (&invitation, email) {
            self.mail_link(token, Some(email)).await?;
        }
        Ok(invitation)
    }

    /// The open invitations, oldest first.
    pub async fn invitations(&self) -> Result<Vec<OpenInvitation>, Error> {
        Ok(self.store.invitations(UnixMillis::wall()).await?)
    }

    /// Ends the invitation with this [`OpenInvitation::name`].
    pub async fn end_invitation(&self, name: &str) -> Result<(), Error> {
        Ok(self.store.end_invitation(name).await?)
    }

    /// Makes a link by the admin `by` that sets a new password for `user`, and ends earlier ones. None if the
    /// account cannot be used.
    pub async fn make_reset_link(&self, by: UserId, user: UserId) -> Result<Option<Token>, Error> {
        self.make_link(by, Some(user), None, RESET_LIFETIME).await
    }

    async fn make_link(
        &self,
        made_by: UserId,
        account: Option<UserId>,
        note: Option<String>,
        lifetime: Duration,
    ) -> Result<Option<Token>, Error> {
        let (token, now) = (Token::generate(), UnixMillis::wall());
        let link = NewLink {
            token_hash: token.hash().to_string(),
            account,
            made_by,
            note,
            created_at: now,
            expires_at: now.plus(lifetime),
        };
        Ok(self.store.create_link(&link).await?.then_some(token))
    }

    /// The e-mail of the account whose password this link can set.
    pub async fn reset_link(&self, token: &Token) -> Result<Option<String>, Error> {
        Ok(self.store.reset_link(&token.hash().to_string(), UnixMillis::wall()).await?)
    }

    /// Sets the password of the account of a link, and ends its sessions. None if the link was used or has expired.
    pub async fn use_reset_link(
        &self,
        token: &Token,
        new: Password,
        from: Option<IpAddr>,
    ) -> Result<Option<UserId>, Error> {
        // Checked before the hash is made, so that a made-up link costs little.
        if self.reset_link(token).await?.is_none() {
            return Ok(None);
        }
        let hash = self.hasher.hash(new, from).await?;
        let user = self.store.use_reset_link(&token.hash().to_string(), &hash, UnixMillis::wall()).await?;
        if let Some(user) = user {
            self.changed(&AccessChange::Sessions(user));
        }
        Ok(user)
    }

    /// Disables an account: its sessions and tokens end at once.
    pub async fn disable(&self, user: UserId) -> Result<AdminChange, Error> {
        let change = self.store.disable_account(user, UnixMillis::now()).await?;
        if change == AdminChange::Done {
            self.changed(&AccessChange::Account(user));
        }
        Ok(change)
    }

    /// Returns false if there is no such account.
    pub async fn enable(&self, user: UserId) -> Result<bool, Error> {
        Ok(self.store.enable_account(user).await?)
    }

    /// For the operator: gives the role of an admin to an account, or takes it away.
    pub async fn set_admin(&self, email: &Email, is_admin: bool) -> Result<AdminChange, Error> {
        Ok(self.store.set_admin(email.as_str(), is_admin).await?)
    }
}
