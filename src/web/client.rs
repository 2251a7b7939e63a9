//! Which address a request comes from.

use std::net::IpAddr;

use actix_web::{HttpRequest, web};

use crate::config::TrustedProxies;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The visitor's address: the one place that decides it, for limits and log lines alike. What a proxy
/// forwards counts only if `web::Data<TrustedProxies>` has it. None for a request that came by no
/// connection.
#[must_use]
pub fn address(request: &HttpRequest) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip();
    let Some(trusted) = request.app_data::<web::Data<TrustedProxies>>() else {
        return Some(peer.to_canonical());
    };
    let forwarded: Vec<&str> =
        request.headers().get_all(FORWARDED_FOR).filter_map(|value| value.to_str().ok()).collect();
    Some(trusted.client(peer, forwarded.into_iter()))
}
