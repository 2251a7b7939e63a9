//! A bounded, fair waiting line for scarce work.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::{Turn, Turns};

/// Limits how much work runs at once and how many may wait for it. Clones share it.
#[derive(Clone, Debug)]
pub struct Line<K: Clone + Eq + Hash> {
    at_once: usize,
    most_waiting: usize,
    turns: Turns<K>,
    waiting: Arc<Mutex<Vec<Waiting<K>>>>,
}

#[derive(Debug)]
struct Waiting<K: Clone + Eq + Hash> {
    of: K,
    called: oneshot::Sender<Permit<K>>,
}

/// The line is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many are waiting")]
pub struct Full;

/// The right to do the work; released on drop.
#[derive(Debug)]
pub struct Permit<K: Clone + Eq + Hash> {
    /// None once it is released.
    turn: Option<Turn<K>>,
    line: Line<K>,
}

impl<K: Clone + Eq + Hash> Line<K> {
    #[must_use]
    pub fn new(at_once: usize, most_waiting: usize) -> Self {
        Self { at_once, most_waiting, turns: Turns::default(), waiting: Arc::default() }
    }

    /// Waits for a turn. The next turn goes to the key with the fewest active turns, then to the key that was
    /// served longest ago.
    ///
    /// # Errors
    /// The line is full. A newcomer then displaces one waiter of the key with the most waiters, if its own
    /// key has at least two fewer.
    pub async fn enter(&self, of: K) -> Result<Permit<K>, Full> {
        let (called, turn) = oneshot::channel();
        {
            let mut waiting = self.lock();
            waiting.retain(|other| !other.called.is_closed());
            if waiting.len() >= self.most_waiting {
                make_room(&mut waiting, &of)?;
            }
            waiting.push(Waiting { of, called });
        }
        self.call();
        turn.await.map_err(|_| Full)
    }

    /// Wakes the waiters whose turn has come.
    fn call(&self) {
        loop {
            let mut waiting = self.lock();
            let keys = waiting.iter().map(|one| &one.of);
            let Some(turn) = self.turns.next(keys, |_, all| all < self.at_once) else { return };
            let Some(first) = waiting.iter().position(|one| one.of == *turn.of()) else { return };
            let called = waiting.remove(first).called;
            drop(waiting);
            // If the waiter has gone, its permit is dropped here and the loop wakes the next waiter.
            if let Err(mut unwanted) = called.send(Permit { turn: Some(turn), line: self.clone() }) {
                unwanted.turn = None;
            }
        }
    }

    /// No code that holds this lock can leave the line in an inconsistent state.
    fn lock(&self) -> MutexGuard<'_, Vec<Waiting<K>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the last waiter of the key that has the most.
fn make_room<K: Clone + Eq + Hash>(waiting: &mut Vec<Waiting<K>>, newcomer: &K) -> Result<(), Full> {
    let mut counts: HashMap<&K, usize> = HashMap::new();
    for one in &*waiting {
        *counts.entry(&one.of).or_default() += 1;
    }
    let own = counts.get(newcomer).copied().unwrap_or(0);
    let (largest, most) = counts.into_iter().max_by_key(|(_, count)| *count).ok_or(Full)?;
    if most < own + 2 {
        return Err(Full);
    }
    let last = waiting.iter().rposition(|one| one.of == *largest).ok_or(Full)?;
    waiting.remove(last);
    Ok(())
}

impl<K: Clone + Eq + Hash> Drop for Permit<K> {
    fn drop(&mut self) {
        if self.turn.take().is_some() {
            self.line.call();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::Pin, task::Poll};

    use futures_util::{FutureExt, poll};

    use super::*;

    type Entering = Pin<Box<dyn Future<Output = Result<Permit<char>, Full>>>>;

    /// Enters the line at once, before the returned future is polled again.
    async fn enter(line: &Line<char>, of: char) -> Entering {
        let line = line.clone();
        let mut entering: Entering = Box::pin(async move { line.enter(of).await });
        match poll!(entering.as_mut()) {
            Poll::Ready(answer) => Box::pin(std::future::ready(answer)),
            Poll::Pending => entering,
        }
    }

    fn now(entering: &mut Entering) -> Option<Result<Permit<char>, Full>> {
        entering.as_mut().now_or_never()
    }

    #[tokio::test]
    async fn a_newcomer_takes_the_place_of_the_last_of_many_and_is_next() {
        let line = Line::new(1, 4);
        let at_work = now(&mut enter(&line, 'a').await).unwrap().unwrap();
        let mut many = Vec::new();
        for _ in 0..4 {
            many.push(enter(&line, 'a').await);
        }
        assert_eq!(now(&mut enter(&line, 'a').await).unwrap().unwrap_err(), Full);
        let mut newcomer = enter(&line, 'b').await;
        assert_eq!(now(&mut many[3]).unwrap().unwrap_err(), Full, "the last one gave way");
        assert!(now(&mut newcomer).is_none());
        drop(at_work);
        drop(now(&mut newcomer).expect("it is its turn").unwrap());
        drop(now(&mut many[0]).expect("then that of the first").unwrap());
    }

    #[tokio::test]
    async fn among_equals_nobody_gives_way_and_who_has_left_leaves_a_place() {
        let line = Line::new(1, 3);
        let at_work = now(&mut enter(&line, 'x').await).unwrap().unwrap();
        let mut others = vec![enter(&line, 'a').await, enter(&line, 'b').await, enter(&line, 'c').await];
        assert_eq!(now(&mut enter(&line, 'd').await).unwrap().unwrap_err(), Full);
        drop(others.remove(0));
        let mut last = enter(&line, 'd').await;
        drop(at_work);
        for other in &mut others {
            drop(now(other).expect("in the order in which they came").unwrap());
        }
        drop(now(&mut last).unwrap().unwrap());
        assert!(now(&mut enter(&line, 'e').await).unwrap().is_ok(), "all places are free again");
    }
}
