//! The addresses under which people reach the pages if none is configured.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use url::Url;

use super::StartError;

/// The origins of a listener on `address`. For a listener on all addresses, the addresses from which this
/// machine reaches other networks come before its loopback address.
pub(super) fn origins(address: SocketAddr) -> Result<Vec<Url>, StartError> {
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
    let addresses: Vec<IpAddr> = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => {
            source_address(ANY_V4, FAR_V4).into_iter().chain(loopback).collect()
        }
        IpAddr::V6(ip) if ip.is_unspecified() => {
            let v6 = source_address(ANY_V6, FAR_V6);
            source_address(ANY_V4, FAR_V4).into_iter().chain(v6).chain(loopback).collect()
        }
        ip => vec![ip],
    };
    let origin = |ip| Ok(format!("http://{}", SocketAddr::new(ip, address.port())).parse()?);
    addresses.into_iter().map(origin).collect()
}

const ANY_V4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const ANY_V6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// Addresses for documentation (RFC 5737, RFC 3849), which are on no real network.
const FAR_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const FAR_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

/// The local address from which this machine would send to `far`. Connecting a datagram socket looks up the
/// route and sends nothing. None without a route.
fn source_address(any: IpAddr, far: IpAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((far, 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> Vec<String> {
        let address = address.parse().expect("an address and a port");
        origins(address).expect("origins").iter().map(Url::to_string).collect()
    }

    #[test]
    fn a_listener_on_one_address_is_reached_there_alone() {
        assert_eq!(of("127.0.0.1:8080"), ["http://127.0.0.1:8080/"]);
        assert_eq!(of("[::1]:8080"), ["http://[::1]:8080/"]);
        assert_eq!(of("192.0.2.7:80"), ["http://192.0.2.7/"]);
    }

    #[test]
    fn a_listener_on_all_addresses_is_reached_at_this_machines_before_its_loopback() {
        for all in ["0.0.0.0:8080", "[::]:8080"] {
            let origins = of(all);
            assert_eq!(origins.last().map(String::as_str), Some("http://127.0.0.1:8080/"), "{origins:?}");
            let own = source_address(ANY_V4, FAR_V4).map(|ip| format!("http://{ip}:8080/"));
            assert!(own.is_none_or(|own| origins[0] == own), "{origins:?}");
        }
    }
}
