//! Memory that all visitors share.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Network;

/// A limit of the bytes that all visitors may hold together, and of those that one network may hold.
#[derive(Clone, Debug)]
pub struct ByteBudget {
    together: usize,
    each: usize,
    held: Arc<Mutex<Held>>,
}

/// Invariant: `together` is the sum of the bytes of all visitors, including those without a known network.
#[derive(Debug, Default)]
struct Held {
    together: usize,
    by_network: HashMap<Network, usize>,
}

/// The total or the network's share is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the memory limit is reached")]
pub struct Exhausted;

/// The bytes that one visitor holds of a budget; released on drop.
#[derive(Debug)]
pub struct HeldBytes {
    budget: ByteBudget,
    network: Option<Network>,
    bytes: usize,
}

impl ByteBudget {
    /// A budget of `together` bytes, of which one network may hold `each`.
    #[must_use]
    pub fn new(together: usize, each: usize) -> Self {
        Self { together, each, held: Arc::default() }
    }

    /// An empty holding for a visitor from `network`, if that is known.
    #[must_use]
    pub fn hold(&self, network: Option<Network>) -> HeldBytes {
        HeldBytes { budget: self.clone(), network, bytes: 0 }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // No code that holds the lock can panic between the updates of the two sums.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HeldBytes {
    /// Holds `bytes` more. Holds nothing more if they do not fit.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let mut held = self.budget.held();
        let of_network = self.network.and_then(|network| held.by_network.get(&network)).copied();
        let of_network = of_network.unwrap_or_default().saturating_add(bytes);
        let together = held.together.saturating_add(bytes);
        let is_over_share = self.network.is_some() && of_network > self.budget.each;
        if together > self.budget.together || is_over_share {
            return Err(Exhausted);
        }
        held.together = together;
        if let Some(network) = self.network {
            held.by_network.insert(network, of_network);
        }
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        let mut held = self.budget.held();
        held.together -= self.bytes;
        let Some(network) = self.network else { return };
        if let Some(of_network) = held.by_network.get_mut(&network) {
            *of_network -= self.bytes;
            if *of_network == 0 {
                held.by_network.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn what_one_holds_others_cannot_have_until_it_is_dropped() {
        let budget = ByteBudget::new(100, 100);
        let (mut one, mut other) = (budget.hold(None), budget.hold(None));
        one.grow(40).unwrap();
        one.grow(40).unwrap();
        assert_eq!(other.grow(21), Err(Exhausted));
        other.grow(20).unwrap();
        assert_eq!(one.grow(1), Err(Exhausted));
        drop(one);
        other.grow(80).unwrap();
        assert_eq!(other.grow(usize::MAX), Err(Exhausted));
    }

    #[test]
    fn one_network_holds_its_part_and_leaves_the_rest_to_others() {
        let budget = ByteBudget::new(100, 25);
        let from = |address: &str| budget.hold(Some(address.parse::<IpAddr>().unwrap().into()));
        let (mut one, mut same) = (from("2001:db8::1"), from("2001:db8::2"));
        one.grow(20).unwrap();
        assert_eq!(same.grow(6), Err(Exhausted));
        same.grow(5).unwrap();
        let mut others: Vec<_> = (1..=3).map(|n| from(&format!("192.0.2.{n}"))).collect();
        others.iter_mut().for_each(|other| other.grow(25).unwrap());
        assert_eq!(from("192.0.2.4").grow(1), Err(Exhausted), "all of it is held");
        drop(one);
        same.grow(20).unwrap();
        drop((same, others));
        assert!(budget.held().by_network.is_empty(), "who has left is forgotten");
        assert_eq!(budget.held().together, 0);
    }
}
