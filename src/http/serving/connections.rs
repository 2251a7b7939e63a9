//! Limits the connections of one address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::base::{config::TrustedProxies, limits::Network};

/// The shortest time between two log lines about refusals.
const TELL_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// The connections of all public listeners, counted by network.
#[derive(Debug)]
pub struct Connections {
    /// None: no limit.
    most: Option<usize>,
    /// Exempt, because they connect on behalf of all their visitors.
    proxies: TrustedProxies,
    counts: Mutex<HashMap<Network, usize>>,
    /// When a refusal was last logged.
    told_at: Mutex<Option<Instant>>,
}

/// The slot of one connection; released on drop.
#[derive(Debug)]
pub struct ConnectionSlot {
    counted: Option<(Network, Arc<Connections>)>,
}

impl Connections {
    #[must_use]
    pub fn new(most: Option<usize>, proxies: TrustedProxies) -> Arc<Self> {
        Arc::new(Self { most, proxies, counts: Mutex::default(), told_at: Mutex::default() })
    }

    /// No limit, for a listener that only this process reaches.
    #[must_use]
    pub fn unlimited() -> Arc<Self> {
        Self::new(None, TrustedProxies::default())
    }

    /// A slot for a connection of `peer`; None if it has the most that it may.
    #[must_use]
    pub fn slot(self: &Arc<Self>, peer: IpAddr) -> Option<ConnectionSlot> {
        let Some(most) = self.most.filter(|_| !self.proxies.contain(peer)) else {
            return Some(ConnectionSlot { counted: None });
        };
        let network = Network::from(peer);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(network).or_default();
        if *count >= most {
            drop(counts);
            self.tell(peer, most);
            return None;
        }
        *count += 1;
        Some(ConnectionSlot { counted: Some((network, Arc::clone(self))) })
    }

    /// Logs a refusal, at most once a minute over all addresses. Visitors behind a proxy that is not
    /// configured as trusted share its address.
    fn tell(&self, peer: IpAddr, most: usize) {
        let mut told_at = self.told_at.lock().unwrap_or_else(PoisonError::into_inner);
        if told_at.is_some_and(|at| at.elapsed() < TELL_AGAIN_AFTER) {
            return;
        }
        *told_at = Some(Instant::now());
        tracing::warn!(
            address = %peer,
            limit = most,
            "connections of an address are refused: it has as many as RUNBOARD_CONNECTIONS_PER_ADDRESS allows. \
             If it is a proxy, name it in RUNBOARD_TRUSTED_PROXIES"
        );
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let Some((network, connections)) = &self.counted else { return };
        let mut counts = connections.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(network) {
            *count -= 1;
            if *count == 0 {
                counts.remove(network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_so_many_slots_and_gets_them_back() {
        let connections = Connections::new(Some(2), "10.0.0.0/8".parse().unwrap());
        let slot = |address: &str| connections.slot(address.parse().unwrap());
        let (first, _second) = (slot("2001:db8::1").unwrap(), slot("2001:db8::2").unwrap());
        assert!(slot("2001:db8::3").is_none());
        assert!(slot("2001:db8:0:1::1").is_some(), "others are not held up");
        drop(first);
        assert!(slot("2001:db8::3").is_some());
        let proxied: Vec<_> = (0..10).map(|_| slot("10.0.0.1").unwrap()).collect();
        assert_eq!(proxied.len(), 10);
        assert_eq!(connections.counts.lock().unwrap().len(), 1, "who has left is forgotten");
    }
}
