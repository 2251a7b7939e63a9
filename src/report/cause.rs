//! Why a run failed, as its function said: within a sentence, and as one of its own.

use crate::{imports::RunSnapshot, inngest::RunFailure};

/// The longest reason that is quoted, in characters; all of it is in the technical detail.
const LONGEST_REASON: usize = 300;

pub fn failure(run: &RunSnapshot) -> Option<&RunFailure> {
    run.row.output.as_ref()?.failure.as_ref()
}

/// Why a run failed, to be quoted within a sentence.
pub fn cause(run: &RunSnapshot) -> Option<String> {
    let message = failure(run)?.message.as_deref()?;
    Some(quoted(message)).filter(|text| !text.is_empty())
}

/// The same as a sentence of its own.
pub fn cause_sentence(run: &RunSnapshot) -> Option<String> {
    cause(run).map(|cause| as_sentence(&cause))
}

/// A reason as a sentence of its own: it begins with a capital and ends with a full stop.
pub fn as_sentence(reason: &str) -> String {
    let sentence = capitalized(&quoted(reason));
    let has_end = sentence.is_empty() || sentence.ends_with(['.', '!', '?', '…']);
    if has_end { sentence } else { sentence + "." }
}

/// The first line, without a full stop of its own, cut to a length that fits.
pub fn quoted(reason: &str) -> String {
    let line = reason.lines().next().unwrap_or_default().trim().trim_end_matches('.');
    match line.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => format!("{} …", line[..end].trim_end()),
        None => line.to_owned(),
    }
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
