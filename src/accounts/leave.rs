//! Deleting an account. It ends at once for its user; its imports are cancelled and deleted in the background, also
//! after a restart, and the account's row goes last.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use secrecy::SecretString;
use tokio::{sync::Notify, time::sleep};

use super::{Accounts, Email, Error, SignInError, told::AccessChange};
use crate::{
    base::{ids::UserId, time::UnixMillis},
    store::roles::AdminChange,
};

/// How often a request looks whether the deletion is done.
const LOOKS_EVERY: Duration = Duration::from_millis(50);

/// Why an account is not deleted.
#[derive(Debug, thiserror::Error)]
pub enum LeaveError {
    /// The other accounts would have no admin.
    #[error("this is the account of the last admin")]
    LastAdmin,
    #[error(transparent)]
    Unconfirmed(#[from] SignInError),
}

impl From<Error> for LeaveError {
    fn from(error: Error) -> Self {
        Self::Unconfirmed(error.into())
    }
}

impl Accounts {
    /// Begins to delete the account of `user`, which can no longer be used.
    pub async fn leave(
        &self,
        (user, email): (UserId, &Email),
        password: SecretString,
        from: Option<IpAddr>,
    ) -> Result<(), LeaveError> {
        self.confirm(user, email, password, from).await?;
        let begun = self.store.begin_account_deletion(user, UnixMillis::now()).await.map_err(Error::from)?;
        match begun {
            AdminChange::IsLastAdmin => return Err(LeaveError::LastAdmin),
            AdminChange::Done | AdminChange::NotThere => {}
        }
        self.changed(&AccessChange::Leaving(user));
        Ok(())
    }

    /// Waits until an account is deleted, at most `patience`. Returns whether it is.
    pub async fn has_left(&self, user: UserId, patience: Duration) -> Result<bool, Error> {
        let start = Instant::now();
        loop {
            let is_gone = !self.store.is_account(user).await?;
            if is_gone || start.elapsed() >= patience {
                return Ok(is_gone);
            }
            sleep(LOOKS_EVERY).await;
        }
    }

    /// Notified when an account may have to be deleted.
    #[must_use]
    pub fn somebody_leaves(&self) -> &Notify {
        &self.leaving
    }

    /// The accounts whose imports are to be deleted, and then they themselves.
    pub async fn leaving(&self) -> Result<Vec<UserId>, Error> {
        Ok(self.store.accounts_in_deletion().await?)
    }

    /// Deletes the account of `user`, who has no imports any more. Returns false if one was added in the meantime.
    pub async fn delete(&self, user: UserId) -> Result<bool, Error> {
        Ok(self.store.finish_account_deletion(user).await?)
    }
}
