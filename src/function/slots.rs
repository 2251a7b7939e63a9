//! Slots that limit concurrent work and are shared fairly between tenants.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::FutureExt;
use tokio::sync::oneshot;

/// A set of slots. Clones share it.
#[derive(Clone, Debug)]
pub struct Slots(Arc<Shared>);

/// How many of the slots one tenant may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// All of them while no other tenant waits: for short work.
    All,
    /// At most as many as it leaves free: for long work, so that another tenant finds a free slot at once.
    AsMuchAsIsLeft,
}

#[derive(Debug)]
struct Shared {
    share: Share,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// The tenants that hold slots or wait for one.
    tenants: HashMap<String, Tenant>,
    /// The number of slots given so far.
    given: u64,
}

#[derive(Debug, Default)]
struct Tenant {
    held: usize,
    /// The number of its last slot, in the order of all slots given.
    last: u64,
    waiting: VecDeque<oneshot::Sender<Slot>>,
}

/// A slot; released on drop.
#[derive(Debug)]
#[must_use]
pub struct Slot {
    /// None once it is released.
    of: Option<Arc<Shared>>,
    tenant: String,
}

impl Slots {
    /// `count` slots; at least one.
    #[must_use]
    pub fn new(count: usize, share: Share) -> Self {
        let state = State { free: count.max(1), tenants: HashMap::new(), given: 0 };
        Self(Arc::new(Shared { share, state: Mutex::new(state) }))
    }

    /// How many slots nobody holds.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.0.lock().free
    }

    /// A slot that is free now.
    #[must_use]
    pub fn try_acquire(&self, tenant: &str) -> Option<Slot> {
        self.acquire(tenant).now_or_never()
    }

    /// Waits for a slot. The next slot goes to the tenant that holds the fewest, then to the tenant that was
    /// served longest ago, then to the earliest call. A dropped call no longer waits.
    pub async fn acquire(&self, tenant: &str) -> Slot {
        let (given, slot) = oneshot::channel();
        {
            let mut state = self.0.lock();
            let waiting = &mut state.tenants.entry(tenant.to_owned()).or_default().waiting;
            waiting.retain(|other| !other.is_closed());
            waiting.push_back(given);
            Shared::give(&self.0, &mut state);
        }
        slot.await.expect("the sender waits in the state, which outlives this call")
    }
}

impl Shared {
    /// No code that holds this lock can leave the state inconsistent.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the free slots to waiters that may have one.
    fn give(this: &Arc<Self>, state: &mut State) {
        while let Some(name) = state.next(this.share) {
            let Some(tenant) = state.tenants.get_mut(&name) else { return };
            let Some(waiting) = tenant.waiting.pop_front() else { return };
            let slot = Slot { of: Some(Arc::clone(this)), tenant: name };
            match waiting.send(slot) {
                Ok(()) => {
                    state.given += 1;
                    (tenant.held, tenant.last) = (tenant.held + 1, state.given);
                    state.free -= 1;
                }
                // The waiter has gone and the slot was not counted, so its drop must not release it.
                Err(mut slot) => slot.of = None,
            }
        }
        state.tenants.retain(|_, tenant| tenant.held > 0 || !tenant.waiting.is_empty());
    }
}

impl State {
    /// The tenant that gets the next slot; None if no waiting tenant may have one.
    fn next(&self, share: Share) -> Option<String> {
        let may_have = |tenant: &Tenant| match share {
            Share::All => self.free > 0,
            Share::AsMuchAsIsLeft => tenant.held < self.free,
        };
        let waiting = self.tenants.iter().filter(|(_, tenant)| !tenant.waiting.is_empty());
        let allowed = waiting.filter(|(_, tenant)| may_have(tenant));
        allowed.min_by_key(|(_, tenant)| (tenant.held, tenant.last)).map(|(name, _)| name.clone())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some(shared) = self.of.take() else { return };
        let mut state = shared.lock();
        if let Some(tenant) = state.tenants.get_mut(&self.tenant) {
            tenant.held -= 1;
            state.free += 1;
        }
        Shared::give(&shared, &mut state);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use super::*;

    type Waiting = Pin<Box<dyn Future<Output = Slot>>>;

    /// Starts to wait for a slot at once.
    fn wait(slots: &Slots, tenant: &'static str) -> Waiting {
        let slots = slots.clone();
        let mut waiting: Waiting = Box::pin(async move { slots.acquire(tenant).await });
        match waiting.as_mut().now_or_never() {
            Some(slot) => Box::pin(std::future::ready(slot)),
            None => waiting,
        }
    }

    fn now(waiting: &mut Waiting) -> Option<Slot> {
        waiting.as_mut().now_or_never()
    }

    #[test]
    fn the_hundredth_of_one_tenant_waits_for_the_first_of_another() {
        let slots = Slots::new(2, Share::All);
        let mut first = now(&mut wait(&slots, "a"));
        let second = now(&mut wait(&slots, "a"));
        assert!(first.is_some() && second.is_some(), "alone it may have all");
        let mut hundred: Vec<Waiting> = (0..100).map(|_| wait(&slots, "a")).collect();
        let mut other = wait(&slots, "b");
        assert!(now(&mut other).is_none());
        drop(first.take());
        let other = now(&mut other).expect("the next slot is the other's");
        assert!(hundred.iter_mut().all(|waiting| now(waiting).is_none()));
        drop(other);
        assert!(now(&mut hundred[0]).is_some(), "then it is the turn of the one that came first");
    }

    #[test]
    fn tenants_that_hold_as_many_take_turns() {
        let slots = Slots::new(1, Share::All);
        let mut held = now(&mut wait(&slots, "a"));
        let mut queue: Vec<(&str, Waiting)> =
            ["a", "a", "b", "b", "c"].into_iter().map(|tenant| (tenant, wait(&slots, tenant))).collect();
        let mut order = Vec::new();
        while !queue.is_empty() {
            drop(held.take());
            let (place, slot) = (0..queue.len())
                .find_map(|place| Some((place, now(&mut queue[place].1)?)))
                .expect("a free slot goes to one that waits");
            order.push(queue.remove(place).0);
            held = Some(slot);
        }
        order[..2].sort_unstable();
        assert_eq!(order, ["b", "c", "a", "b", "a"]);
    }

    #[test]
    fn of_work_that_lasts_nobody_has_more_than_is_left() {
        let slots = Slots::new(8, Share::AsMuchAsIsLeft);
        let take = |tenant| (0..8).map(|_| wait(&slots, tenant)).map(|mut one| now(&mut one)).collect();
        let count = |taken: &Vec<Option<Slot>>| taken.iter().flatten().count();
        let a: Vec<_> = take("a");
        let b: Vec<_> = take("b");
        let c: Vec<_> = take("c");
        assert_eq!((count(&a), count(&b), count(&c)), (4, 2, 1));
        drop(a);
        assert_eq!(count(&take("d")), 3);
        assert_eq!(
            count(
                &(Slots::new(1, Share::AsMuchAsIsLeft)
                    .acquire("a")
                    .now_or_never()
                    .into_iter()
                    .map(Some)
                    .collect())
            ),
            1
        );
    }

    #[test]
    fn who_no_longer_waits_keeps_no_slot() {
        let slots = Slots::new(1, Share::All);
        let held = now(&mut wait(&slots, "a"));
        let (gone, mut next) = (wait(&slots, "b"), wait(&slots, "c"));
        drop(gone);
        drop(held);
        drop(now(&mut next).expect("the one that still waits"));
        // The slot was given, but its future was never polled.
        let held = now(&mut wait(&slots, "a"));
        let gone = wait(&slots, "b");
        drop(held);
        drop(gone);
        assert!(now(&mut wait(&slots, "c")).is_some());
        assert!(slots.0.lock().tenants.is_empty());
    }
}
