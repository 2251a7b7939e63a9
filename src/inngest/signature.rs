//! Signatures of calls and answers: `t=<unix s>&s=<hex HMAC-SHA256>` in `x-inngest-signature`.
//!
//! The HMAC's key is the ASCII text of the signing key without its `signkey-<env>-` prefix. Its message is
//! the raw body followed by the decimal timestamp. Only the raw bytes can be verified: a body that was parsed
//! and serialised again has another signature.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::base::time::UnixMillis;

pub const HEADER: &str = "x-inngest-signature";

/// The largest difference between a signature's time and ours (the SDK specification's five minutes).
const WINDOW: Duration = Duration::from_secs(5 * 60);

/// The signing keys that we share with a server, in the order in which they are tried. The second is the
/// fallback during a key rotation. Empty for a dev server.
#[derive(Clone, Debug, Default)]
pub struct SigningKeys(Vec<SecretString>);

impl SigningKeys {
    /// The first key.
    #[must_use]
    pub fn current(&self) -> Option<&SecretString> {
        self.0.first()
    }

    #[must_use]
    pub fn fallback(&self) -> Option<&SecretString> {
        self.0.get(1)
    }

    pub fn iter(&self) -> impl Iterator<Item = &SecretString> {
        self.0.iter()
    }

    /// The key with which [`verify`] accepts `header` as a signature of `body`.
    #[must_use]
    pub fn verify(&self, header: &str, body: &[u8], now: UnixMillis) -> Option<&SecretString> {
        self.0.iter().find(|key| verify(header, body, key, now))
    }
}

impl From<Vec<SecretString>> for SigningKeys {
    fn from(keys: Vec<SecretString>) -> Self {
        Self(keys)
    }
}

impl From<SecretString> for SigningKeys {
    fn from(key: SecretString) -> Self {
        Self(vec![key])
    }
}

/// The header's value for `body` at `now`.
#[must_use]
pub fn sign(body: &[u8], key: &SecretString, now: UnixMillis) -> String {
    let seconds = now.0 / 1000;
    format!("t={seconds}&s={}", hex::encode(mac(body, key, &seconds.to_string()).finalize().into_bytes()))
}

/// Whether `header` is a signature of `body` by `key`, made within five minutes of `now`. Compares in
/// constant time.
#[must_use]
pub fn verify(header: &str, body: &[u8], key: &SecretString, now: UnixMillis) -> bool {
    read(header, now).is_some_and(|(time, signature)| mac(body, key, time).verify_slice(&signature).is_ok())
}

/// Whether `header` could be a signature of some body, made within five minutes of `now`. Checked before a
/// body is read.
#[must_use]
pub fn may_hold(header: &str, now: UnixMillis) -> bool {
    read(header, now).is_some()
}

/// The time as text, and the signature's bytes. None if the time is outside the window.
fn read(header: &str, now: UnixMillis) -> Option<(&str, Vec<u8>)> {
    let mut time = None;
    let mut signature = None;
    for pair in header.split('&') {
        match pair.split_once('=') {
            Some(("t", value)) => time = Some(value),
            Some(("s", value)) => signature = hex::decode(value).ok(),
            _ => {}
        }
    }
    let age = (now.0 / 1000).abs_diff(time?.parse().ok()?);
    (age <= WINDOW.as_secs()).then_some((time?, signature?))
}

/// A signing key as a REST bearer token: the SHA-256 of the hex-decoded key, in hex, with the prefix kept.
#[must_use]
pub fn bearer(key: &SecretString) -> String {
    let (prefix, key) = split_prefix(key.expose_secret());
    match hex::decode(key) {
        Ok(bytes) => format!("{prefix}{}", hex::encode(Sha256::digest(bytes))),
        // A key that is not hex, which a dev server accepts, is used unchanged.
        Err(_) => format!("{prefix}{key}"),
    }
}

/// `signkey-prod-12ab` becomes `("signkey-prod-", "12ab")`.
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

#[cfg(test)]
mod tests {
    use super::*;

    // Sent by a self-hosted server with this signing key, and answered by an SDK.
    const KEY: &str = "deadbeefcafebabe0123456789abcdef";
    const SYNC: &str = r#"{"url":"http://localhost:3011/api/inngest"}"#;
    const SYNC_SIGNATURE: &str =
        "t=1795467832&s=8441d74ffe7b0cd0e3c4834f9f0cfbeb3d3d53127fde208e4c05997cdb838be9";
    const CALL: &str = r#"{"ctx":{"attempt":0,"disable_immediate_execution":false,"env":"","fn_id":"9fcb7cff-b8e9-5807-b80b-9e8200977ba4","generation_id":1,"job_id":"1tt8b7q1aa9dc","max_attempts":4,"qi_id":"MXR0OGI3cTFhYTlkYzo6ZGVmYXVsdA==","request_id":"01M8532JG1DZEHE9CZNBPAJ53K","run_id":"01M8532JEX1SP78PSANCV2SARF","stack":{"current":0,"stack":[]},"step_id":"step","use_api":false},"defers":{},"event":{"data":{"file":"a.csv"},"id":"01M8532J92FZH0CMQKTANHBB4W","name":"imports/csv.uploaded","ts":1795467331874,"user":{}},"events":[{"data":{"file":"a.csv"},"id":"01M8532J92FZH0CMQKTANHBB4W","name":"imports/csv.uploaded","ts":1795467331874,"user":{}}],"steps":{},"use_api":false,"version":-1}"#;
    const CALL_SIGNATURE: &str =
        "t=1795467332&s=b37b05d44d3c7a4badacf2d2682facfafa53554f985919acc8e0e8629797f5f5";
    const ANSWER: &str = r#"{"status":"success","processedItems":98,"failedItems":2}"#;
    const ANSWER_SIGNATURE: &str =
        "t=1795467332&s=d04145c6670a3eff313f708531ee7934d1e3505bc9bd85ad026d9505bf41373c";

    fn key(text: &str) -> SecretString {
        SecretString::from(text)
    }

    fn at(seconds: i64) -> UnixMillis {
        UnixMillis(seconds * 1000)
    }

    #[test]
    fn signs_and_verifies_as_a_real_server_and_sdk_do() {
        for (body, header, seconds) in [
            (SYNC, SYNC_SIGNATURE, 1_795_467_832),
            (CALL, CALL_SIGNATURE, 1_795_467_332),
            (ANSWER, ANSWER_SIGNATURE, 1_795_467_332),
        ] {
            assert_eq!(sign(body.as_bytes(), &key(KEY), at(seconds)), header);
            assert!(verify(header, body.as_bytes(), &key(KEY), at(seconds)), "{header}");
        }
    }

    #[test]
    fn the_prefix_of_a_key_does_not_count() {
        let prefixed = key("signkey-prod-deadbeefcafebabe0123456789abcdef");
        assert_eq!(sign(SYNC.as_bytes(), &prefixed, at(1_795_467_832)), SYNC_SIGNATURE);
    }

    #[test]
    fn another_body_key_time_or_signature_is_refused() {
        let now = at(1_795_467_832);
        let refused = |header: &str, body: &str, with: &str| {
            assert!(!verify(header, body.as_bytes(), &key(with), now), "{header} {body} {with}");
        };
        refused(SYNC_SIGNATURE, &SYNC.replace("3011", "3012"), KEY);
        refused(SYNC_SIGNATURE, SYNC, "deadbeef");
        refused(&SYNC_SIGNATURE.replace("t=1795467832", "t=1795467831"), SYNC, KEY);
        refused(&SYNC_SIGNATURE.replace("be9", "be8"), SYNC, KEY);
        refused(SYNC_SIGNATURE.trim_end_matches('9'), SYNC, KEY);
        for header in ["", "t=1795467832", "t=1795467832&s=", "t=&s=00", "s=00&t=now", "t=1795467832&s=é0"] {
            refused(header, SYNC, KEY);
        }
    }

    #[test]
    fn a_signature_is_good_for_five_minutes_either_way() {
        let made = 1_795_467_832;
        let verdict = |now| verify(SYNC_SIGNATURE, SYNC.as_bytes(), &key(KEY), at(now));
        assert!(verdict(made - 300) && verdict(made + 300));
        assert!(!verdict(made - 301) && !verdict(made + 301));
    }

    #[test]
    fn a_bearer_is_the_hashed_key_that_a_real_server_took() {
        const HASHED: &str = "e7a06416e346c5687d34a002e51549995f886f5465e9ba728f84d9c954b31b81";
        assert_eq!(bearer(&key(KEY)), HASHED);
        assert_eq!(bearer(&key(&format!("signkey-prod-{KEY}"))), format!("signkey-prod-{HASHED}"));
        assert_eq!(bearer(&key("local")), "local");
    }
}
