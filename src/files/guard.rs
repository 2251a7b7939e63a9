//! Decides which addresses may be fetched: public ones, and those that the operator allows.
//!
//! A user who enters an address makes Runboard connect to it from inside the operator's network. So each
//! resolved IP address is checked, at the first request and at every redirect, and only a checked one is
//! connected to ([`connect`](super::connect)). An address that is not known to be public is refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{Ipv4Net, Ipv6Net};
use url::Url;

use crate::base::config::AllowedAddresses;

/// Why an address is not fetched. The text is part of a sentence for people. It does not reveal what a name
/// resolves to, because that could be a detail of a private network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressRefusal {
    #[error("the address does not begin with http:// or https://")]
    Scheme,
    #[error("the address contains a user name or password, which Runboard does not send")]
    UserInfo,
    /// A host with a trailing dot is the same host, but software that compares names may not treat it so.
    #[error("the address's host name ends with a dot, which is not allowed")]
    TrailingDot,
    #[error("this address is on a private network. Ask the operator to allow it")]
    NotPublic,
    #[error("the address uses port {0}; only ports 80 and 443 are allowed")]
    Port(u16),
    /// The host is not public, and the operator allows only other ports of it.
    #[error("port {0} of this address is not allowed. Ask the operator to allow it")]
    PrivatePort(u16),
}

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(a: u16, b: u16, c: u16, length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), length)
}

/// IANA's registry of IPv4 special-purpose addresses (RFC 6890) without its global ones, multicast, and the
/// address that Azure reserves for its host.
const NOT_PUBLIC_V4: [Ipv4Net; 17] = [
    v4(0, 0, 0, 0, 8),          // "this network", unspecified
    v4(10, 0, 0, 0, 8),         // private
    v4(100, 64, 0, 0, 10),      // carrier-grade NAT; a cloud's metadata at 100.100.100.200
    v4(127, 0, 0, 0, 8),        // loopback
    v4(168, 63, 129, 16, 32),   // Azure's host, from inside any of its machines
    v4(169, 254, 0, 0, 16),     // link-local; most clouds' metadata at 169.254.169.254
    v4(172, 16, 0, 0, 12),      // private
    v4(192, 0, 0, 0, 24),       // protocol assignments
    v4(192, 0, 2, 0, 24),       // documentation
    v4(192, 88, 99, 0, 24),     // relays of 6to4
    v4(192, 168, 0, 0, 16),     // private
    v4(198, 18, 0, 0, 15),      // benchmarks
    v4(198, 51, 100, 0, 24),    // documentation
    v4(203, 0, 113, 0, 24),     // documentation
    v4(224, 0, 0, 0, 4),        // multicast
    v4(240, 0, 0, 0, 4),        // reserved
    v4(255, 255, 255, 255, 32), // broadcast
];

/// All global unicast addresses of IPv6. Loopback, mapped and translated IPv4, unique local, link-local,
/// site-local and multicast addresses are outside.
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 0, 3);

/// The parts of [`GLOBAL_V6`] that are not public.
const NOT_PUBLIC_V6: [Ipv6Net; 4] = [
    v6(0x2001, 0, 0, 23),     // protocol assignments: Teredo, benchmarks, ORCHID
    v6(0x2001, 0xdb8, 0, 32), // documentation
    v6(0x2002, 0, 0, 16),     // 6to4: an IPv4 address in disguise
    v6(0x3fff, 0, 0, 20),     // documentation
];

/// NAT64's well-known prefix (RFC 6052), through which an IPv6-only network reaches public IPv4 addresses.
const NAT64: Ipv6Net = v6(0x64, 0xff9b, 0, 96);

/// Checks an address before it is resolved.
pub(super) fn check_url(url: &Url) -> Result<(), AddressRefusal> {
    if !matches!(url.scheme(), "http" | "https") {
        Err(AddressRefusal::Scheme)
    } else if !url.username().is_empty() || url.password().is_some() {
        Err(AddressRefusal::UserInfo)
    } else if url.host_str().is_some_and(|host| host.ends_with('.')) {
        Err(AddressRefusal::TrailingDot)
    } else {
        Ok(())
    }
}

/// Checks an IP address that will be connected to.
pub(super) fn check(address: SocketAddr, allowed: &AllowedAddresses) -> Result<(), AddressRefusal> {
    if allowed.contain(address) {
        Ok(())
    } else if !is_public(address.ip()) {
        let is_host_allowed = allowed.contain_host(address.ip());
        Err(if is_host_allowed {
            AddressRefusal::PrivatePort(address.port())
        } else {
            AddressRefusal::NotPublic
        })
    } else if !AllowedAddresses::WEB_PORTS.contains(&address.port()) {
        Err(AddressRefusal::Port(address.port()))
    } else {
        Ok(())
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) if NAT64.contains(&address) => {
            let [.., a, b, c, d] = address.octets();
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        IpAddr::V6(address) => {
            GLOBAL_V6.contains(&address) && !NOT_PUBLIC_V6.iter().any(|network| network.contains(&address))
        }
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !NOT_PUBLIC_V4.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use url::Host;

    use super::*;

    /// The verdict on an address whose host is an IP address in any notation.
    fn verdict(address: &str) -> Result<(), AddressRefusal> {
        let url = Url::parse(address).unwrap();
        check_url(&url)?;
        let ip = match url.host().unwrap() {
            Host::Ipv4(ip) => IpAddr::V4(ip),
            Host::Ipv6(ip) => IpAddr::V6(ip),
            Host::Domain(name) => panic!("{address}: {name} is a name"),
        };
        check(SocketAddr::new(ip, url.port_or_known_default().unwrap()), &AllowedAddresses::default())
    }

    #[test]
    fn public_addresses_on_the_ports_of_the_web_are_fetched() {
        for address in [
            "http://93.184.216.34/a.csv",
            "https://93.184.216.34/a.csv",
            "http://93.184.216.34:443/",
            "https://[2606:2800:220:1:248:1893:25c8:1946]/",
            "http://172.15.255.255/",
            "http://172.32.0.0/",
            "http://100.63.255.255/",
            "http://100.128.0.0/",
            "http://223.255.255.255/",
            // 93.184.216.34 behind NAT64.
            "http://[64:ff9b::5db8:d822]/",
        ] {
            assert_eq!(verdict(address), Ok(()), "{address}");
        }
    }

    #[test]
    fn what_is_not_public_is_refused_in_every_spelling() {
        for host in [
            // Loopback and unspecified, also in decimal, octal, hex, abbreviated, with a trailing dot, and in
            // other digits.
            "127.0.0.1",
            "127.255.255.254",
            "127.1",
            "127.0.1",
            "2130706433",
            "017700000001",
            "0x7f000001",
            "0x7f.0.0.1",
            "0177.0.0.1",
            "0177.0x0.0.1",
            "127.0.0.1.",
            "１２７.0.0.1",
            "127。0。0。1",
            "%31%32%37.0.0.1",
            "0.0.0.0",
            "0",
            "0.1.2.3",
            "[::1]",
            "[0:0:0:0:0:0:0:1]",
            "[::]",
            // Private, carrier-grade NAT, link-local, metadata.
            "10.0.0.1",
            "10.255.255.255",
            "0xa.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "3232235521",
            "100.64.0.1",
            "100.127.255.255",
            "100.100.100.200",
            "169.254.0.1",
            "169.254.169.254",
            "2852039166",
            "0xa9fea9fe",
            "0251.0376.0251.0376",
            "168.63.129.16",
            // Protocol assignments, documentation, benchmarks, multicast, reserved, broadcast.
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            // IPv4 in IPv6: compatible, mapped (also a public one), translated, NAT64, 6to4, Teredo.
            "[::127.0.0.1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::ffff:10.0.0.1]",
            "[::ffff:93.184.216.34]",
            "[::ffff:0:127.0.0.1]",
            "[::ffff:0:93.184.216.34]",
            "[64:ff9b::127.0.0.1]",
            "[64:ff9b::10.0.0.1]",
            "[64:ff9b::169.254.169.254]",
            "[64:ff9b:1::93.184.216.34]",
            "[64:ff9b::1:5db8:d822]",
            "[2002:7f00:1::]",
            "[2002:5db8:d822::1]",
            "[2001::1]",
            "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
            // Unique local, metadata, link-local, site-local, multicast, documentation, benchmarks, discard.
            "[fc00::1]",
            "[fdff::1]",
            "[fd00:ec2::254]",
            "[fe80::1]",
            "[febf::1]",
            "[fec0::1]",
            "[ff02::1]",
            "[ff0e::1]",
            "[2001:db8::1]",
            "[3fff::1]",
            "[2001:2::1]",
            "[2001:20::1]",
            "[100::1]",
            "[5f00::1]",
            "[4000::1]",
        ] {
            for address in
                [format!("http://{host}/"), format!("https://{host}/"), format!("http://{host}:8080/")]
            {
                assert_eq!(verdict(&address), Err(AddressRefusal::NotPublic), "{address}");
            }
        }
    }

    #[test]
    fn other_ports_schemes_and_users_are_refused() {
        for (address, refusal) in [
            ("http://93.184.216.34:22/", AddressRefusal::Port(22)),
            ("http://93.184.216.34:8080/", AddressRefusal::Port(8080)),
            ("https://[2606:2800:220:1:248:1893:25c8:1946]:25/", AddressRefusal::Port(25)),
            ("ftp://93.184.216.34/a.csv", AddressRefusal::Scheme),
            ("file://93.184.216.34/etc/passwd", AddressRefusal::Scheme),
            ("gopher://93.184.216.34/", AddressRefusal::Scheme),
            ("http://localhost./", AddressRefusal::TrailingDot),
            ("https://files.example./a.csv", AddressRefusal::TrailingDot),
            ("http://me@93.184.216.34/", AddressRefusal::UserInfo),
            ("http://me:secret@93.184.216.34/", AddressRefusal::UserInfo),
            ("http://:secret@93.184.216.34/", AddressRefusal::UserInfo),
            // The host is the part after the @.
            ("http://93.184.216.34@127.0.0.1/", AddressRefusal::UserInfo),
            ("http://93.184.216.34:80@127.0.0.1/", AddressRefusal::UserInfo),
            ("http://93.184.216.34%2f@127.0.0.1/", AddressRefusal::UserInfo),
        ] {
            assert_eq!(verdict(address), Err(refusal), "{address}");
        }
        // The host is the part before the backslash or the number sign.
        for address in ["http://127.0.0.1\\@93.184.216.34/", "http://127.0.0.1#@93.184.216.34/"] {
            assert_eq!(verdict(address), Err(AddressRefusal::NotPublic), "{address}");
        }
    }

    #[test]
    fn what_the_operator_names_is_open() {
        let allowed: AllowedAddresses = "10.0.0.0/8,127.0.0.1:9000".parse().unwrap();
        for (address, expected) in [
            ("10.1.2.3:80", Ok(())),
            ("127.0.0.1:9000", Ok(())),
            ("127.0.0.1:80", Err(AddressRefusal::PrivatePort(80))),
            ("127.0.0.2:9000", Err(AddressRefusal::NotPublic)),
            ("10.1.2.3:8080", Err(AddressRefusal::PrivatePort(8080))),
            ("[::ffff:10.1.2.3]:80", Err(AddressRefusal::NotPublic)),
            ("93.184.216.34:9000", Err(AddressRefusal::Port(9000))),
        ] {
            assert_eq!(check(address.parse().unwrap(), &allowed), expected, "{address}");
        }
    }
}
