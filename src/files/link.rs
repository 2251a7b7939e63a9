//! Signed links: `/files/{import}?exp=<unix s>&sig=<hex HMAC-SHA256>`.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use url::{Url, form_urlencoded};

use crate::base::{ids::ImportId, time::UnixMillis};

const PATH: &str = "/files/";

/// The installation's key for links, stored in the database.
#[derive(Clone)]
pub struct LinkKey([u8; 32]);

/// A link with a valid signature that has not expired. It grants access to the import's stored file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    pub import: ImportId,
}

impl LinkKey {
    /// How long a link is valid: longer than any run should be queued.
    pub const LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// `{origin}/files/{import}?exp&sig`, with `expires` truncated to the second.
    #[must_use]
    pub fn sign(&self, origin: &Url, import: ImportId, expires: UnixMillis) -> Url {
        let exp = expires.0 / 1000;
        let sig = hex::encode(self.mac(import, exp).finalize().into_bytes());
        let mut url = origin.clone();
        url.set_path(&format!("{PATH}{import}"));
        url.set_query(Some(&format!("exp={exp}&sig={sig}")));
        url
    }

    /// The link in `path` and `query`, if its signature is valid at `now`. The origin is not checked: the
    /// signature alone grants access, under whatever address Runboard is reached.
    #[must_use]
    pub fn verify(&self, path: &str, query: &str, now: UnixMillis) -> Option<Link> {
        let import: ImportId = path.strip_prefix(PATH)?.parse().ok()?;
        let value = |name: &str| {
            form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value)
        };
        let exp: i64 = value("exp")?.parse().ok()?;
        let sig = hex::decode(value("sig")?.as_ref()).ok()?;
        // Compares in constant time.
        self.mac(import, exp).verify_slice(&sig).ok()?;
        (now.0 / 1000 < exp).then_some(Link { import })
    }

    /// Signs "import id, line feed, expiry". The line feed keeps the two parts apart.
    fn mac(&self, import: ImportId, exp: i64) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(format!("{import}\n{exp}").as_bytes());
        mac
    }
}
