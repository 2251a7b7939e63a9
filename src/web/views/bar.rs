//! The rule: the line that divides a panel is its progress bar.

use askama::{Template, filters::HtmlSafe};

use super::{badge::Tone, progress::Progress};

/// The bar as SVG; lengths are per cent of its width.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "fragments/bar.html")]
pub struct Bar {
    pub tone: Tone,
    pub processed: String,
    /// None when no row failed: a failed part has a least width, so none must not be drawn.
    pub failed: Option<String>,
    /// Where the failed part ends.
    pub end: String,
    /// Bytes that arrive, not rows that are read.
    pub is_receiving: bool,
    /// The same in words.
    pub label: String,
}

impl HtmlSafe for Bar {}

impl Bar {
    #[must_use]
    pub fn new(progress: &Progress, tone: Tone) -> Self {
        let received = progress.receipt.as_ref().map(|receipt| receipt.share().unwrap_or(0.0));
        let share = received.or(progress.share).unwrap_or(0.0);
        let failed = progress.counts.map_or(0.0, |counts| {
            let rows = counts.total().max(1);
            share * counts.failed as f64 / rows as f64
        });
        let percent = |share: f64| format!("{:.2}%", share * 100.0);
        Self {
            tone,
            processed: percent(share - failed),
            failed: (failed > 0.0).then(|| percent(failed)),
            end: percent(share),
            is_receiving: received.is_some(),
            label: progress.in_words(),
        }
    }
}
