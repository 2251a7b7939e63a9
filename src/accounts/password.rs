//! Which passwords are allowed.

use secrecy::{ExposeSecret, SecretString};

/// An allowed password.
#[derive(Clone, Debug)]
pub struct Password(SecretString);

/// Why a password is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPassword {
    #[error("shorter than {} characters", Password::MIN_CHARACTERS)]
    TooShort,
    #[error("longer than {} bytes", Password::MAX_BYTES)]
    TooLong,
    #[error("one of the most common ones")]
    Common,
}

/// One password per line, in lower case: see `common_passwords/README.md`.
const COMMON: &str = include_str!("common_passwords/django-5.2.19.txt");

impl Password {
    /// Eight characters is the minimum that NIST SP 800-63B allows. As it recommends, length and not being
    /// common are the only rules.
    pub const MIN_CHARACTERS: usize = 8;
    /// Long enough for any passphrase or generated password. Bounds what a form can make us hash.
    pub const MAX_BYTES: usize = 1024;

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

impl TryFrom<SecretString> for Password {
    type Error = InvalidPassword;

    fn try_from(secret: SecretString) -> Result<Self, Self::Error> {
        let text = secret.expose_secret();
        if text.len() > Self::MAX_BYTES {
            Err(InvalidPassword::TooLong)
        } else if text.chars().count() < Self::MIN_CHARACTERS {
            Err(InvalidPassword::TooShort)
        } else if COMMON.lines().any(|common| common.eq_ignore_ascii_case(text)) {
            Err(InvalidPassword::Common)
        } else {
            Ok(Self(secret))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Result<Password, InvalidPassword> {
        Password::try_from(SecretString::from(text))
    }

    #[test]
    fn length_is_counted_in_characters_and_bounded_in_bytes() {
        assert_eq!(password("seven 7").unwrap_err(), InvalidPassword::TooShort);
        assert!(password("eight  8").is_ok());
        assert_eq!(password(&"é".repeat(7)).unwrap_err(), InvalidPassword::TooShort);
        assert!(password(&"x".repeat(1024)).is_ok());
        assert_eq!(password(&"x".repeat(1025)).unwrap_err(), InvalidPassword::TooLong);
    }

    #[test]
    fn a_common_password_is_refused_in_any_case() {
        for common in ["password", "12345678", "Password1", "QWERTYUIOP", "iloveyou"] {
            assert_eq!(password(common).unwrap_err(), InvalidPassword::Common, "{common}");
        }
        assert!(password("password of mine").is_ok(), "a password may contain a common word");
    }

    #[test]
    fn the_list_holds_what_no_other_rule_refuses() {
        assert!(COMMON.lines().count() > 8_000);
        for common in COMMON.lines() {
            assert!(common.len() >= Password::MIN_CHARACTERS && common.is_ascii(), "{common:?}");
        }
    }
}
