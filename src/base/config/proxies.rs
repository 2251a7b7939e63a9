//! The proxies whose `X-Forwarded-For` is trusted.

use std::{net::IpAddr, str::FromStr};

use ipnet::IpNet;

/// `RUNBOARD_TRUSTED_PROXIES`: networks in CIDR notation or single addresses, separated by commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// The text is not a list of networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a list of networks")]
pub struct NotProxies;

impl TrustedProxies {
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The address of the visitor, given the connected `peer` and the values of `X-Forwarded-For`. Each proxy
    /// appends the address that connected to it, so the rightmost address that is not a trusted proxy is the
    /// visitor's. Everything to the left of it can be forged.
    #[must_use]
    pub fn client<'h>(
        &self,
        peer: IpAddr,
        forwarded_for: impl DoubleEndedIterator<Item = &'h str>,
    ) -> IpAddr {
        let mut client = peer.to_canonical();
        let mut hops = forwarded_for.rev().flat_map(|value| value.rsplit(','));
        while self.contain(client) {
            // A proxy that forwards no readable address counts as the visitor itself.
            let Some(hop) = hops.next().and_then(|hop| hop_address(hop.trim())) else { break };
            client = hop;
        }
        client
    }
}

/// An address; some proxies append the port.
fn hop_address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(text, |(inner, _)| inner);
    let address: IpAddr = bare.parse().ok().or_else(|| bare.rsplit_once(':')?.0.parse().ok())?;
    Some(address.to_canonical())
}

impl FromStr for TrustedProxies {
    type Err = NotProxies;

    fn from_str(text: &str) -> Result<Self, NotProxies> {
        let network = |entry: &str| {
            entry
                .parse()
                .ok()
                .or_else(|| entry.parse::<IpAddr>().ok().map(|address| address.to_canonical().into()))
                .ok_or(NotProxies)
        };
        text.split(',').map(|entry| network(entry.trim())).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &str, peer: &str, forwarded_for: &[&str]) -> String {
        let trusted: TrustedProxies = trusted.parse().unwrap();
        trusted.client(peer.parse().unwrap(), forwarded_for.iter().copied()).to_string()
    }

    #[test]
    fn the_rightmost_address_that_is_no_trusted_proxy_is_the_visitor() {
        for (peer, forwarded_for, expected) in [
            ("203.0.113.9", &["198.51.100.1"][..], "203.0.113.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["127.0.0.1, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["192.0.2.7, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &["192.0.2.7", "198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["10.0.0.3,10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", &["2001:db8::1"], "2001:db8::1"),
            ("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("::ffff:10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
        ] {
            assert_eq!(client("10.0.0.0/8", peer, forwarded_for), expected, "{peer} {forwarded_for:?}");
        }
    }

    #[test]
    fn without_trusted_proxies_nothing_is_believed() {
        let client = TrustedProxies::default().client([127, 0, 0, 1].into(), ["198.51.100.1"].into_iter());
        assert_eq!(client.to_string(), "127.0.0.1");
    }

    #[test]
    fn what_is_no_list_of_networks_is_refused() {
        assert!("127.0.0.1, 10.0.0.0/8,fd00::/8".parse::<TrustedProxies>().is_ok());
        for text in ["", ",", "10.0.0.0/8,", "localhost", "10.0.0.0/33", "10.0.0.1:80", "*"] {
            assert_eq!(text.parse::<TrustedProxies>(), Err(NotProxies), "{text}");
        }
    }
}
