//! What the browser's tab shows for a page: the title, and the state as the colour of the icon.

use crate::{
    http::assets,
    imports::{ImportState, Snapshot},
    report::{
        badge::{BadgeState, FailedRows, Tone},
        block::Block,
    },
};

/// The tab of a live page; polls update it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tab {
    pub title: String,
    /// The address of the icon.
    pub icon: &'static str,
}

impl Tab {
    /// The tab of an import's page: the progress or the state, before the file's name.
    #[must_use]
    pub fn of_import(snapshot: &Snapshot, state: ImportState, blocks: &[Block<'_>]) -> Self {
        // With several runs, the least progress and the first state.
        let is_reading = state == ImportState::Running
            && blocks.iter().all(|block| block.percent.is_some() && block.badge.shown != BadgeState::Queued);
        let percent = blocks.iter().filter_map(|block| block.percent).min().filter(|_| is_reading);
        let undecided = blocks.iter().find(|block| !block.has_ended).or(blocks.first());
        let badge = undecided.map(|block| &block.badge);
        let ended = BadgeState::of_import(snapshot, state);
        let word = match (percent, badge) {
            (Some(percent), _) => format!("{percent}%"),
            (None, Some(badge)) if !state.is_final() => badge.shown.word().to_owned(),
            (None, _) if ended == BadgeState::Completed(FailedRows::All) => "All rows failed".to_owned(),
            (None, _) if state == ImportState::Held => ended.word().to_owned(),
            (None, _) => state.as_str().to_owned(),
        };
        let tone = match badge {
            _ if state.is_final() => ended.tone(),
            Some(badge) if badge.dimmed => Tone::Still,
            Some(badge) => badge.shown.tone(),
            None => Tone::Live,
        };
        Self { title: format!("{word} · {} · Runboard", snapshot.file_name()), icon: icon(tone) }
    }

    /// The tab of the dashboard: how many imports are in progress.
    #[must_use]
    pub fn of_dashboard(going_on: usize) -> Self {
        match going_on {
            0 => Self { title: "Imports · Runboard".to_owned(), icon: &assets::URLS.favicon },
            _ => Self { title: format!("{going_on} running · Runboard"), icon: icon(Tone::Live) },
        }
    }
}

fn icon(tone: Tone) -> &'static str {
    assets::URLS.favicon_of(tone.as_str())
}
