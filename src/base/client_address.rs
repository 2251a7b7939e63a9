//! The client address of a request.

use std::{borrow::Cow, net::IpAddr};

use actix_web::{HttpRequest, web};

use super::config::TrustedProxies;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The visitor's address, determined here for limits and log lines alike. A forwarded address counts only if
/// `web::Data<TrustedProxies>` contains the proxy. None for a request without a connection.
#[must_use]
pub fn client_address(request: &HttpRequest) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip();
    let Some(trusted) = request.app_data::<web::Data<TrustedProxies>>() else {
        return Some(peer.to_canonical());
    };
    // A line with undecodable bytes keeps its position. Dropping it would make another hop count.
    let forwarded: Vec<Cow<'_, str>> = request
        .headers()
        .get_all(FORWARDED_FOR)
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    Some(trusted.client(peer, forwarded.iter().map(|line| &**line)))
}

#[cfg(test)]
mod tests {
    use actix_web::{http::header::HeaderValue, test::TestRequest};

    use super::*;

    #[test]
    fn a_hop_that_is_no_text_hides_no_hop_to_its_right() {
        for lines in [&[&b"\xff, 198.51.100.7"[..]][..], &[b"192.0.2.6", b"\xff, 198.51.100.7"]] {
            let trusted: TrustedProxies = "127.0.0.1".parse().unwrap();
            let mut request = TestRequest::default()
                .peer_addr("127.0.0.1:4711".parse().unwrap())
                .app_data(web::Data::new(trusted));
            for line in lines {
                request = request.append_header((FORWARDED_FOR, HeaderValue::from_bytes(line).unwrap()));
            }
            let address = client_address(&request.to_http_request()).unwrap();
            assert_eq!(address.to_string(), "198.51.100.7", "{lines:?}");
        }
    }
}
