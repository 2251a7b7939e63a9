//! A brake on guessing passwords.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::Email;

/// Somebody who has forgotten which password it was gets this many tries ...
const ATTEMPTS: u32 = 10;

/// ... and then waits, at most, this long. Guessing gets 2,880 tries a day.
const WINDOW: Duration = Duration::from_secs(5 * 60);

/// About a megabyte when full; then the oldest entry makes room.
const ENTRIES: usize = 4096;

/// Whose password is tried, and from where. Behind a proxy all people have the proxy's address.
pub(super) type Key = (Email, Option<IpAddr>);

/// Counts sign-ins that did not succeed, in memory: a restart forgets them.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    attempts: Mutex<HashMap<Key, Attempts>>,
}

#[derive(Debug)]
struct Attempts {
    count: u32,
    since: Instant,
}

impl Throttle {
    /// Counts an attempt before it is made, so that many at once cannot slip through together;
    /// `false` if it must wait.
    pub fn allows(&self, key: &Key, now: Instant) -> bool {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if attempts.len() >= ENTRIES && !attempts.contains_key(key) {
            let oldest = attempts.iter().min_by_key(|(_, entry)| entry.since).map(|(key, _)| key.clone());
            oldest.map(|key| attempts.remove(&key));
        }
        let entry = attempts.entry(key.clone()).or_insert(Attempts { count: 0, since: now });
        if now.duration_since(entry.since) >= WINDOW {
            *entry = Attempts { count: 0, since: now };
        }
        entry.count = entry.count.saturating_add(1);
        entry.count <= ATTEMPTS
    }

    /// The password was right: what went before was not guessing.
    pub fn forget(&self, key: &Key) {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        (format!("{name}@example.org").parse().unwrap(), None)
    }

    #[test]
    fn the_eleventh_attempt_waits_for_the_window_to_end() {
        let throttle = Throttle::default();
        let start = Instant::now();
        for _ in 0..ATTEMPTS {
            assert!(throttle.allows(&key("ada"), start));
        }
        assert!(!throttle.allows(&key("ada"), start));
        assert!(throttle.allows(&key("grace"), start), "others are not held up");
        assert!(throttle.allows(&key("ada"), start + WINDOW));
    }

    #[test]
    fn the_right_password_starts_anew() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for _ in 0..ATTEMPTS {
            throttle.allows(&key("ada"), now);
        }
        throttle.forget(&key("ada"));
        assert!(throttle.allows(&key("ada"), now));
    }

    #[test]
    fn memory_stays_bounded() {
        let throttle = Throttle::default();
        let start = Instant::now();
        for name in 0..ENTRIES + 10 {
            throttle.allows(&key(&name.to_string()), start + Duration::from_millis(name as u64));
        }
        assert_eq!(throttle.attempts.lock().unwrap().len(), ENTRIES);
        assert!(!throttle.attempts.lock().unwrap().contains_key(&key("0")), "the oldest went");
    }
}
