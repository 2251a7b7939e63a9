//! The e-mail address of an account.

use std::{fmt, str::FromStr};

/// An e-mail address, trimmed and in lower case, so that two spellings of one mailbox give one account.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Email(String);

/// The text does not have the shape of an e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an e-mail address")]
pub struct InvalidEmail;

/// The longest address that mail can be sent to (RFC 5321 section 4.5.3.1.3, without the brackets).
const MAX_BYTES: usize = 254;

impl Email {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks only the shape, and accepts what browsers accept. Whether e-mails arrive there is not checked.
impl FromStr for Email {
    type Err = InvalidEmail;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address = text.trim().to_lowercase();
        let (local, domain) = address.rsplit_once('@').ok_or(InvalidEmail)?;
        let local_is_sane = !local.is_empty()
            && !local.contains(|character: char| {
                character == '@' || character.is_whitespace() || character.is_control()
            });
        let domain_is_sane = domain.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|character| character.is_alphanumeric() || character == '-')
        });
        (address.len() <= MAX_BYTES && local_is_sane && domain_is_sane)
            .then_some(Self(address))
            .ok_or(InvalidEmail)
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mailbox_has_one_spelling() {
        assert_eq!(" Ada@Example.ORG\n".parse::<Email>().unwrap().as_str(), "ada@example.org");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@example.org", "a".repeat(MAX_BYTES));
        for text in [
            "",
            "ada",
            "@example.org",
            "ada@",
            "a b@example.org",
            "a@b@c.org",
            "ada@.org",
            "ada@-x.org",
            &long,
        ] {
            assert_eq!(text.parse::<Email>(), Err(InvalidEmail), "{text}");
        }
    }

    #[test]
    fn an_address_inside_the_house_is_fine() {
        for text in ["root@localhost", "ada+csv@mail.example.org", "zoë@bücher.example"] {
            assert!(text.parse::<Email>().is_ok(), "{text}");
        }
    }
}
