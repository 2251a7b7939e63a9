//! Shares a limited amount of concurrent work fairly.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Who has active turns, and who was served when. Clones share it.
#[derive(Clone, Debug)]
pub struct Turns<T: Clone + Eq + Hash>(Arc<Mutex<State<T>>>);

#[derive(Debug)]
struct State<T> {
    known: HashMap<T, Served>,
    /// The number of turns given so far.
    given: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Served {
    at_work: usize,
    /// The number of the last turn, in the order of all turns.
    last: u64,
}

/// The right to work; released on drop.
#[derive(Debug)]
pub struct Turn<T: Clone + Eq + Hash> {
    turns: Turns<T>,
    of: T,
}

impl<T: Clone + Eq + Hash> Default for Turns<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State { known: HashMap::new(), given: 0 })))
    }
}

impl<T: Clone + Eq + Hash> Turns<T> {
    /// Gives a turn to one of `waiting` that may begin: the key with the fewest active turns, then the key
    /// that was served longest ago, then the first. `may_begin` gets the number of active turns of the key
    /// and of all keys.
    pub fn next<'w>(
        &self,
        waiting: impl IntoIterator<Item = &'w T>,
        may_begin: impl Fn(usize, usize) -> bool,
    ) -> Option<Turn<T>>
    where
        T: 'w,
    {
        let mut state = self.lock();
        let all = state.known.values().map(|served| served.at_work).sum();
        let waiting: HashMap<&T, (Served, usize)> = waiting
            .into_iter()
            .enumerate()
            .map(|(place, one)| (one, (state.known.get(one).copied().unwrap_or_default(), place)))
            .collect();
        state.known.retain(|one, served| served.at_work > 0 || waiting.contains_key(one));
        let allowed = waiting.into_iter().filter(|(_, (served, _))| may_begin(served.at_work, all));
        let (next, _) = allowed.min_by_key(|(_, (served, place))| (served.at_work, served.last, *place))?;
        state.given += 1;
        let last = state.given;
        let served = state.known.entry(next.clone()).or_default();
        *served = Served { at_work: served.at_work + 1, last };
        Some(Turn { turns: self.clone(), of: next.clone() })
    }

    /// Whether `one` has no active turn.
    pub fn is_idle(&self, one: &T) -> bool {
        self.lock().known.get(one).is_none_or(|served| served.at_work == 0)
    }

    /// No code that holds this lock can leave the state inconsistent.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone + Eq + Hash> Turn<T> {
    pub fn of(&self) -> &T {
        &self.of
    }
}

impl<T: Clone + Eq + Hash> Drop for Turn<T> {
    fn drop(&mut self) {
        if let Some(served) = self.turns.lock().known.get_mut(&self.of) {
            served.at_work -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_with_as_many_turns_are_served_one_after_the_other() {
        let turns = Turns::default();
        let one_each = |mine: usize, all: usize| mine == 0 && all < 2;
        let mut order = String::new();
        let mut at_work = Vec::new();
        for _ in 0..6 {
            while let Some(turn) = turns.next(&['a', 'b', 'c'], one_each) {
                order.push(*turn.of());
                at_work.push(turn);
            }
            assert!(!turns.is_idle(at_work[0].of()));
            drop(at_work.remove(0));
        }
        assert_eq!(order, "abcabca");
        drop(at_work);
        assert!(turns.is_idle(&'a'));
        assert_eq!(turns.next(&['d'], one_each).map(|turn| *turn.of()), Some('d'));
        assert_eq!(turns.lock().known.len(), 1, "who neither waits nor works is forgotten");
    }
}
