//! A clock that shows unix time and never runs backwards.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::UnixMillis;

/// While the system clock is behind, this clock runs slower by one part in this many, so that it loses an
/// hour in ten hours. Measured durations are too short by the same ratio.
const LOSES_ONE_IN: u32 = 10;

/// A system clock that jumps ahead by more than this is followed only after it has stayed ahead for
/// [`DOUBTED_FOR`]. This clock never runs backwards, so it would otherwise keep a wrong year that the system
/// clock showed for a second.
const WORTH_A_DOUBT: Duration = Duration::from_secs(60);
const DOUBTED_FOR: Duration = Duration::from_secs(10);

/// A system clock that is behind by less than this is corrected without a warning.
const WORTH_A_WORD: Duration = Duration::from_secs(2);

/// The last moment at which the system clock was right.
///
/// Invariant: a later reading is never less than an earlier one. The clock follows a system clock that is
/// ahead at once, one that is far ahead after a while, and approaches one that was set back from above.
#[derive(Debug)]
struct Steady {
    instant: Instant,
    wall: UnixMillis,
    is_ahead: bool,
    /// When the system clock was first seen far ahead.
    doubted_since: Option<Instant>,
}

impl Steady {
    fn new(wall: UnixMillis, instant: Instant) -> Self {
        Self { instant, wall, is_ahead: false, doubted_since: None }
    }

    /// The time at `instant`, when the system clock shows `wall`.
    fn at(&mut self, wall: UnixMillis, instant: Instant) -> ClockReading {
        let elapsed = instant.saturating_duration_since(self.instant);
        let expected = self.wall.plus(elapsed);
        if wall.since(expected) > WORTH_A_DOUBT {
            let since = *self.doubted_since.get_or_insert(instant);
            if instant.saturating_duration_since(since) < DOUBTED_FOR {
                return ClockReading { now: expected, set_back_by: None };
            }
        }
        let least = match self.doubted_since.take() {
            None => self.wall.plus(elapsed - elapsed / LOSES_ONE_IN),
            Some(_) => {
                // Readings advanced up to this time while the jump was in doubt.
                (self.wall, self.instant) = (expected, instant);
                expected
            }
        };
        if wall >= least {
            *self = Self::new(wall, instant);
            return ClockReading { now: wall, set_back_by: None };
        }
        let ahead = least.since(wall);
        let is_new = !self.is_ahead && ahead >= WORTH_A_WORD;
        self.is_ahead |= is_new;
        ClockReading { now: least, set_back_by: is_new.then_some(ahead) }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct ClockReading {
    now: UnixMillis,
    /// Set only in the first reading after the system clock falls behind.
    set_back_by: Option<Duration>,
}

pub(super) fn now() -> UnixMillis {
    static CLOCK: Mutex<Option<Steady>> = Mutex::new(None);
    let reading = {
        let mut clock = CLOCK.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock, so that readings are in the order in which they are returned.
        let (wall, instant) = (UnixMillis::wall(), Instant::now());
        clock.get_or_insert_with(|| Steady::new(wall, instant)).at(wall, instant)
    };
    if let Some(by) = reading.set_back_by {
        tracing::warn!(
            seconds = by.as_secs(),
            "the system clock was set back; times stay ahead of it and approach it slowly, until a restart at the latest"
        );
    }
    reading.now
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: UnixMillis = UnixMillis(1_795_466_651_000);
    const HOUR: Duration = Duration::from_secs(3_600);

    /// A clock that has run for a minute, with its current instant and time.
    fn running() -> (Steady, Instant, UnixMillis) {
        let start = Instant::now();
        let mut clock = Steady::new(WALL, start);
        let (instant, wall) = (start + Duration::from_secs(60), WALL.plus(Duration::from_secs(60)));
        assert_eq!(clock.at(wall, instant), ClockReading { now: wall, set_back_by: None });
        (clock, instant, wall)
    }

    #[test]
    fn a_clock_set_back_an_hour_goes_on_until_the_system_clock_has_caught_up() {
        let (mut clock, instant, wall) = running();
        let back = wall.minus(HOUR);
        assert_eq!(clock.at(back, instant), ClockReading { now: wall, set_back_by: Some(HOUR) });
        for seconds in [10, 100, 1_000, 10_000, 36_000, 40_000] {
            let elapsed = Duration::from_secs(seconds);
            let reading = clock.at(back.plus(elapsed), instant + elapsed);
            // The clock advances 9 s per 10 s until the system clock shows more.
            let expected = wall.plus(elapsed * 9 / 10).max(back.plus(elapsed));
            assert_eq!(reading, ClockReading { now: expected, set_back_by: None }, "after {seconds} s");
        }
        // The clock has caught up, so the next correction is new and reported again.
        let instant = instant + Duration::from_secs(40_000);
        let wall = back.plus(Duration::from_secs(40_000));
        assert_eq!(clock.at(wall.minus(HOUR), instant).set_back_by, Some(HOUR));
    }

    #[test]
    fn a_clock_that_was_far_ahead_for_a_moment_leaves_no_trace() {
        let (mut clock, start, wall) = running();
        let at =
            |seconds: u64| (start + Duration::from_secs(seconds), wall.plus(Duration::from_secs(seconds)));
        for seconds in 1..9 {
            let (instant, right) = at(seconds);
            let year_ahead = right.plus(365 * 24 * HOUR);
            assert_eq!(clock.at(year_ahead, instant), ClockReading { now: right, set_back_by: None });
        }
        for seconds in 10..40 {
            let (instant, right) = at(seconds);
            assert_eq!(clock.at(right, instant), ClockReading { now: right, set_back_by: None });
        }
    }

    #[test]
    fn a_clock_set_back_and_forth_any_number_of_times_never_runs_backwards() {
        let (mut clock, mut instant, wall) = running();
        let mut last = wall;
        // Seconds by which the system clock is off. The steps are a third of a millisecond, and none must get
        // lost.
        for off in [0, -1, -3_600, -3_599, -7_200, 0, 86_400, -86_400, 5, 4].repeat(1_000) {
            instant += Duration::from_micros(333);
            let shown = UnixMillis(wall.0 + off * 1_000);
            let now = clock.at(shown, instant).now;
            assert!(now >= last, "{now} after {last}, shown {shown}");
            last = now;
        }
        assert!(last > wall.plus(Duration::from_secs(7)), "it stood still: {last}");
    }

    #[test]
    fn a_clock_set_forward_is_followed_at_once_or_if_far_once_it_stays_there() {
        let (mut clock, instant, wall) = running();
        let forward = wall.plus(WORTH_A_DOUBT);
        assert_eq!(clock.at(forward, instant).now, forward);
        let far = forward.plus(HOUR);
        assert_eq!(clock.at(far, instant).now, forward);
        let after = |wait: Duration| (far.plus(wait), instant + wait);
        let (shown, later) = after(DOUBTED_FOR);
        assert_eq!(clock.at(shown, later).now, shown);
    }

    #[test]
    fn times_at_the_ends_of_their_range_are_no_overflow() {
        let (mut clock, instant, wall) = running();
        assert_eq!(clock.at(UnixMillis(i64::MIN), instant).now, wall);
        assert_eq!(clock.at(UnixMillis(i64::MAX), instant).now, wall);
        assert_eq!(clock.at(UnixMillis(i64::MAX), instant + DOUBTED_FOR).now, UnixMillis(i64::MAX));
        assert_eq!(clock.at(wall, instant + HOUR).now, UnixMillis(i64::MAX));
    }
}
