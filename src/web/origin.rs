//! Where people reach us.

use std::net::{IpAddr, SocketAddr};

use url::Url;

/// The origin of our pages: the public URL, or the address that is listened on. Never what a
/// `Host` header says.
#[derive(Clone, Debug)]
pub struct PublicOrigin {
    authority: String,
    is_https: bool,
    /// Only this machine reaches us.
    is_loopback: bool,
}

impl PublicOrigin {
    #[must_use]
    pub fn new(public_url: Option<&Url>, listen: SocketAddr) -> Self {
        let is_loopback = listen.ip().is_loopback();
        match public_url {
            Some(url) => {
                Self { authority: url.authority().to_owned(), is_https: url.scheme() == "https", is_loopback }
            }
            None => Self { authority: listen.to_string(), is_https: false, is_loopback },
        }
    }

    /// `host`, or `host:port` unless it is the scheme's own port.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether people may reach us under `authority`, too. An address that only this machine reaches has
    /// no names but its own: under another one a page elsewhere has made its name lead here.
    #[must_use]
    pub fn may_be_called(&self, authority: &str) -> bool {
        let name = authority.rsplit_once(':').map_or(authority, |(name, _)| name);
        let name = name.trim_start_matches('[').trim_end_matches(']');
        let is_local = name.parse::<IpAddr>().map_or(name == "localhost", |address| address.is_loopback());
        is_local || !self.is_loopback
    }

    /// Whether cookies can be kept to encrypted connections.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.is_https
    }
}
