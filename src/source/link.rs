//! Signed links: `/files/{import}?exp=<unix s>&sig=<hex HMAC-SHA256>`.

use std::time::Duration;

use url::Url;

use crate::{ids::ImportId, time::UnixMillis};

/// The installation's key for links, kept in the database.
#[derive(Clone)]
pub struct LinkKey([u8; 32]);

/// A link whose signature holds and that has not expired: leave to open the import's stored file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    pub import: ImportId,
}

impl LinkKey {
    /// How long a link holds: longer than any queue should be, shorter than for ever.
    pub const LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// `{origin}/files/{import}?exp&sig`.
    #[must_use]
    pub fn sign(&self, origin: &Url, import: ImportId, expires: UnixMillis) -> Url {
        let _ = (origin, import, expires, self.0);
        todo!()
    }

    /// The link that `path` and `query` are, if its signature holds at `now`. The origin is not looked
    /// at: who has a valid signature may read the file, under whatever address we are reached.
    #[must_use]
    pub fn verify(&self, path: &str, query: &str, now: UnixMillis) -> Option<Link> {
        let _ = (path, query, now);
        todo!()
    }
}
