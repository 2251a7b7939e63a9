//! How a file was read, in words: the line below an import's name.

use super::{
    encodings::encoding_name,
    format::{counted, grouped},
};
use crate::csv::{Delimiter, Dialect, Escape, HeaderAt, How, Note, Notes, Part, Quote, ReadAs, Reading};

/// The line of a file that has so many `columns`, with its full stop: `Separated by semicolons, Windows-1252
/// (Western Europe, a guess), header in line 6 (5 lines above it left out), 2 empty columns left out.`
#[must_use]
pub fn reading_line(read_as: &ReadAs, columns: Option<usize>) -> String {
    let ReadAs { reading, dialect } = read_as;
    let mut parts = vec![separator(reading, columns), encoding(reading)];
    parts.extend(quote(reading.quote));
    parts.extend(escape(reading.escape));
    parts.extend(dialect_notes(dialect));
    parts.push(header(reading));
    parts.extend(left_out(&reading.notes, reading.header.value, columns));
    format!("{}.", parts.join(", "))
}

/// The line of a file that was read by a version that knew only one reading.
#[must_use]
pub fn plain_reading_line(header_line: Option<u64>) -> String {
    match header_line {
        Some(line) => format!("Separated by commas, UTF-8, header in line {}.", grouped(line)),
        None => "Separated by commas, UTF-8.".to_owned(),
    }
}

/// What follows a part in parentheses; None if the part is certain.
fn how(how: How) -> Option<&'static str> {
    match how {
        How::Certain => None,
        How::Guess => Some("a guess"),
        How::Chosen => Some("chosen"),
    }
}

/// `words (a guess)`.
fn with_how(words: String, part: How) -> String {
    match how(part) {
        Some(how) => format!("{words} ({how})"),
        None => words,
    }
}

fn separator(reading: &Reading, columns: Option<usize>) -> String {
    let Part { value, how } = reading.delimiter;
    if let Some(said) = reading.notes.of(Note::SeparatorLine) {
        let words = format!("Separated by {}, as line {} says", separators(value), grouped(said.first_line));
        // The line itself is certain; a person may have chosen the same.
        return with_how(words, if how == How::Chosen { how } else { How::Certain });
    }
    match (columns, how) {
        (Some(1), How::Certain) => "One column".to_owned(),
        (Some(1), How::Guess) => "One column (a guess: the header has no separator)".to_owned(),
        _ => with_how(format!("Separated by {}", separators(value)), how),
    }
}

/// A delimiter as a plural, after "Separated by".
#[must_use]
pub fn separators(delimiter: Delimiter) -> String {
    match delimiter.as_str() {
        "," => "commas".to_owned(),
        ";" => "semicolons".to_owned(),
        "\t" => "tabs".to_owned(),
        "|" => "pipes (|)".to_owned(),
        " " => "spaces".to_owned(),
        ":" => "colons".to_owned(),
        "^" => "carets (^)".to_owned(),
        ", " => "comma and space".to_owned(),
        "; " => "semicolon and space".to_owned(),
        text => visible(text),
    }
}

/// A text whose control characters and spaces can be seen: `U+0001`, `::`, `|·|`.
fn visible(text: &str) -> String {
    let sign = |c: char| match c {
        c if c.is_control() => format!("U+{:04X}", u32::from(c)),
        c if c.is_whitespace() => "·".to_owned(),
        c => c.to_string(),
    };
    text.chars().map(sign).collect()
}

fn encoding(reading: &Reading) -> String {
    let Part { value, how: certainty } = reading.encoding;
    let (name, region) = encoding_name(value);
    let more: Vec<&str> =
        Some(region).filter(|region| !region.is_empty()).into_iter().chain(how(certainty)).collect();
    if more.is_empty() { name.to_owned() } else { format!("{name} ({})", more.join(", ")) }
}

/// Said unless it is the usual quote, and certain.
fn quote(quote: Part<Quote>) -> Option<String> {
    let words = match quote.value {
        Quote::Double if quote.how == How::Certain => return None,
        Quote::Double => "quoted with \"",
        Quote::Single => "quoted with '",
        Quote::None => "quotes are text",
    };
    Some(with_how(words.to_owned(), quote.how))
}

/// Said unless it is the usual escape, and certain.
fn escape(escape: Part<Escape>) -> Option<String> {
    let words = match escape.value {
        Escape::Doubled if escape.how == How::Certain => return None,
        Escape::Doubled => "quotes inside are doubled",
        Escape::Backslash => "quotes inside are escaped with \\",
    };
    Some(with_how(words.to_owned(), escape.how))
}

fn dialect_notes(dialect: &Dialect) -> impl Iterator<Item = String> {
    let said = [
        (dialect.spaces_around_quotes, "spaces around quotes left out"),
        (dialect.lines_are_quoted, "every line is one quoted field and its inside is read"),
        (dialect.inner_quotes_are_text, "a quote inside a quoted field is text unless a separator follows"),
    ];
    said.into_iter().filter(|(applies, _)| *applies).map(|(_, words)| words.to_owned())
}

/// The header's place, how sure that is, and what was left out above it.
fn header(reading: &Reading) -> String {
    let rows = reading.header_rows.value;
    let words = match (reading.header.value, rows) {
        (HeaderAt::None, _) => "no header".to_owned(),
        (HeaderAt::Line(line), ..=1) => format!("header in line {}", grouped(line.get())),
        (HeaderAt::Line(first), rows) => {
            let last = first.get().saturating_add(u64::from(rows) - 1);
            let between = if rows == 2 { "and" } else { "to" };
            format!("header in lines {} {between} {}", grouped(first.get()), grouped(last))
        }
    };
    let certainty = match (reading.header.how, reading.header_rows.how) {
        (How::Guess, _) => How::Guess,
        // The number of rows of no header, and of one row, is nothing to be unsure about.
        (_, How::Guess) if rows > 1 => How::Guess,
        (How::Chosen, _) => How::Chosen,
        (_, How::Chosen) if rows > 1 => How::Chosen,
        (How::Certain, _) => How::Certain,
    };
    let above = above_header(reading);
    let more: Vec<String> = how(certainty).map(str::to_owned).into_iter().chain(above).collect();
    if more.is_empty() { words } else { format!("{words} ({})", more.join("; ")) }
}

/// `5 lines above it left out`, `1 comment line (#) above it left out`.
fn above_header(reading: &Reading) -> Option<String> {
    let count = |note| reading.notes.of(note).map_or(0, |noted| noted.count);
    let lines = Some(count(Note::LinesAboveHeader)).filter(|count| *count > 0);
    let comments = Some(count(Note::CommentLines)).filter(|count| *count > 0);
    let lines = lines.map(|count| counted(count, "line"));
    let comments = comments.map(|count| format!("{} (#)", counted(count, "comment line")));
    let what = match (lines, comments) {
        (None, None) => return None,
        (Some(lines), Some(comments)) => format!("{lines} and {comments}"),
        (Some(what), None) | (None, Some(what)) => what,
    };
    let below = if reading.header.value == HeaderAt::None { "the first row" } else { "it" };
    Some(format!("{what} above {below} left out"))
}

/// What the columns lost, and which got a name.
fn left_out(notes: &Notes, header: HeaderAt, columns: Option<usize>) -> Vec<String> {
    let count = |note| notes.of(note).map(|noted| noted.count);
    let mut said = Vec::new();
    if let Some(names) = count(Note::HeaderMarks) {
        let whose = if names == 1 { "1 name".to_owned() } else { format!("{} names", grouped(names)) };
        said.push(format!("invisible characters around {whose} left out"));
    }
    if count(Note::TrailingDelimiter).is_some() {
        said.push("the separator at the end of every row left out".to_owned());
    }
    if let Some(empty) = count(Note::EmptyColumns) {
        said.push(format!("{} left out", counted(empty, "empty column")));
    }
    if let Some(unnamed) = count(Note::UnnamedColumns)
        && header != HeaderAt::None
    {
        said.push(unnamed_columns(unnamed, columns));
    }
    said
}

/// `1 column without a name is called column 3`. Such columns are the last ones.
fn unnamed_columns(unnamed: u64, columns: Option<usize>) -> String {
    let last = columns.map(|columns| columns as u64).filter(|columns| *columns >= unnamed);
    let called = match last {
        None => String::new(),
        Some(last) if unnamed == 1 => format!(" is called column {}", grouped(last)),
        Some(last) => {
            let first = last - unnamed + 1;
            let between = if unnamed == 2 { "and" } else { "to" };
            format!(" are called column {} {between} column {}", grouped(first), grouped(last))
        }
    };
    format!("{} without a name{called}", counted(unnamed, "column"))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use crate::csv::Encoding;

    /// A plain file: everything is certain.
    fn plain() -> ReadAs {
        let reading = Reading {
            encoding: Part::certain(Encoding::UTF_8),
            delimiter: Part::certain(Delimiter::COMMA),
            quote: Part::certain(Quote::Double),
            escape: Part::certain(Escape::Doubled),
            header: Part::certain(line(1)),
            header_rows: Part::certain(1),
            notes: Notes::default(),
        };
        ReadAs { reading, dialect: Dialect::plain() }
    }

    fn line(number: u64) -> HeaderAt {
        HeaderAt::Line(NonZeroU64::new(number).unwrap())
    }

    fn delimiter(text: &str) -> Delimiter {
        text.parse().unwrap()
    }

    fn encoding(label: &str) -> Encoding {
        Encoding::labelled(label).unwrap()
    }

    /// Notes of so many, the first in line 1.
    fn noted(notes: &[(&str, u64)]) -> Notes {
        let notes = notes
            .iter()
            .map(|(note, count)| ((*note).to_owned(), serde_json::json!({ "count": count, "firstLine": 1 })));
        serde_json::from_value(serde_json::Value::Object(notes.collect())).unwrap()
    }

    fn said(change: impl FnOnce(&mut Reading)) -> String {
        said_of(Some(3), change)
    }

    fn said_of(columns: Option<usize>, change: impl FnOnce(&mut Reading)) -> String {
        let mut read_as = plain();
        change(&mut read_as.reading);
        reading_line(&read_as, columns)
    }

    #[test]
    fn a_plain_file_is_said_once_and_quietly() {
        assert_eq!(said(|_| {}), "Separated by commas, UTF-8, header in line 1.");
    }

    #[test]
    fn every_part_is_said_with_how_it_was_determined() {
        let line = said(|reading| {
            reading.delimiter = Part::certain(delimiter(";"));
            reading.encoding = Part::guess(encoding("windows-1252"));
            reading.header = Part::certain(super::tests::line(6));
            reading.notes = noted(&[("linesAboveHeader", 5), ("emptyColumns", 2)]);
        });
        let words = "Separated by semicolons, Windows-1252 (Western Europe, a guess), header in line 6 (5 lines \
                     above it left out), 2 empty columns left out.";
        assert_eq!(line, words);
        let line = said(|reading| {
            reading.delimiter = Part::chosen(delimiter("|"));
            reading.encoding = Part::chosen(encoding("shift_jis"));
            reading.quote = Part::chosen(Quote::Double);
            reading.escape = Part::chosen(Escape::Doubled);
            reading.header = Part::chosen(HeaderAt::None);
        });
        let words = "Separated by pipes (|) (chosen), Shift_JIS (Japanese, chosen), quoted with \" (chosen), quotes \
                     inside are doubled (chosen), no header (chosen).";
        assert_eq!(line, words);
    }

    #[test]
    fn a_separator_has_a_name_or_is_shown() {
        for (text, name) in [
            ("\t", "tabs"),
            (" ", "spaces"),
            (":", "colons"),
            ("^", "carets (^)"),
            (", ", "comma and space"),
            ("||", "||"),
            ("\u{1}", "U+0001"),
            ("| |", "|·|"),
        ] {
            let line = said(|reading| reading.delimiter = Part::guess(delimiter(text)));
            assert_eq!(line, format!("Separated by {name} (a guess), UTF-8, header in line 1."));
        }
    }

    #[test]
    fn a_line_that_names_the_separator_is_the_reason_for_it() {
        let notes = || noted(&[("separatorLine", 1)]);
        assert!(
            said(|reading| reading.notes = notes()).starts_with("Separated by commas, as line 1 says, UTF-8")
        );
    }

    #[test]
    fn a_file_with_one_column_has_no_separator() {
        assert!(said_of(Some(1), |_| {}).starts_with("One column, UTF-8"));
        let guess = said_of(Some(1), |reading| reading.delimiter.how = How::Guess);
        assert!(guess.starts_with("One column (a guess: the header has no separator), UTF-8"), "{guess}");
        let chosen = said_of(Some(1), |reading| reading.delimiter.how = How::Chosen);
        assert!(chosen.starts_with("Separated by commas (chosen), UTF-8"), "{chosen}");
    }

    #[test]
    fn quotes_and_escapes_are_said_if_they_are_not_the_usual_ones() {
        let single = said(|reading| reading.quote = Part::guess(Quote::Single));
        assert!(single.contains(", quoted with ' (a guess), "), "{single}");
        let none = said(|reading| reading.quote = Part::certain(Quote::None));
        assert!(none.contains(", quotes are text, "), "{none}");
        let backslash = said(|reading| reading.escape = Part::certain(Escape::Backslash));
        assert!(backslash.contains(", quotes inside are escaped with \\, "), "{backslash}");
    }

    #[test]
    fn the_header_is_said_with_its_lines_and_what_is_above_it() {
        let header = |change: &dyn Fn(&mut Reading)| {
            let line = said(change);
            line.strip_prefix("Separated by commas, UTF-8, ").unwrap().to_owned()
        };
        assert_eq!(header(&|reading| reading.header.how = How::Guess), "header in line 1 (a guess).");
        let two = |reading: &mut Reading| reading.header_rows = Part::guess(2);
        assert_eq!(header(&two), "header in lines 1 and 2 (a guess).");
        let three = |reading: &mut Reading| reading.header_rows = Part::certain(3);
        assert_eq!(header(&three), "header in lines 1 to 3.");
        let none = |reading: &mut Reading| {
            reading.header = Part::guess(HeaderAt::None);
            reading.header_rows = Part::guess(0);
            reading.notes = noted(&[("commentLines", 1)]);
        };
        assert_eq!(header(&none), "no header (a guess; 1 comment line (#) above the first row left out).");
        let both = |reading: &mut Reading| {
            reading.header = Part::certain(line(1_204));
            reading.notes = noted(&[("linesAboveHeader", 1), ("commentLines", 1_202)]);
        };
        assert_eq!(
            header(&both),
            "header in line 1,204 (1 line and 1,202 comment lines (#) above it left out)."
        );
    }

    #[test]
    fn what_the_columns_lost_is_counted() {
        let notes = |notes: &[(&str, u64)]| {
            let line = said(|reading| reading.notes = noted(notes));
            line.strip_prefix("Separated by commas, UTF-8, header in line 1, ").unwrap().to_owned()
        };
        assert_eq!(notes(&[("headerMarks", 1)]), "invisible characters around 1 name left out.");
        assert_eq!(notes(&[("headerMarks", 3)]), "invisible characters around 3 names left out.");
        assert_eq!(notes(&[("emptyColumns", 1)]), "1 empty column left out.");
        assert_eq!(notes(&[("trailingDelimiter", 9)]), "the separator at the end of every row left out.");
        assert_eq!(notes(&[("unnamedColumns", 1)]), "1 column without a name is called column 3.");
        assert_eq!(
            notes(&[("unnamedColumns", 2)]),
            "2 columns without a name are called column 2 and column 3."
        );
        assert_eq!(
            notes(&[("unnamedColumns", 3)]),
            "3 columns without a name are called column 1 to column 3."
        );
    }

    #[test]
    fn what_the_dialect_adds_is_said() {
        let mut read_as = plain();
        read_as.dialect.spaces_around_quotes = true;
        assert!(reading_line(&read_as, None).contains(", spaces around quotes left out, "));
        read_as.dialect = Dialect { lines_are_quoted: true, ..Dialect::plain() };
        let quoted = reading_line(&read_as, None);
        assert!(quoted.contains(", every line is one quoted field and its inside is read, "), "{quoted}");
        read_as.dialect = Dialect { inner_quotes_are_text: true, ..Dialect::plain() };
        let inner = reading_line(&read_as, None);
        assert!(
            inner.contains(", a quote inside a quoted field is text unless a separator follows, "),
            "{inner}"
        );
    }

    #[test]
    fn a_file_read_by_an_earlier_version_had_the_plain_reading() {
        assert_eq!(plain_reading_line(Some(3)), "Separated by commas, UTF-8, header in line 3.");
        assert_eq!(plain_reading_line(None), "Separated by commas, UTF-8.");
    }
}
