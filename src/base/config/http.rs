//! How long requests may take to arrive, and how long clients may take to read answers.

use std::time::Duration;

/// The deadlines of every listener. They are not settings; tests shorten them.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// The longest time in which a request's head may arrive.
    pub head: Duration,
    /// The longest pause between two bytes of a body.
    pub body_pause: Duration,
    /// In each window of this length a body must bring `body_bytes_per_second` on average.
    pub body_window: Duration,
    pub body_bytes_per_second: u64,
    /// The longest pause while a client reads an answer.
    pub write_pause: Duration,
    /// When the server stops: how long uploads may go on to arrive. Requests, among them Inngest's calls, which are
    /// running steps, may take `ANSWER_GRACE` (`app/server.rs`) longer.
    pub stop_grace: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(15),
            body_pause: Duration::from_secs(30),
            body_window: Duration::from_secs(30),
            body_bytes_per_second: 1024,
            write_pause: Duration::from_secs(60),
            stop_grace: Duration::from_secs(10),
        }
    }
}

impl HttpLimits {
    /// The fewest bytes that a body must bring in a window.
    #[must_use]
    pub fn bytes_per_window(&self) -> u64 {
        self.body_bytes_per_second.saturating_mul(self.body_window.as_secs().max(1))
    }
}
