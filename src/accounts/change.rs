//! What users change of their own account, each with their password.

use std::net::IpAddr;

use secrecy::SecretString;

use super::{Accounts, Email, Error, Password, SignInError, told::AccessChange};
use crate::base::ids::UserId;

/// Why an e-mail address was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeEmailError {
    #[error("the e-mail address has an account already")]
    Taken,
    #[error(transparent)]
    Unconfirmed(#[from] SignInError),
}

impl From<Error> for ChangeEmailError {
    fn from(error: Error) -> Self {
        Self::Unconfirmed(error.into())
    }
}

impl Accounts {
    /// Checks that `password` is that of `user`, within the limits of sign-in, so that an unlocked browser does not
    /// allow more guesses than the sign-in page.
    pub async fn confirm(
        &self,
        user: UserId,
        email: &Email,
        password: SecretString,
        from: Option<IpAddr>,
    ) -> Result<(), SignInError> {
        let confirmed = self.sign_in(email, password, from).await?;
        // The e-mail may have got another account in the meantime.
        if confirmed == user { Ok(()) } else { Err(SignInError::WrongCredentials) }
    }

    /// Sets another password and ends all sessions of `user`, also the one that asks, because its cookie may have
    /// been copied.
    pub async fn change_password(
        &self,
        (user, email): (UserId, &Email),
        present: SecretString,
        new: Password,
        from: Option<IpAddr>,
    ) -> Result<(), SignInError> {
        self.confirm(user, email, present, from).await?;
        let hash = self.hasher.hash(new, from).await?;
        self.store.set_password(user, &hash).await.map_err(Error::from)?;
        self.changed(&AccessChange::Sessions(user));
        Ok(())
    }

    /// Sets another e-mail address, to sign in with from now on.
    pub async fn change_email(
        &self,
        (user, email): (UserId, &Email),
        password: SecretString,
        new: &Email,
        from: Option<IpAddr>,
    ) -> Result<(), ChangeEmailError> {
        self.confirm(user, email, password, from).await?;
        if !self.store.change_email(user, new.as_str()).await.map_err(Error::from)? {
            return Err(ChangeEmailError::Taken);
        }
        self.sessions.rename(user, new);
        self.tokens_in_use.end(|grant| grant.user == user);
        self.tell(&AccessChange::Account(user));
        Ok(())
    }
}
