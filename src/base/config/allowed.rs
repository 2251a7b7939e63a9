//! The networks and ports that an import may reach although they are private or not the web's ports.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use ipnet::IpNet;

/// `RUNBOARD_ALLOW_ADDRESSES`: networks in CIDR notation or single addresses, separated by commas, each with
/// a port unless it is 80 or 443: `10.0.0.0/8`, `192.168.1.5:8080`, `127.0.0.1/32:9000`, `[fd00::]/8:8443`.
/// An IPv6 network with a port is written in brackets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedAddresses(Vec<Allowed>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Allowed {
    network: IpNet,
    /// None: ports 80 and 443.
    port: Option<u16>,
}

/// The text is not a list of networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a list of networks with optional ports")]
pub struct NotAddresses;

impl AllowedAddresses {
    /// The ports of http and https, which are always allowed.
    pub const WEB_PORTS: [u16; 2] = [80, 443];

    /// Whether an operator has named the host at `address`, on any port.
    #[must_use]
    pub fn contain_host(&self, address: IpAddr) -> bool {
        self.0.iter().any(|allowed| allowed.network.contains(&address))
    }

    /// Whether an operator has named `address`.
    #[must_use]
    pub fn contain(&self, address: SocketAddr) -> bool {
        self.0.iter().any(|allowed| {
            let on_port = match allowed.port {
                Some(port) => port == address.port(),
                None => Self::WEB_PORTS.contains(&address.port()),
            };
            on_port && allowed.network.contains(&address.ip())
        })
    }
}

impl FromStr for AllowedAddresses {
    type Err = NotAddresses;

    /// An empty text allows nothing.
    fn from_str(text: &str) -> Result<Self, NotAddresses> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        text.split(',')
            .map(|entry| allowed(entry.trim()).ok_or(NotAddresses))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn allowed(entry: &str) -> Option<Allowed> {
    let (network, port) = match entry.strip_prefix('[') {
        Some(bracketed) => {
            let (address, rest) = bracketed.split_once(']')?;
            let (prefix, port) = split_port(rest);
            (network(&format!("{address}{prefix}"))?, port)
        }
        // More than one colon means IPv6, which has no port outside brackets.
        None if entry.matches(':').count() > 1 => (network(entry)?, None),
        None => {
            let (address, port) = split_port(entry);
            (network(address)?, port)
        }
    };
    let port = match port {
        Some(port) => Some(port.parse().ok().filter(|port| *port != 0)?),
        None => None,
    };
    Some(Allowed { network, port })
}

fn split_port(text: &str) -> (&str, Option<&str>) {
    text.split_once(':').map_or((text, None), |(before, port)| (before, Some(port)))
}

/// A network; a single address is a network of one.
fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(list: &str, address: &str) -> bool {
        list.parse::<AllowedAddresses>().unwrap().contain(address.parse().unwrap())
    }

    #[test]
    fn a_network_without_a_port_is_open_on_the_ports_of_the_web() {
        for (list, address, expected) in [
            ("", "10.1.2.3:80", false),
            ("10.0.0.0/8", "10.1.2.3:80", true),
            ("10.0.0.0/8", "10.1.2.3:443", true),
            ("10.0.0.0/8", "10.1.2.3:8080", false),
            ("10.0.0.0/8", "11.1.2.3:80", false),
            ("10.0.0.0/8, fd00::/8", "[fd12::1]:443", true),
            ("[fd00::]/8", "[fd12::1]:443", true),
            ("fd00::1", "[fd00::1]:80", true),
            ("fd00::1", "[fd00::2]:80", false),
        ] {
            assert_eq!(contains(list, address), expected, "{list} and {address}");
        }
    }

    #[test]
    fn a_port_that_is_named_is_open_alone() {
        for (list, address, expected) in [
            ("192.168.1.5:8080", "192.168.1.5:8080", true),
            ("192.168.1.5:8080", "192.168.1.5:80", false),
            ("192.168.1.5:8080", "192.168.1.6:8080", false),
            ("127.0.0.1/32:9000", "127.0.0.1:9000", true),
            ("[fd00::]/8:8443", "[fd12::1]:8443", true),
            ("[fd00::]/8:8443", "[fd12::1]:443", false),
            ("[::1]:9000,0.0.0.0/0:8080", "93.184.216.34:8080", true),
        ] {
            assert_eq!(contains(list, address), expected, "{list} and {address}");
        }
    }

    #[test]
    fn an_ipv4_network_does_not_contain_its_addresses_in_disguise() {
        assert!(!contains("127.0.0.0/8", "[::ffff:127.0.0.1]:80"));
    }

    #[test]
    fn what_is_no_list_of_networks_is_refused() {
        for text in [
            ",",
            "10.0.0.0/8,",
            "localhost",
            "10.0.0.0/33",
            "10.0.0",
            "10.0.0.1:0",
            "10.0.0.1:65536",
            "10.0.0.1:",
            "[fd00::/8",
            "[fd00::]/8/8",
            "[]:80",
            "http://10.0.0.1",
            "*",
        ] {
            assert_eq!(text.parse::<AllowedAddresses>(), Err(NotAddresses), "{text}");
        }
    }
}
