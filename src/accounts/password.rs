//! Passwords and their argon2id hashes.

use std::sync::Arc;

use argon2::{
    Argon2,
    password_hash::{Error as HashError, PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::{sync::Semaphore, task};

use super::Error;

/// A password that an account may have.
#[derive(Clone, Debug)]
pub struct Password(SecretString);

/// A password that no account may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPassword {
    #[error("shorter than {} characters", Password::MIN_CHARACTERS)]
    TooShort,
    #[error("longer than {} bytes", Password::MAX_BYTES)]
    TooLong,
}

impl Password {
    /// Length is what makes a password strong, so it is the only rule; eight characters is the
    /// least that NIST SP 800-63B allows anywhere.
    pub const MIN_CHARACTERS: usize = 8;
    /// Room for any passphrase or generated password, and an end to what a form can make us hash.
    pub const MAX_BYTES: usize = 1024;
}

impl TryFrom<SecretString> for Password {
    type Error = InvalidPassword;

    fn try_from(secret: SecretString) -> Result<Self, Self::Error> {
        let text = secret.expose_secret();
        if text.len() > Self::MAX_BYTES {
            Err(InvalidPassword::TooLong)
        } else if text.chars().count() < Self::MIN_CHARACTERS {
            Err(InvalidPassword::TooShort)
        } else {
            Ok(Self(secret))
        }
    }
}

/// A hash takes 19 MB and tens of milliseconds of one core (argon2's defaults, OWASP's first choice
/// of parameters): two at once keep the memory small and leave the other cores to the rows.
const HASHES_AT_ONCE: usize = 2;

/// Hashes passwords, a few at a time.
#[derive(Debug)]
pub(super) struct Hasher {
    slots: Arc<Semaphore>,
}

impl Hasher {
    pub fn new() -> Self {
        Self { slots: Arc::new(Semaphore::new(HASHES_AT_ONCE)) }
    }

    /// The PHC string of `password` with a random salt.
    pub async fn hash(&self, Password(password): Password) -> Result<String, Error> {
        self.run(move || {
            Ok(Argon2::default().hash_password(password.expose_secret().as_bytes())?.to_string())
        })
        .await
    }

    /// Whether `attempt` is the password that `stored` (a PHC string) was made of. Without a stored
    /// hash the answer is no, and takes as long to give: nobody learns from the clock who has an account.
    pub async fn verify(&self, attempt: SecretString, stored: Option<String>) -> Result<bool, Error> {
        self.run(move || {
            let attempt = attempt.expose_secret().as_bytes();
            let Some(stored) = stored else {
                Argon2::default().hash_password(attempt)?;
                return Ok(false);
            };
            let hash = PasswordHash::new(&stored).map_err(HashError::from)?;
            match Argon2::default().verify_password(attempt, &hash) {
                Ok(()) => Ok(true),
                Err(HashError::PasswordInvalid) => Ok(false),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    /// The slot goes into the work: a visitor who hangs up frees it only when the hash is done.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let slot = Arc::clone(&self.slots).acquire_owned().await.expect("the semaphore is never closed");
        task::spawn_blocking(move || {
            let _slot = slot;
            work()
        })
        .await?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Result<Password, InvalidPassword> {
        Password::try_from(SecretString::from(text))
    }

    #[test]
    fn length_is_the_only_rule() {
        assert_eq!(password("seven 7").unwrap_err(), InvalidPassword::TooShort);
        assert!(password("eight  8").is_ok());
        assert_eq!(password(&"é".repeat(7)).unwrap_err(), InvalidPassword::TooShort);
        assert!(password(&"x".repeat(1024)).is_ok());
        assert_eq!(password(&"x".repeat(1025)).unwrap_err(), InvalidPassword::TooLong);
    }

    #[tokio::test]
    async fn a_hash_is_argon2id_and_opens_to_its_password_only() {
        let hasher = Hasher::new();
        let hash = hasher.hash(password("correct horse").unwrap()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(hasher.verify("correct horse".into(), Some(hash.clone())).await.unwrap());
        assert!(!hasher.verify("Correct horse".into(), Some(hash)).await.unwrap());
        assert!(!hasher.verify("correct horse".into(), None).await.unwrap());
    }
}
