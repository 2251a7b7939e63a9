//! The origin under which people reach us.

use std::net::{IpAddr, SocketAddr};

use url::Url;

/// The origin of our pages: the public URL, or the listen address. Never taken from a `Host` header.
#[derive(Clone, Debug)]
pub struct PublicOrigin {
    authority: String,
    /// The scheme of the public URL; None if none is configured.
    scheme: Option<String>,
    /// Only this machine can reach us.
    is_loopback: bool,
    /// Whether people can use `authority`: `0.0.0.0` stands for every address of this machine, but cannot be
    /// typed.
    is_reachable: bool,
}

impl PublicOrigin {
    #[must_use]
    pub fn new(public_url: Option<&Url>, listen: SocketAddr) -> Self {
        let is_loopback = listen.ip().is_loopback();
        match public_url {
            Some(url) => Self {
                authority: url.authority().to_owned(),
                scheme: Some(url.scheme().to_owned()),
                is_loopback,
                is_reachable: true,
            },
            None => Self {
                authority: listen.to_string(),
                scheme: None,
                is_loopback,
                is_reachable: !listen.ip().is_unspecified(),
            },
        }
    }

    /// The address that people type, without its scheme: `runboard.example.org`, `127.0.0.1:8080`. None if
    /// the configuration does not say it.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.is_reachable.then_some(&*self.authority)
    }

    /// Whether a page of `scheme://authority`, whose request names `host`, is one of ours.
    ///
    /// People may reach us under other names than the public one: the host of their requests. A loopback
    /// address has no other names: under another name, a page elsewhere has pointed its own name at us. If
    /// people use https, a page of our host over http is not ours, because it may have been forged on the
    /// way.
    #[must_use]
    pub fn is_ours(&self, scheme: &str, authority: &str, host: Option<&str>) -> bool {
        let is_public = authority.eq_ignore_ascii_case(&self.authority);
        let is_local = is_local(authority);
        let is_asked_by = host.is_some_and(|host| host.eq_ignore_ascii_case(authority));
        let has_scheme = self.scheme.as_ref().is_none_or(|expected| expected.eq_ignore_ascii_case(scheme));
        if is_public {
            return has_scheme;
        }
        is_asked_by && (is_local || (!self.is_loopback && has_scheme))
    }

    /// Whether cookies can be restricted to encrypted connections.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.scheme.as_deref() == Some("https")
    }
}

/// Whether `authority` names the local machine.
fn is_local(authority: &str) -> bool {
    let name = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(address, _)| address),
        None => authority.rsplit_once(':').map_or(authority, |(name, _)| name),
    };
    name.parse::<IpAddr>().map_or(name == "localhost", |address| address.is_loopback())
}
