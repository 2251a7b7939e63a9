//! Clients of other servers.

use reqwest::{Client, ClientBuilder, redirect};
use url::{Host, Url};

use super::tls;

/// A client of the servers at these addresses.
pub fn client_of(addresses: &[&Url]) -> ClientBuilder {
    tls::install();
    // A redirect would send the key to another host.
    let mut builder = Client::builder().redirect(redirect::Policy::none());
    if addresses.iter().any(|url| is_loopback(url)) {
        // A proxy would look for the server on the proxy's own machine.
        builder = builder.no_proxy();
    }
    if addresses.iter().all(|url| url.scheme() == "http") {
        // Loading the machine's certificates fails if it has none, and plain http needs none.
        builder = builder.tls_certs_only([]);
    }
    builder
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
