//! Limits the requests per second that the whole process makes to a server, and shares them between users. Of several
//! replicas, each has its share of what all may make.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Mutex as AsyncMutex, oneshot},
    time::{Instant, sleep},
};

use crate::base::ids::UserId;

/// Why a request is made. Requests of an earlier variant go first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// A user waits for the result, for example of a cancel.
    #[default]
    Now,
    /// The regular polls that back up what the engine pushes. They leave half of a second's requests to
    /// [`Priority::Now`].
    Paced,
    /// Everything expected has happened; the answer should confirm that nothing more did.
    Late,
}

const PRIORITIES: usize = 3;

/// A token bucket that holds one second's requests. They are given out by priority and, within one priority,
/// to one user after the other, so that a user with a thousand requests delays another user's by only one.
#[derive(Debug)]
pub struct Budget {
    state: Mutex<State>,
    /// Held by the one waiter that hands out the turns, including its own.
    dispenser: AsyncMutex<()>,
}

#[derive(Debug)]
struct State {
    /// Requests per second.
    rate: f64,
    /// Requests that may be made now.
    tokens: f64,
    at: Instant,
    /// The server asked for no requests until then.
    held_until: Option<Instant>,
    /// One line for each priority.
    lines: [Line; PRIORITIES],
}

/// The waiters by user; the user at the front is next.
#[derive(Debug, Default)]
struct Line(VecDeque<(Option<UserId>, VecDeque<oneshot::Sender<()>>)>);

impl Line {
    fn push(&mut self, user: Option<UserId>, waiter: oneshot::Sender<()>) {
        let Some((_, waiters)) = self.0.iter_mut().find(|(known, _)| *known == user) else {
            self.0.push_back((user, VecDeque::from([waiter])));
            return;
        };
        // A watcher that receives news leaves the line and later rejoins at its end.
        while waiters.front().is_some_and(oneshot::Sender::is_closed) {
            waiters.pop_front();
        }
        while waiters.back().is_some_and(oneshot::Sender::is_closed) {
            waiters.pop_back();
        }
        waiters.push_back(waiter);
    }

    fn next(&mut self) -> Option<oneshot::Sender<()>> {
        let (user, mut waiters) = self.0.pop_front()?;
        let next = waiters.pop_front();
        if !waiters.is_empty() {
            self.0.push_back((user, waiters));
        }
        next
    }
}

impl Budget {
    #[must_use]
    pub fn new(rate: f64) -> Self {
        let lines = Default::default();
        let state = State { rate, tokens: rate.max(1.0), at: Instant::now(), held_until: None, lines };
        Self { state: Mutex::new(state), dispenser: AsyncMutex::new(()) }
    }

    /// Changes how many requests may be made per second, from now on.
    pub fn set_rate(&self, rate: f64) {
        let mut state = self.filled();
        state.rate = rate;
        state.tokens = state.tokens.min(state.capacity());
    }

    /// Waits for a turn to make a request. A dropped wait uses no turn.
    pub async fn take(&self, user: Option<UserId>, priority: Priority) {
        let (waiter, turn) = oneshot::channel();
        {
            let mut state = self.filled();
            state.lines[priority as usize].push(user, waiter);
            state.give_out();
        }
        let mut turn = Turn { budget: self, turn };
        let _dispenser = tokio::select! {
            biased;
            _ = &mut turn.turn => return,
            dispenser = self.dispenser.lock() => dispenser,
        };
        loop {
            let pause = {
                let mut state = self.filled();
                state.give_out();
                state.pause()
            };
            tokio::select! {
                biased;
                _ = &mut turn.turn => return,
                () = sleep(pause) => {}
            }
        }
    }

    /// Takes a turn if [`Priority::Paced`] would get one now.
    #[must_use]
    pub fn try_take(&self) -> bool {
        let mut state = self.filled();
        let nobody_waits = state.lines.iter().all(|line| line.0.is_empty());
        let is_spare = nobody_waits && state.held_until.is_none() && state.tokens >= state.reserve();
        if is_spare {
            state.tokens -= 1.0;
        }
        is_spare
    }

    /// Makes no requests for `pause`, because the server asked for that.
    pub fn hold(&self, pause: Duration) {
        let mut state = self.filled();
        let until = state.at + pause;
        state.held_until = Some(state.held_until.map_or(until, |known| known.max(until)));
    }

    fn filled(&self) -> MutexGuard<'_, State> {
        // The state is consistent after each statement.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        // No turns accumulate during a pause that the server asked for; otherwise all waiters would send at
        // once.
        let from = state.held_until.map_or(state.at, |until| until.max(state.at));
        let earned = now.saturating_duration_since(from).as_secs_f64() * state.rate;
        state.tokens = (state.tokens + earned).min(state.capacity());
        state.at = now;
        state.held_until = state.held_until.filter(|until| *until > now);
        state
    }
}

/// A wait for a turn. If it is dropped after the turn was given and before it was taken, it gives the turn
/// back.
struct Turn<'a> {
    budget: &'a Budget,
    turn: oneshot::Receiver<()>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.budget.filled();
        self.turn.close();
        if self.turn.try_recv().is_ok() {
            state.tokens = (state.tokens + 1.0).min(state.capacity());
        }
    }
}

impl State {
    fn capacity(&self) -> f64 {
        self.rate.max(1.0)
    }

    /// The tokens that must be left over before a request of a low priority gets one.
    fn reserve(&self) -> f64 {
        (self.capacity() / 2.0).max(1.0)
    }

    fn give_out(&mut self) {
        let reserve = self.reserve();
        while self.held_until.is_none() && self.tokens >= 1.0 {
            let open = if self.tokens >= reserve { &mut self.lines[..] } else { &mut self.lines[..1] };
            let Some(waiter) = open.iter_mut().find_map(Line::next) else { return };
            if waiter.send(()).is_ok() {
                self.tokens -= 1.0;
            }
        }
    }

    /// How long until there may be a turn to hand out. At most the time that earns one token, because a
    /// request of a higher priority may arrive meanwhile.
    fn pause(&self) -> Duration {
        let held = self.held_until.map_or(Duration::ZERO, |until| until.duration_since(self.at));
        let missing = if self.tokens < 1.0 { 1.0 - self.tokens } else { 1.0 };
        // A pause of zero would make the dispenser's loop busy-wait.
        held + Duration::from_secs_f64(missing / self.rate).max(Duration::from_millis(1))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, future::join_all, poll};

    use super::*;

    async fn take(budget: &Budget) {
        budget.take(None, Priority::Now).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_has_its_requests_and_no_more() {
        let budget = Budget::new(10.0);
        let start = Instant::now();
        for _ in 0..110 {
            take(&budget).await;
        }
        // The first ten turns were available at once, the others came at ten per second.
        let took = start.elapsed().as_secs_f64();
        assert!((9.9..10.2).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_it_is_for_those_who_wait_for_news() {
        let budget = Budget::new(10.0);
        let spared = std::iter::repeat_with(|| budget.try_take()).take_while(|taken| *taken).count();
        assert_eq!(spared, 6);
        let start = Instant::now();
        take(&budget).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        sleep(Duration::from_secs(1)).await;
        assert!(budget.try_take());
    }

    /// The waiters in the order in which they got their turns.
    async fn order(
        budget: &Budget,
        waiters: Vec<(&'static str, Option<UserId>, Priority)>,
    ) -> Vec<&'static str> {
        let order = Mutex::new(Vec::new());
        let waits = waiters.into_iter().map(|(name, user, priority)| {
            let order = &order;
            async move {
                budget.take(user, priority).await;
                order.lock().unwrap().push(name);
            }
        });
        join_all(waits).await;
        order.into_inner().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_with_many_requests_delays_anothers_by_one() {
        let budget = Budget::new(1.0);
        take(&budget).await;
        let (many, one) = (Some(UserId::generate()), Some(UserId::generate()));
        for priority in [Priority::Now, Priority::Paced, Priority::Late] {
            let mut waiters = vec![("many", many, priority); 300];
            waiters.push(("one", one, priority));
            let order = order(&budget, waiters).await;
            assert_eq!(order.iter().position(|name| *name == "one"), Some(1), "{priority:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_user_waits_for_goes_first_and_what_is_over_last() {
        let budget = Budget::new(1.0);
        take(&budget).await;
        let waiters = vec![
            ("late", None, Priority::Late),
            ("paced", None, Priority::Paced),
            ("now", None, Priority::Now),
        ];
        assert_eq!(order(&budget, waiters).await, ["now", "paced", "late"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_given_up_takes_no_turn_and_holds_up_nobody() {
        let budget = Budget::new(1.0);
        take(&budget).await;
        for _ in 0..100 {
            // The first waiter hands out the turns.
            assert_eq!(budget.take(None, Priority::Late).now_or_never(), None);
        }
        let start = Instant::now();
        budget.take(None, Priority::Late).await;
        assert!(start.elapsed() <= Duration::from_secs(2), "{:?}", start.elapsed());
        assert!(budget.filled().lines.iter().all(|line| line.0.is_empty()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_is_given_to_a_wait_that_is_dropped_goes_to_the_next_one() {
        let budget = Budget::new(1.0);
        take(&budget).await;
        let mut first = Box::pin(budget.take(None, Priority::Now));
        let mut second = Box::pin(budget.take(None, Priority::Now));
        let mut third = Box::pin(budget.take(None, Priority::Now));
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
        tokio::time::advance(Duration::from_secs(1)).await;
        // Gives the turn to the first waiter, which does not take it.
        assert!(poll!(&mut third).is_pending());
        drop(first);
        let start = Instant::now();
        second.await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_asks_while_the_server_wants_peace() {
        let budget = Budget::new(10.0);
        budget.hold(Duration::from_secs(7));
        assert!(!budget.try_take());
        let start = Instant::now();
        take(&budget).await;
        assert!(start.elapsed() >= Duration::from_secs(7));
        assert!(budget.try_take());
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_waited_do_not_ask_all_at_once() {
        let budget = Budget::new(10.0);
        let start = Instant::now();
        budget.hold(Duration::from_secs(60));
        join_all((0..100).map(|_| take(&budget))).await;
        let took = start.elapsed().as_secs_f64();
        assert!((68.9..69.5).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn its_rate_can_change() {
        let budget = Budget::new(10.0);
        budget.set_rate(5.0);
        let start = Instant::now();
        for _ in 0..10 {
            take(&budget).await;
        }
        let took = start.elapsed().as_secs_f64();
        assert!((0.9..1.2).contains(&took), "{took}");
        budget.set_rate(10.0);
        for _ in 0..10 {
            take(&budget).await;
        }
        let took = start.elapsed().as_secs_f64() - took;
        assert!((0.9..1.2).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn less_than_one_a_second_is_a_budget_too() {
        let budget = Budget::new(0.5);
        let start = Instant::now();
        for _ in 0..3 {
            take(&budget).await;
        }
        assert_eq!(start.elapsed().as_secs(), 4);
    }
}
