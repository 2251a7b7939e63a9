//! How each part of a file is read now, beside the field that changes it.

use std::collections::BTreeMap;

use super::{
    format::grouped,
    reading::{encoding_and_how, how, separators},
};
use crate::csv::{Escape, HeaderAt, How, Quote, ReadAs};

/// By form field.
pub type PresentValues = BTreeMap<&'static str, String>;

/// The values of a reading: `semicolons`, `line 6 (a guess)`.
#[must_use]
pub fn present_values(read_as: &ReadAs) -> PresentValues {
    let reading = &read_as.reading;
    let say = |words: String, part: How| match how(part) {
        Some(how) => format!("{words} ({how})"),
        None => words,
    };
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
    let mut values = BTreeMap::from([
        ("delimiter", say(separators(reading.delimiter.value), reading.delimiter.how)),
        ("encoding", encoding_and_how(reading)),
        ("quote", say(quote.to_owned(), reading.quote.how)),
        ("escape", say(escape.to_owned(), reading.escape.how)),
        ("header", say(header, reading.header.how)),
    ]);
    if let Some(sheet) = &read_as.sheet {
        values.insert("sheet", say(sheet.name.as_str().to_owned(), sheet.how));
    }
    if reading.header.value != HeaderAt::None {
        let rows = reading.header_rows;
        values.insert("header_rows", say(rows.value.to_string(), rows.how));
    }
    values
}
