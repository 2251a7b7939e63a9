//! The secret itself: `rb_`, 32 random characters, and a checksum of 6.
//!
//! Secret scanners recognise it by its prefix and its checksum, as they do with GitHub's tokens, whose form
//! this is: the CRC-32 of the random part in base 62.

use flate2::Crc;
use hmac::{Hmac, KeyInit, Mac};
use rand::distr::{Alphanumeric, SampleString};
use sha2::{Digest, Sha256};

use crate::accounts::token::TokenHash;

const PREFIX: &str = "rb_";

/// 190 bits.
const RANDOM: usize = 32;

/// 62^6 is more than 2^32.
const CHECKSUM: usize = 6;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The secret of a token. It has no `Debug`, so that no log shows it.
#[derive(Clone)]
pub struct ApiToken(String);

impl ApiToken {
    #[must_use]
    pub(super) fn generate() -> Self {
        let random = Alphanumeric.sample_string(&mut rand::rng(), RANDOM);
        Self(format!("{PREFIX}{random}{}", checksum(&random)))
    }

    /// The secret that follows from `parts` and a key. Who does not know both learns nothing of it.
    #[must_use]
    pub(super) fn derived(key: &[u8], parts: &[&str]) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part.as_bytes());
        }
        // 256 is no multiple of 62, which costs less than a bit of the 190.
        let bytes = mac.finalize().into_bytes();
        let random: String = bytes.iter().map(|byte| char::from(DIGITS[usize::from(*byte) % 62])).collect();
        Self(format!("{PREFIX}{random}{}", checksum(&random)))
    }

    /// None if `text` does not have the form of a token or its checksum is wrong, as after a typing error.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (random, sum) = text.strip_prefix(PREFIX)?.split_at_checked(RANDOM)?;
        let is_good = random.bytes().all(|byte| byte.is_ascii_alphanumeric()) && sum == checksum(random);
        is_good.then(|| Self(text.to_owned()))
    }

    /// The secret, for its holder.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub(super) fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0.as_bytes()).into())
    }
}

fn checksum(random: &str) -> String {
    let mut crc = Crc::new();
    crc.update(random.as_bytes());
    let mut rest = crc.sum();
    let mut digits = ['0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = char::from(DIGITS[(rest % 62) as usize]);
        rest /= 62;
    }
    digits.iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_text() {
        let token = ApiToken::generate();
        assert_eq!(token.expose().len(), 41);
        let again = ApiToken::parse(token.expose()).unwrap();
        assert_eq!((again.expose(), again.hash()), (token.expose(), token.hash()));
        assert_ne!(ApiToken::generate().expose(), token.expose());
    }

    #[test]
    fn the_checksum_is_the_crc_in_base_62() {
        let mut crc = Crc::new();
        crc.update(b"123456789");
        assert_eq!(crc.sum(), 0xcbf4_3926, "the check value of CRC-32");
        assert_eq!(checksum("123456789"), "3jZRME");
        assert_eq!(checksum(""), "000000");
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let good = ApiToken::generate().expose().to_owned();
        let typo = |at: usize| {
            let other = if good.as_bytes()[at] == b'a' { "b" } else { "a" };
            format!("{}{other}{}", &good[..at], &good[at + 1..])
        };
        let cut = &good[..good.len() - 1];
        for text in ["", "rb_", cut, &format!("{good}0"), &good[3..], &typo(3), &typo(34), &typo(40)] {
            assert!(ApiToken::parse(text).is_none(), "{text}");
        }
        let foreign = format!("rb_{}é{}", "0".repeat(31), "0".repeat(6));
        assert!(ApiToken::parse(&foreign).is_none());
        let swapped = good.replacen("rb_", "RB_", 1);
        assert!(ApiToken::parse(&swapped).is_none());
    }
}
