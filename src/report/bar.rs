//! The line that divides a panel is its progress bar.

use super::{badge::Tone, progress::Progress};

/// How much of the file is done, as shares from 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    pub tone: Tone,
    pub share: f64,
    /// The part of `share` with failed rows.
    pub failed: f64,
    /// Whether it shows received, unpacked or decoded bytes instead of read rows.
    pub is_receiving: bool,
    /// The same in words.
    pub label: String,
}

impl Bar {
    #[must_use]
    pub fn new(progress: &Progress, tone: Tone) -> Self {
        let received = progress.receipt.as_ref().map(|receipt| receipt.share().unwrap_or(0.0));
        let share = received.or(progress.share).unwrap_or(0.0);
        let failed = progress.counts.map_or(0.0, |counts| {
            let rows = counts.total().max(1);
            share * counts.failed as f64 / rows as f64
        });
        Self { tone, share, failed, is_receiving: received.is_some(), label: progress.in_words() }
    }
}
