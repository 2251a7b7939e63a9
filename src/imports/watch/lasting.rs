//! Durations by a monotonic clock.

use std::time::Duration;

use tokio::time::Instant;

use crate::base::time::UnixMillis;

/// Something that has begun, possibly before this process.
#[derive(Clone, Copy, Debug)]
pub struct Lasting {
    /// Its duration when it was first seen: the only part that depends on the system clock.
    before: Duration,
    learned: Instant,
}

impl Lasting {
    pub fn since(begin: UnixMillis) -> Self {
        Self { before: UnixMillis::now().since(begin), learned: Instant::now() }
    }

    pub fn so_far(self) -> Duration {
        self.at(Instant::now())
    }

    /// Its duration at `time`.
    pub fn at(self, time: Instant) -> Duration {
        self.before.saturating_add(time.saturating_duration_since(self.learned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_begin_that_lies_ahead_as_after_a_clock_was_set_back_counts_from_now() {
        let lasting = Lasting::since(UnixMillis::now().plus(Duration::from_secs(3_600)));
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(lasting.so_far(), Duration::from_secs(30));
    }
}
