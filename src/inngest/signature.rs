//! Signatures of calls and answers: `t=<unix s>&s=<hex HMAC-SHA256>` in `x-inngest-signature`.
//!
//! The HMAC's key is the ASCII bytes of the signing key without its `signkey-<env>-` prefix, its
//! message the raw body followed by the decimal timestamp. Verify the raw bytes: what is parsed and
//! written again has another signature.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::time::UnixMillis;

pub const HEADER: &str = "x-inngest-signature";

/// How far a signature's time may lie from ours, either way (the SDK specification's five minutes).
const WINDOW: Duration = Duration::from_secs(5 * 60);

/// The header's value for `body` at `now`.
#[must_use]
pub fn sign(body: &[u8], key: &SecretString, now: UnixMillis) -> String {
    let seconds = now.0 / 1000;
    format!("t={seconds}&s={}", hex(&mac(body, key, &seconds.to_string()).finalize().into_bytes()))
}

/// Whether `header` is a signature of `body` by `key`, made within five minutes of `now`.
/// Compares in constant time.
#[must_use]
pub fn verify(header: &str, body: &[u8], key: &SecretString, now: UnixMillis) -> bool {
    let mut time = None;
    let mut signature = None;
    for pair in header.split('&') {
        match pair.split_once('=') {
            Some(("t", value)) => time = Some(value),
            Some(("s", value)) => signature = from_hex(value),
            _ => {}
        }
    }
    let (Some(time), Some(signature)) = (time, signature) else { return false };
    let Ok(seconds) = time.parse::<i64>() else { return false };
    let age = (now.0 / 1000).abs_diff(seconds);
    age <= WINDOW.as_secs() && mac(body, key, time).verify_slice(&signature).is_ok()
}

/// A signing key as a REST bearer: the SHA-256 of the hex-decoded key, prefix kept, in hex.
#[must_use]
pub fn bearer(key: &SecretString) -> String {
    let (prefix, key) = split_prefix(key.expose_secret());
    match from_hex(key) {
        Some(bytes) => format!("{prefix}{}", hex(&Sha256::digest(bytes))),
        // Not hex (a dev server takes anything): as it is.
        None => format!("{prefix}{key}"),
    }
}

/// `signkey-prod-12ab` is `("signkey-prod-", "12ab")`.
#[must_use]
pub fn split_prefix(key: &str) -> (&str, &str) {
    let Some(rest) = key.strip_prefix("signkey-") else { return ("", key) };
    match rest.find('-') {
        Some(dash) => key.split_at("signkey-".len() + dash + 1),
        None => ("", key),
    }
}

fn mac(body: &[u8], key: &SecretString, seconds: &str) -> Hmac<Sha256> {
    let (_, key) = split_prefix(key.expose_secret());
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(body);
    mac.update(seconds.as_bytes());
    mac
}

#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if digits.len() % 2 != 0 {
        return None;
    }
    let nibble = |digit: u8| (digit as char).to_digit(16).and_then(|value| u8::try_from(value).ok());
    digits.chunks_exact(2).map(|pair| Some(nibble(pair[0])? << 4 | nibble(pair[1])?)).collect()
}
