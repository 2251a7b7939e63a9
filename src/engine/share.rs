//! Chooses which run is called next, and shares the concurrent calls between tenants.
//!
//! A tenant may have at most as many active calls as it leaves free, so that another tenant's run is called
//! at once, whatever the first tenant's calls wait for.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ulid::Ulid;

use crate::{base::time::UnixMillis, store::engine::queue::WaitingTenant};

/// The active calls. Clones share them.
#[derive(Clone, Debug)]
pub struct Calls {
    /// The most concurrent calls.
    most: usize,
    at_work: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    by_tenant: HashMap<String, usize>,
    leases: HashSet<String>,
}

/// An active call, until it is dropped.
#[derive(Debug)]
pub struct ActiveCall {
    calls: Calls,
    tenant: String,
    lease: String,
}

impl ActiveCall {
    /// The lease of this call.
    pub fn lease(&self) -> &str {
        &self.lease
    }
}

impl Calls {
    pub fn new(most: usize) -> Self {
        Self { most: most.max(1), at_work: Arc::default() }
    }

    /// The tenant whose due run is called next: the one with the fewest active calls, then the one that has
    /// waited longest.
    pub fn next<'w>(&self, waiting: &'w [WaitingTenant], now: UnixMillis) -> Option<&'w WaitingTenant> {
        let at_work = self.lock();
        let free = self.most.saturating_sub(at_work.by_tenant.values().sum());
        let of = |waiting: &WaitingTenant| at_work.by_tenant.get(&waiting.tenant).copied().unwrap_or(0);
        let may_begin = waiting.iter().filter(|waiting| waiting.due_at <= now && of(waiting) < free);
        may_begin.min_by_key(|waiting| (of(waiting), waiting.due_at))
    }

    /// Counts a call of `tenant` under a new lease until the returned value is dropped.
    pub fn begin(&self, tenant: &str) -> ActiveCall {
        let lease = Ulid::new().to_string();
        let mut at_work = self.lock();
        *at_work.by_tenant.entry(tenant.to_owned()).or_default() += 1;
        at_work.leases.insert(lease.clone());
        ActiveCall { calls: self.clone(), tenant: tenant.to_owned(), lease }
    }

    /// Whether a call under `lease` is active.
    pub fn holds(&self, lease: &str) -> bool {
        self.lock().leases.contains(lease)
    }

    /// No code that holds this lock can leave the counts inconsistent.
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ActiveCall {
    fn drop(&mut self) {
        let mut at_work = self.calls.lock();
        at_work.leases.remove(&self.lease);
        if let Some(count) = at_work.by_tenant.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                at_work.by_tenant.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(10);

    fn waiting(tenant: &str, due_at: i64) -> WaitingTenant {
        WaitingTenant { tenant: tenant.into(), due_at: UnixMillis(due_at) }
    }

    #[test]
    fn the_tenant_with_the_fewest_calls_is_next_and_leaves_room_for_others() {
        let calls = Calls::new(4);
        let all = [waiting("a", 1), waiting("b", 2), waiting("later", 11)];
        let mut at_work = Vec::new();
        let mut order = Vec::new();
        while let Some(next) = calls.next(&all, NOW) {
            order.push(next.tenant.clone());
            at_work.push(calls.begin(&next.tenant));
        }
        // A third call of either tenant would leave no place for a new tenant.
        assert_eq!(order, ["a", "b", "a"]);
        assert_eq!(calls.next(&[waiting("c", 3)], NOW), Some(&waiting("c", 3)));
        at_work.remove(0);
        assert_eq!(calls.next(&all, NOW), Some(&all[0]));
        assert_eq!(calls.next(&all[2..], NOW), None, "it is not due");
        assert!(Calls::new(1).next(&all, NOW).is_some());
    }
}
