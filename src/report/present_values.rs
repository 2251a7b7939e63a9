//! How each part of a file is read now, and what detection finds, beside the field that changes it.

use std::collections::BTreeMap;

use super::{
    encodings::encoding_name,
    format::grouped,
    reading::{encoding_and_how, how, separators},
};
use crate::csv::{Escape, HeaderAt, How, Quote, ReadAs};

/// By form field.
pub type PresentValues = BTreeMap<&'static str, String>;

/// The values of a reading: `semicolons`, `line 6 (a guess)`.
#[must_use]
pub fn present_values(read_as: &ReadAs) -> PresentValues {
    let say = |words: String, part: How| match how(part) {
        Some(how) => format!("{words} ({how})"),
        None => words,
    };
    let mut values: PresentValues =
        parts(read_as).into_iter().map(|(field, words, part)| (field, say(words, part))).collect();
    values.insert("encoding", encoding_and_how(&read_as.reading));
    values
}

/// The values that were detected: `semicolons`, `line 6`. What was chosen is left out. Which are guesses is in the
/// line about the reading; a list on a phone has no room for it.
#[must_use]
pub fn detected_values(read_as: &ReadAs) -> PresentValues {
    let detected = parts(read_as).into_iter().filter(|(.., part)| *part != How::Chosen);
    detected.map(|(field, words, _)| (field, words)).collect()
}

/// Form field, value and certainty of each part.
fn parts(read_as: &ReadAs) -> Vec<(&'static str, String, How)> {
    let reading = &read_as.reading;
    let quote = match reading.quote.value {
        Quote::Double => "\"",
        Quote::Single => "'",
        Quote::None => "none",
    };
    let escape = match reading.escape.value {
        Escape::Doubled => "doubled",
        Escape::Backslash => "after a backslash",
    };
    let header = match reading.header.value {
        HeaderAt::None => "no header".to_owned(),
        HeaderAt::Line(line) => format!("line {}", grouped(line.get())),
    };
    let mut parts = vec![
        ("encoding", encoding_name(reading.encoding.value).0.to_owned(), reading.encoding.how),
        ("quote", quote.to_owned(), reading.quote.how),
        ("escape", escape.to_owned(), reading.escape.how),
        ("header", header, reading.header.how),
    ];
    // The cells of a sheet have no separator, unless one was chosen.
    if read_as.sheet.is_none() || reading.delimiter.how != How::Certain {
        parts.push(("delimiter", separators(reading.delimiter.value), reading.delimiter.how));
    }
    if let Some(sheet) = &read_as.sheet {
        parts.push(("sheet", sheet.name.as_str().to_owned(), sheet.how));
    }
    if reading.header.value != HeaderAt::None {
        parts.push(("header_rows", reading.header_rows.value.to_string(), reading.header_rows.how));
    }
    parts
}
