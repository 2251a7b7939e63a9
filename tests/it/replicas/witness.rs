//! Somebody who looks at the page of an import all the time, and remembers what it has shown.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::support::visitor::{Panel, Visitor};

/// States that never change again.
const TERMINAL: [&str; 4] = ["Completed", "Failed", "Cancelled", "Skipped"];

/// How often the page is looked at.
const PAUSE: Duration = Duration::from_millis(30);

/// How long the last look may take, and those before it that were answered as in an outage.
const LAST_WITHIN: Duration = Duration::from_secs(180);

/// How often a page is looked at, and how long it may take until it is as expected: the leases of what was killed end, and
/// the longest pause between two attempts passes, on a machine that is much slower than usual.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const SHOWN_WITHIN: Duration = Duration::from_secs(180);

pub fn is_terminal(state: &str) -> bool {
    TERMINAL.contains(&state)
}

/// A replica that is cut off from the database answers for three seconds as if it were not, and so may show an import as it
/// was. An answer takes a while.
const BEHIND_FOR: Duration = Duration::from_secs(5);

/// The states that a page has shown, without repetitions.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    states: Vec<String>,
    /// When it first showed one that never changes.
    ended_at: Option<Instant>,
    /// How long after that it may show an earlier one.
    behind_for: Duration,
}

impl Seen {
    /// Of a page that any replica shows, while some are cut off.
    pub fn during_cuts() -> Self {
        Self { behind_for: BEHIND_FOR, ..Self::default() }
    }

    /// Looks once. Returns the panel, unless the answer is one of an outage.
    pub async fn look(&mut self, visitor: &Visitor, import: &str) -> Option<Panel> {
        let request = visitor.request(Method::GET, &format!("{import}/panel")).header("HX-Request", "true");
        let answer = request.send().await.ok()?;
        let status = answer.status();
        let html = answer.text().await.ok()?;
        if status.is_server_error() {
            return None;
        }
        assert_eq!(status, StatusCode::OK, "{import}, of which was seen {self:?}: {html}");
        let panel = Panel::read(html);
        if self.states.last() != Some(&panel.state) {
            self.states.push(panel.state.clone());
            self.check(import);
        }
        if is_terminal(&panel.state) {
            self.ended_at.get_or_insert_with(Instant::now);
        }
        Some(panel)
    }

    /// The last state.
    pub fn last(&self) -> Option<&str> {
        self.states.last().map(String::as_str)
    }

    /// After a state that never changes no other one is shown, but for as long as a cut allows.
    fn check(&self, import: &str) {
        let is_too_old = |ended: Instant| ended.elapsed() > self.behind_for;
        let is_over = self.last().is_some_and(is_terminal);
        assert!(is_over || !self.ended_at.is_some_and(is_too_old), "a page of {import} has shown {self:?}");
        // No state that never changes is ever taken for another one.
        let mut terminal: Vec<_> = self.states.iter().filter(|state| is_terminal(state)).collect();
        terminal.dedup();
        assert!(terminal.len() <= 1, "a page of {import} has shown {self:?}");
    }
}

/// Waits until the page of an import is such where `visitor` is. An answer of an outage is none: on a busy machine a replica
/// may hear of the others too late to say what is true.
pub async fn until_shown(visitor: &Visitor, import: &str, is_such: impl Fn(&Panel) -> bool) -> Panel {
    let (start, mut seen) = (Instant::now(), Seen::default());
    loop {
        if let Some(panel) = seen.look(visitor, import).await.filter(&is_such) {
            return panel;
        }
        assert!(start.elapsed() < SHOWN_WITHIN, "{import} at {}: {seen:?}", visitor.origin);
        sleep(LOOK_EVERY).await;
    }
}

pub struct Witness {
    stop: watch::Sender<bool>,
    looking: JoinHandle<Seen>,
}

impl Witness {
    /// Looks where `visitor` is.
    pub fn of(visitor: &Visitor, import: &str) -> Self {
        let (stop, mut seen) = (watch::Sender::new(false), Seen::default());
        let mut stopping = stop.subscribe();
        let (visitor, import) = (visitor.clone(), import.to_owned());
        let looking = tokio::spawn(async move {
            loop {
                // The last look begins after the test has seen what it waits for.
                let is_last = *stopping.borrow();
                if seen.look(&visitor, &import).await.is_some() && is_last {
                    return seen;
                }
                if let Ok(Err(_)) = timeout(PAUSE, stopping.changed()).await {
                    return seen;
                }
            }
        });
        Self { stop, looking }
    }

    /// Looks once more, and ends. The last state that it saw must be `state`.
    pub async fn end(self, state: &str) {
        self.stop.send_replace(true);
        let seen = timeout(LAST_WITHIN, self.looking).await.expect("the last look is answered").unwrap();
        assert_eq!(seen.last(), Some(state), "{seen:?}");
    }
}
