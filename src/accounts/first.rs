//! The first account, which its operator creates through a one-time link if strangers reach the sign-up too.

use super::{Accounts, Error, SignUp, Token};
use crate::store::{self, accounts::NewAccount};

/// The setting with the token of the link, if several replicas print and accept the same one. Nothing is lost if it is
/// seen there: who reads the database needs no link.
const SETTING: &str = "first_account_token";

impl Accounts {
    /// The token of the one-time link, for the operator, until the first account is created. It is valid
    /// until the next start; with several replicas, until that account is created.
    pub async fn link_token(&self) -> Result<Option<Token>, Error> {
        if self.store.has_account().await? { Ok(None) } else { self.needed_link().await }
    }

    /// Whether no account exists yet and the first one is created by sign-up.
    pub async fn awaits_first(&self) -> Result<bool, Error> {
        Ok(self.sign_up != SignUp::Closed && !self.store.has_account().await?)
    }

    pub async fn has_account(&self) -> Result<bool, Error> {
        Ok(self.store.has_account().await?)
    }

    /// The token that creating the first account needs. None: it needs none.
    pub(super) async fn needed_link(&self) -> Result<Option<Token>, Error> {
        let Some(own) = &self.link_token else { return Ok(None) };
        if self.bus.is_alone() {
            return Ok(Some(own.clone()));
        }
        // Never None for an unreadable one: it would let anybody in.
        let kept = Token::parse(&self.store.setting(SETTING, &own.expose()).await?);
        let corrupt = || store::Error::Corrupt { table: "setting", why: format!("{SETTING} is no token") };
        Ok(Some(kept.ok_or_else(corrupt)?))
    }

    /// Returns false if there is an account already.
    pub(super) async fn create_first(&self, account: &NewAccount) -> store::Result<bool> {
        let is_made = self.store.create_first_account(account).await?;
        if is_made && self.link_token.is_some() && !self.bus.is_alone() {
            // If all accounts should go, the old link must not open the sign-up again.
            let changed = self.store.change_setting(SETTING, &Token::generate().expose()).await;
            if let Err(error) = changed {
                tracing::warn!(%error, "the link of the first account stays valid for a time without accounts");
            }
        }
        Ok(is_made)
    }
}
