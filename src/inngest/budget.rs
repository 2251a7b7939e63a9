//! How many questions a second a server is asked, by the whole process.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};

/// A bucket of a second's questions. Whoever waits for news takes from it, if need be in advance; whoever
/// only makes sure leaves half of it alone ([`Budget::has_spare`]). So a thousand watchers that wait for
/// nothing do not hold up the one whose run has just ended.
#[derive(Debug)]
pub struct Budget {
    /// Questions a second.
    rate: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Questions that may be asked now; below zero: asked for in advance.
    tokens: f64,
    at: Instant,
    /// The server wants to be left alone until then.
    held_until: Option<Instant>,
}

impl Budget {
    #[must_use]
    pub fn new(rate: f64) -> Self {
        let state = State { tokens: rate.max(1.0), at: Instant::now(), held_until: None };
        Self { rate, state: Mutex::new(state) }
    }

    /// Waits for the next question's turn.
    pub async fn take(&self) {
        let wait = {
            let mut state = self.filled();
            state.tokens -= 1.0;
            let in_advance = Duration::from_secs_f64((-state.tokens).max(0.0) / self.rate);
            let held = state.held_until.map_or(Duration::ZERO, |until| until.duration_since(state.at));
            held + in_advance
        };
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }

    /// Whether there is a question to spare for somebody who only makes sure.
    #[must_use]
    pub fn has_spare(&self) -> bool {
        let state = self.filled();
        state.held_until.is_none() && state.tokens >= (self.capacity() / 2.0).max(1.0)
    }

    /// The server asked for this much peace.
    pub fn hold(&self, pause: Duration) {
        let mut state = self.filled();
        let until = state.at + pause;
        state.held_until = Some(state.held_until.map_or(until, |known| known.max(until)));
    }

    fn capacity(&self) -> f64 {
        self.rate.max(1.0)
    }

    fn filled(&self) -> MutexGuard<'_, State> {
        // It is whole after each line.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        // While nobody may ask nothing is saved up, or all who waited would ask at once.
        let from = state.held_until.map_or(state.at, |until| until.max(state.at));
        let earned = now.saturating_duration_since(from).as_secs_f64() * self.rate;
        state.tokens = (state.tokens + earned).min(self.capacity());
        state.at = now;
        state.held_until = state.held_until.filter(|until| *until > now);
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_second_has_its_questions_and_no_more() {
        let budget = Budget::new(10.0);
        let start = Instant::now();
        for _ in 0..110 {
            budget.take().await;
        }
        // The first ten were there, the others came at ten a second.
        let took = start.elapsed().as_secs_f64();
        assert!((9.9..10.2).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_it_is_for_those_who_wait_for_news() {
        let budget = Budget::new(10.0);
        let mut spared = 0;
        while budget.has_spare() {
            budget.take().await;
            spared += 1;
        }
        assert_eq!(spared, 6);
        let start = Instant::now();
        budget.take().await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        sleep(Duration::from_secs(1)).await;
        assert!(budget.has_spare());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_asks_while_the_server_wants_peace() {
        let budget = Budget::new(10.0);
        budget.hold(Duration::from_secs(7));
        assert!(!budget.has_spare());
        let start = Instant::now();
        budget.take().await;
        assert!(start.elapsed() >= Duration::from_secs(7));
        assert!(budget.has_spare());
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_waited_do_not_ask_all_at_once() {
        let budget = Budget::new(10.0);
        let start = Instant::now();
        budget.hold(Duration::from_secs(60));
        futures_util::future::join_all((0..100).map(|_| budget.take())).await;
        let took = start.elapsed().as_secs_f64();
        assert!((68.9..69.2).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn less_than_one_a_second_is_a_budget_too() {
        let budget = Budget::new(0.5);
        let start = Instant::now();
        for _ in 0..3 {
            budget.take().await;
        }
        assert_eq!(start.elapsed(), Duration::from_secs(4));
    }
}
