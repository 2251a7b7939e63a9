//! Decides when the engine is polled next.
//!
//! An engine that reaches us reports most changes by itself. Polls are then the backup, and each poll without
//! news makes the next pause longer. An engine that does not report (or not yet) is polled about once a
//! second at first.

use std::time::Duration;

use tokio::time::Instant;

/// How the pauses between polls grow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    first: Duration,
    factor: f64,
    longest: Duration,
}

const fn rule(first: u64, factor: f64, longest: u64) -> Rule {
    Rule { first: Duration::from_secs(first), factor, longest: Duration::from_secs(longest) }
}

/// The engine reports changes, but not the expected one: that a run appears, or leaves the queue. 1, 4, 13,
/// 40, 70, ... seconds after the last news.
pub const AWAITED: Rule = rule(1, 3.0, 30);
/// The engine reports changes: 5, 30, 60, ... seconds after the last news.
pub const REPORTED: Rule = rule(5, 5.0, 30);
/// It does not: after 1, 2.3, 3.8, ... seconds, then every five.
pub const UNREPORTED: Rule = rule(1, 1.25, 5);
/// No function accepts the event.
pub const IDLE: Rule = rule(5, 1.5, 30);
/// A step is active in this process, so we know more about the run than the engine. After a minute has shown
/// the event's other runs, there is little to poll for.
pub const AT_WORK: Rule = rule(60, 60.0, 3_600);
/// The engine may have lost the run.
pub const LOST: Rule = rule(60, 1.0, 60);
/// The engine does not answer.
pub const SILENT: Rule = rule(1, 1.5, 10);

#[derive(Debug)]
pub struct Pace {
    gap: Option<Duration>,
    due: Instant,
}

impl Pace {
    /// The first poll is due at once.
    pub fn new() -> Self {
        Self { gap: None, due: Instant::now() }
    }

    pub fn due(&self) -> Instant {
        self.due
    }

    pub fn is_due(&self) -> bool {
        Instant::now() >= self.due
    }

    /// The answer brought something new: the pauses start again.
    pub fn news(&mut self, rule: Rule) {
        self.wait(rule.first);
    }

    /// A report brought something new: the pauses start again, but a planned poll is not delayed. It may be
    /// about another run, and more reports may come before it is due.
    pub fn reported(&mut self, rule: Rule) {
        let due = self.due;
        self.wait(rule.first);
        self.no_later_than(due);
    }

    /// The poll brought nothing new.
    pub fn no_news(&mut self, rule: Rule) {
        let grown = self.gap.map_or(rule.first, |gap| gap.mul_f64(rule.factor));
        self.wait(grown.clamp(rule.first, rule.longest));
    }

    /// Polls within `pause` at the latest; the pauses start again from there.
    pub fn soon(&mut self, pause: Duration) {
        self.due = self.due.min(Instant::now() + pause);
        self.gap = None;
    }

    /// Polls at `due` at the latest; the pauses after that keep growing.
    pub fn no_later_than(&mut self, due: Instant) {
        self.due = self.due.min(due);
    }

    /// Delays the next poll, and changes nothing else.
    pub fn postpone(&mut self, pause: Duration) {
        self.due = self.due.max(Instant::now() + pause);
    }

    /// Polls next at `due`, and not earlier.
    pub fn at(&mut self, due: Instant) {
        self.due = due;
    }

    fn wait(&mut self, gap: Duration) {
        self.gap = Some(gap);
        self.due = Instant::now() + gap;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many whole seconds of an hour polls are made that bring nothing new.
    async fn asked(rule: Rule) -> Vec<u64> {
        let start = Instant::now();
        let mut pace = Pace::new();
        pace.news(rule);
        let mut times = Vec::new();
        while pace.due() < start + Duration::from_secs(3_600) {
            tokio::time::sleep_until(pace.due()).await;
            times.push(start.elapsed().as_secs());
            pace.no_news(rule);
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_tells_is_asked_less_and_less() {
        assert_eq!(asked(AWAITED).await[..6], [1, 4, 13, 40, 70, 100]);
        let times = asked(REPORTED).await;
        assert_eq!(times[..4], [5, 30, 60, 90]);
        assert_eq!(times.len(), 120);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_whose_steps_are_at_work_here_costs_one_poll_an_hour() {
        assert_eq!(asked(AT_WORK).await, [60]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_cannot_reach_us_is_asked_often() {
        let times = asked(UNREPORTED).await;
        assert!(times.iter().filter(|at| **at <= 10).count() >= 5, "{times:?}");
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= 5), "{times:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn news_start_the_pauses_anew_and_soon_means_no_later() {
        let mut pace = Pace::new();
        pace.no_news(AWAITED);
        pace.no_news(AWAITED);
        pace.news(AWAITED);
        let start = Instant::now();
        assert_eq!(pace.due() - start, Duration::from_secs(1));
        pace.soon(Duration::from_secs(5));
        assert_eq!(pace.due() - start, Duration::from_secs(1));
        pace.soon(Duration::from_millis(100));
        assert_eq!(pace.due() - start, Duration::from_millis(100));
        pace.reported(REPORTED);
        assert_eq!(pace.due() - start, Duration::from_millis(100));
        pace.news(REPORTED);
        assert_eq!(pace.due() - start, Duration::from_secs(5));
        pace.reported(AWAITED);
        assert_eq!(pace.due() - start, Duration::from_secs(1));
    }
}
