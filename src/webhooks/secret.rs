//! The secrets that deliveries are signed with, as Standard Webhooks write them.

use base64::{Engine, prelude::BASE64_STANDARD};
use standardwebhooks::{Webhook as Signer, WebhookError};

/// Standard Webhooks asks for 24 to 64 bytes.
const BYTES: usize = 32;

/// A new secret: `whsec_` and base64.
pub(super) fn generate() -> String {
    format!("whsec_{}", BASE64_STANDARD.encode(rand::random::<[u8; BYTES]>()))
}

/// The value of `webhook-signature`: a signature for each secret.
pub(super) fn signatures<'s>(
    secrets: impl IntoIterator<Item = &'s str>,
    id: &str,
    unix_seconds: i64,
    body: &str,
) -> Result<String, WebhookError> {
    let sign = |secret: &str| Signer::new(secret)?.sign(id, unix_seconds, body.as_bytes());
    let signed = secrets.into_iter().map(sign).collect::<Result<Vec<_>, _>>()?;
    Ok(signed.join(" "))
}
