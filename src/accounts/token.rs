//! Random tokens that grant access to their holder.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// 256 random bits. As text, base64 that needs no escaping in a cookie or a link.
#[derive(Clone)]
pub struct Token([u8; 32]);

/// The SHA-256 of a token, which may be stored. The token is random, so no salt is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TokenHash(pub(super) [u8; 32]);

impl Token {
    #[must_use]
    pub(super) fn generate() -> Self {
        Self(rand::random())
    }

    /// Parses a token; None if `text` does not have the shape of one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        BASE64_URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// The secret itself, for its holder.
    #[must_use]
    pub fn expose(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0)
    }

    #[must_use]
    pub(super) fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0).into())
    }

    /// Compares in constant time.
    #[must_use]
    pub(super) fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl TokenHash {
    /// None if `hex` is not the text of a hash.
    pub(super) fn parse(hex: &str) -> Option<Self> {
        hex::decode(hex).ok()?.try_into().ok().map(Self)
    }
}

/// Hex, as in the table.
impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_text_and_matches_itself_only() {
        let token = Token::generate();
        assert!(Token::parse(&token.expose()).unwrap().matches(&token));
        assert!(!Token::generate().matches(&token));
        for text in
            ["", "short", &format!("{}AAAA", token.expose()), "../../../../../../../../../../../../../"]
        {
            assert!(Token::parse(text).is_none(), "{text}");
        }
    }
}
