//! When an attempt is repeated, and when it is given up.

use std::time::Duration;

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

/// The pause after each failed attempt: in all about a day.
const PAUSES: [Duration; 10] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    minutes(2),
    minutes(10),
    minutes(30),
    minutes(60),
    minutes(2 * 60),
    minutes(4 * 60),
    minutes(8 * 60),
    minutes(8 * 60),
];

/// The longest pause that a receiver's `Retry-After` can cause.
const LONGEST_ASKED: Duration = minutes(60);

/// The pause after the attempt that follows `earlier` others; None after the last one. A tenth is random, so that the
/// deliveries that failed together do not all come back together.
pub(super) fn pause(earlier: u32, asked: Option<Duration>) -> Option<Duration> {
    let pause = PAUSES.get(usize::try_from(earlier).ok()?)?;
    let jitter = pause.mul_f64(rand::random_range(0.0..0.1));
    Some((*pause + jitter).max(asked.unwrap_or_default().min(LONGEST_ASKED)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_tried_for_a_day_and_a_receiver_may_ask_for_a_longer_pause() {
        let pauses: Vec<Duration> = (0..).map_while(|earlier| pause(earlier, None)).collect();
        assert_eq!(pauses.len(), PAUSES.len());
        let day = Duration::from_secs(24 * 60 * 60);
        let whole: Duration = pauses.iter().sum();
        assert!(whole > day * 9 / 10 && whole < day * 12 / 10, "{whole:?}");
        assert!(pauses.is_sorted_by(|one, next| *one <= next.mul_f64(1.1)), "{pauses:?}");
        assert_eq!(pause(0, Some(minutes(10))), Some(minutes(10)));
        assert_eq!(pause(0, Some(day)), Some(LONGEST_ASKED));
        assert!(pause(5, Some(Duration::from_secs(1))) >= Some(minutes(60)));
    }
}
