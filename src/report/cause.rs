//! Why a run failed, according to its function: as a part of a sentence, and as a sentence.

use std::borrow::Cow;

use crate::{imports::RunSnapshot, inngest::RunFailure};

/// The longest quoted reason in characters. The technical details contain all of it.
const LONGEST_REASON: usize = 300;

pub fn failure(run: &RunSnapshot) -> Option<&RunFailure> {
    run.row.output.as_ref()?.failure.as_ref()
}

/// Why a run failed, as a part of a sentence.
pub fn cause(run: &RunSnapshot) -> Option<Cow<'_, str>> {
    let message = failure(run)?.message.as_deref()?;
    Some(quoted(message)).filter(|text| !text.is_empty())
}

/// The same as a sentence.
pub fn cause_sentence(run: &RunSnapshot) -> Option<Cow<'_, str>> {
    cause(run).map(sentence)
}

/// A reason as a sentence: with a capital letter and a full stop.
pub fn as_sentence(reason: &str) -> Cow<'_, str> {
    sentence(quoted(reason))
}

/// The first line without its full stop, cut to a suitable length.
pub fn quoted(reason: &str) -> Cow<'_, str> {
    let line = reason.lines().next().unwrap_or_default().trim().trim_end_matches('.').trim_end();
    match line.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => Cow::Owned(format!("{} …", line[..end].trim_end())),
        None => Cow::Borrowed(line),
    }
}

/// The result of [`quoted`] or [`cause`] as a sentence.
pub fn sentence(quoted: Cow<'_, str>) -> Cow<'_, str> {
    let mut chars = quoted.chars();
    let Some(first) = chars.next() else { return quoted };
    let end = if quoted.ends_with(['.', '!', '?', '…']) { "" } else { "." };
    let capital = first.to_uppercase();
    if capital.clone().eq([first]) && end.is_empty() {
        return quoted;
    }
    Cow::Owned(format!("{capital}{}{end}", chars.as_str()))
}
