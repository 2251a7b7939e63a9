//! Connects to other servers, and only to IP addresses that the [`guard`] has checked.

use std::net::{IpAddr, SocketAddr};

use futures_util::future;
use reqwest::{
    Client,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
};
use url::{Host, Url};

use super::guard::{self, AddressRefusal};
use crate::base::{config::AllowedAddresses, tls};

/// Why an address is not connected to. The text is part of a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error(transparent)]
    Refused(#[from] AddressRefusal),
    #[error("the host {0} was not found")]
    NameNotFound(String),
    #[error("the address has no host")]
    NoHost,
}

/// Resolves `url`. A single forbidden IP address refuses all: a public name never has one.
pub(super) async fn resolve(url: &Url, allowed: &AllowedAddresses) -> Result<Vec<SocketAddr>, TargetError> {
    guard::check_url(url)?;
    let port = url.port_or_known_default().ok_or(AddressRefusal::Scheme)?;
    let addresses: Vec<SocketAddr> = match url.host() {
        Some(Host::Ipv4(ip)) => vec![(IpAddr::V4(ip), port).into()],
        Some(Host::Ipv6(ip)) => vec![(IpAddr::V6(ip), port).into()],
        Some(Host::Domain(name)) => match tokio::net::lookup_host((name, port)).await {
            Ok(addresses) => addresses.collect(),
            Err(error) => {
                tracing::debug!(%error, name, "the host name did not resolve");
                return Err(TargetError::NameNotFound(name.to_owned()));
            }
        },
        None => return Err(TargetError::NoHost),
    };
    for address in &addresses {
        guard::check(*address, allowed)?;
    }
    Ok(addresses)
}

/// A client for one request, which follows no redirect. It connects to `addresses` for any name, so that a second DNS
/// lookup cannot return an address that was not checked.
pub(super) fn client(url: &Url, addresses: Vec<SocketAddr>) -> Result<Client, reqwest::Error> {
    tls::install();
    let mut builder = Client::builder()
        .user_agent(concat!("runboard/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        // A proxy would resolve the name itself, and its result could not be checked.
        .no_proxy()
        .dns_resolver(Pinned(addresses));
    if url.scheme() == "http" {
        // Loading the machine's certificates fails if it has none, and plain http needs none.
        builder = builder.tls_certs_only([]);
    }
    builder.build()
}

#[derive(Clone, Debug)]
struct Pinned(Vec<SocketAddr>);

impl Resolve for Pinned {
    fn resolve(&self, _name: Name) -> Resolving {
        let addresses: Addrs = Box::new(self.0.clone().into_iter());
        Box::pin(future::ready(Ok(addresses)))
    }
}
