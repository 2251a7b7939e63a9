//! Where people reach us.

use std::net::SocketAddr;

use url::Url;

/// The origin of our pages: the public URL, or the address that is listened on. Never what a
/// `Host` header says.
#[derive(Clone, Debug)]
pub struct PublicOrigin {
    authority: String,
    is_https: bool,
}

impl PublicOrigin {
    #[must_use]
    pub fn new(public_url: Option<&Url>, listen: SocketAddr) -> Self {
        match public_url {
            Some(url) => Self { authority: url.authority().to_owned(), is_https: url.scheme() == "https" },
            None => Self { authority: listen.to_string(), is_https: false },
        }
    }

    /// `host`, or `host:port` unless it is the scheme's own port.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether cookies can be kept to encrypted connections.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.is_https
    }
}
