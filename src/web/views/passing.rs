//! What passes by itself while a page stays open: durations that tick, and the time of the last answer.
//!
//! Both are brought forward in the browser, so they are no reason to send a fragment again: its version
//! is what it says besides.

use std::time::Duration;

use askama::{Template, filters::HtmlSafe};
use sha2::{Digest, Sha256};

use super::moment::Moment;
use crate::{inngest::signature::hex, time::UnixMillis, web::format::duration};

/// A duration that goes on; `runboard.js` counts its seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"<span class="kept" data-ticks="{{ so_far.as_millis() }}">{{ self.plain() }}</span>"#
)]
pub struct Ticking {
    pub so_far: Duration,
}

impl HtmlSafe for Ticking {}

impl Ticking {
    /// Without markup.
    #[must_use]
    pub fn plain(self) -> String {
        duration(self.so_far)
    }
}

/// The time of the engine's last answer; `runboard.js` brings it up to date as long as more are expected.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"{% if is_last %}{{ moment }}{% else %}<span data-as-of="{{ at }}">{{ moment }}</span>{% endif %}"#
)]
pub struct AsOf {
    at: UnixMillis,
    moment: Moment,
    /// Nothing more is expected.
    is_last: bool,
}

impl HtmlSafe for AsOf {}

impl AsOf {
    #[must_use]
    pub fn new(at: UnixMillis, is_last: bool, now: UnixMillis) -> Self {
        Self { at, moment: Moment::new(at, now), is_last }
    }

    #[must_use]
    pub fn at(&self) -> UnixMillis {
        self.at
    }
}

/// How the elements above begin and end. No text can pass for one: in text a `"` is escaped.
const BEGINNINGS: [&str; 2] = ["data-ticks=\"", "data-as-of=\""];
const END: &str = "</span>";

/// How many bytes of a fragment's SHA-256 are its version.
const VERSION_BYTES: usize = 8;

/// What a fragment says, apart from what passes by itself.
#[must_use]
pub fn version(fragment: &str) -> String {
    let mut digest = Sha256::new();
    let mut rest = fragment;
    while let Some(begin) = BEGINNINGS.iter().filter_map(|beginning| rest.find(beginning)).min() {
        digest.update(&rest[..begin]);
        let passing = &rest[begin..];
        rest = passing.find(END).map_or("", |length| &passing[length..]);
    }
    digest.update(rest);
    hex(&digest.finalize()[..VERSION_BYTES])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(seconds: u64, as_of: i64, word: &str) -> String {
        let ticking = Ticking { so_far: Duration::from_secs(seconds) };
        let as_of = AsOf::new(UnixMillis(as_of), false, UnixMillis(as_of));
        version(&format!("<p>{word} for {ticking}, as of {as_of}</p><p>{word}</p>"))
    }

    #[test]
    fn time_alone_makes_no_new_version_but_every_word_does() {
        assert_eq!(said(1, 5_000, "Running"), said(2, 6_000, "Running"));
        assert_ne!(said(1, 5_000, "Running"), said(1, 5_000, "Queued"));
        assert_ne!(version("a"), version("b"));
        let named = |badge| version(&format!("<p title=\"data-ticks=.csv\"><span>{badge}</span></p>"));
        assert_ne!(named("Running"), named("Queued"), "a name cannot make it blind");
    }
}
