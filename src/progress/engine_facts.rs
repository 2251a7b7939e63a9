//! What is known about the engine: whether it reaches us, and whether it reports the ends of runs.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{lock, messages::EngineMessage};

/// The same fact is told again after this, for replicas that have begun since, or have missed it.
const TOLD_AGAIN_AFTER: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct EngineFacts {
    is_reached: AtomicBool,
    /// Whether an end was found by polling and the engine did not report it.
    misses_ends: AtomicBool,
    reached_told: Mutex<Option<Instant>>,
    ends_told: Mutex<Option<Instant>>,
}

impl EngineFacts {
    pub(super) fn is_reached(&self) -> bool {
        self.is_reached.load(Ordering::Relaxed)
    }

    pub(super) fn misses_ends(&self) -> bool {
        self.misses_ends.load(Ordering::Relaxed)
    }

    /// Takes what this process or another replica has learned. Returns whether it is new.
    pub(super) fn learn(&self, fact: &EngineMessage) -> bool {
        match fact {
            EngineMessage::Reached => !self.is_reached.swap(true, Ordering::Relaxed),
            EngineMessage::ReportsEnds => self.misses_ends.swap(false, Ordering::Relaxed),
            EngineMessage::MissesEnds => !self.misses_ends.swap(true, Ordering::Relaxed),
        }
    }

    /// Whether the other replicas must be told what was learned here.
    pub(super) fn must_tell(&self, fact: &EngineMessage, is_new: bool) -> bool {
        let told = match fact {
            EngineMessage::Reached => &self.reached_told,
            EngineMessage::ReportsEnds => &self.ends_told,
            EngineMessage::MissesEnds => return true,
        };
        let mut told = lock(told);
        let must_tell = is_new || told.is_none_or(|at| at.elapsed() >= TOLD_AGAIN_AFTER);
        if must_tell {
            *told = Some(Instant::now());
        }
        must_tell
    }
}
