//! What a person chose about how a file is read, in words.

use super::{encodings::encoding_in_full, format::grouped, reading::separators};
use crate::csv::{Choices, Escape, HeaderAt, Quote, ReadAs};

/// `Separated by semicolons, Windows-1252 (Western Europe), no header`; empty if nothing was chosen.
#[must_use]
pub fn choices_in_words(choices: &Choices) -> String {
    let quote = choices.quote.map(|quote| match quote {
        Quote::Double => "quoted with \"",
        Quote::Single => "quoted with '",
        Quote::None => "quotes are text",
    });
    let escape = choices.escape.map(|escape| match escape {
        Escape::Doubled => "quotes inside are doubled",
        Escape::Backslash => "quotes inside are escaped with \\",
    });
    let header = choices.header.map(|header| match header {
        HeaderAt::None => "no header".to_owned(),
        HeaderAt::Line(line) => format!("header in line {}", grouped(line.get())),
    });
    let rows = choices.header_rows.map(|rows| match rows {
        1 => "1 header row".to_owned(),
        rows => format!("{rows} header rows"),
    });
    let parts = [
        choices.sheet.as_ref().map(|sheet| format!("sheet \"{}\"", sheet.as_str())),
        choices.delimiter.map(|delimiter| format!("separated by {}", separators(delimiter))),
        choices.encoding.map(encoding_in_full),
        quote.map(str::to_owned),
        escape.map(str::to_owned),
        header,
        rows,
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Whether a file is read as `choices` say.
#[must_use]
pub fn is_read_so(read_as: &ReadAs, choices: &Choices) -> bool {
    let Choices { sheet, encoding, delimiter, quote, escape, header, header_rows } = choices;
    let reading = &read_as.reading;
    let read = read_as.sheet.as_ref().map(|read| &read.name);
    sheet.as_ref().is_none_or(|chosen| Some(chosen) == read)
        && encoding.is_none_or(|chosen| chosen == reading.encoding.value)
        && delimiter.is_none_or(|chosen| chosen == reading.delimiter.value)
        && quote.is_none_or(|chosen| chosen == reading.quote.value)
        && escape.is_none_or(|chosen| chosen == reading.escape.value)
        && header.is_none_or(|chosen| chosen == reading.header.value)
        && header_rows.is_none_or(|chosen| chosen == reading.header_rows.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_is_said() {
        let chosen = |fields: &[(&str, &str)]| {
            let mut choices = Choices::default();
            for (field, value) in fields {
                assert!(choices.set(field, value).unwrap());
            }
            choices_in_words(&choices)
        };
        assert_eq!(chosen(&[]), "");
        assert_eq!(
            chosen(&[("sheet", "Q1"), ("delimiter", ";"), ("encoding", "latin1"), ("header", "none")]),
            "sheet \"Q1\", separated by semicolons, Windows-1252 (Western Europe), no header"
        );
        assert_eq!(
            chosen(&[("quote", "single"), ("escape", "backslash"), ("header", "1200"), ("header_rows", "2")]),
            "quoted with ', quotes inside are escaped with \\, header in line 1,200, 2 header rows"
        );
    }
}
