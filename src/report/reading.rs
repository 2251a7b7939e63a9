//! How a file was read, in words: the line below an import's name.

use super::{
    encodings::encoding_name,
    format::{counted, grouped},
};
use crate::csv::{
    Delimiter, Dialect, Encoding, Escape, HeaderAt, How, Note, Notes, Part, Quote, ReadAs, Reading, SheetRead,
};

/// The line of a file that has so many `columns`, with its full stop: `Separated by semicolons, Windows-1252
/// (Western Europe, a guess), header in line 6 (5 lines above it left out), 2 empty columns left out.` A workbook has
/// a sheet instead of a separator and an encoding, unless a separator was chosen.
#[must_use]
pub fn reading_line(read_as: &ReadAs, columns: Option<usize>) -> String {
    let ReadAs { reading, dialect, sheet } = read_as;
    let mut parts = match sheet {
        None => vec![separator(reading, columns), encoding_and_how(reading)],
        Some(sheet) if reading.delimiter.how == How::Certain => vec![sheet_and_others(sheet)],
        Some(sheet) => vec![sheet_and_others(sheet), lower_first(&separator(reading, columns))],
    };
    parts.extend(quote(reading.quote));
    parts.extend(escape(reading.escape, reading.quote.value));
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
pub(super) fn how(how: How) -> Option<&'static str> {
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

/// `Sheet "Orders", the first of 3 with rows (1 more is hidden)`.
fn sheet_and_others(read: &SheetRead) -> String {
    let SheetRead { name, how: certainty, sheets } = read;
    let words = with_how(format!("Sheet \"{}\"", name.as_str()), *certainty);
    let is_hidden = sheets.find(name).is_some_and(|sheet| sheet.is_hidden);
    let (shown, hidden) = (sheets.with_rows(is_hidden), sheets.with_rows(!is_hidden));
    let place = match (certainty, sheets.count()) {
        (_, ..=1) => return words,
        (How::Chosen, count) if !sheets.are_examined() => format!("one of {} sheets", grouped(count)),
        (_, count) if !sheets.are_examined() => format!("the first with rows of {} sheets", grouped(count)),
        _ if shown <= 1 && hidden == 0 => "the only one with rows".to_owned(),
        _ if shown <= 1 && is_hidden => "the only hidden one with rows".to_owned(),
        _ if shown <= 1 => "the only visible one with rows".to_owned(),
        (How::Chosen, _) if is_hidden => format!("one of {} hidden ones with rows", grouped(shown)),
        (How::Chosen, _) => format!("one of {} with rows", grouped(shown)),
        _ => format!("the first of {} with rows", grouped(shown)),
    };
    let others = match hidden {
        0 => String::new(),
        hidden => {
            let verb = if hidden == 1 { "is" } else { "are" };
            let what = if is_hidden { "visible" } else { "hidden" };
            format!(" ({} more {verb} {what})", grouped(hidden))
        }
    };
    format!("{words}, {place}{others}")
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
        _ if value == Delimiter::NONE => with_how("One column".to_owned(), how),
        _ => with_how(format!("Separated by {}", separators(value)), how),
    }
}

/// Words that no longer begin a sentence.
fn lower_first(words: &str) -> String {
    let mut chars = words.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
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
        _ if delimiter == Delimiter::NONE => "nothing".to_owned(),
        text => visible(text),
    }
}

/// The format of a download in the form of its file (`semicolons, Windows-1252`); None if that is the usual one.
#[must_use]
pub fn source_format(reading: &Reading) -> Option<String> {
    let (delimiter, encoding) = (reading.delimiter.value, reading.encoding.value);
    let is_usual = encoding == Encoding::UTF_8 && matches!(delimiter, Delimiter::COMMA | Delimiter::NONE);
    let written = if delimiter == Delimiter::NONE { "one column".to_owned() } else { separators(delimiter) };
    (!is_usual).then(|| format!("{written}, {}", encoding_name(encoding).0))
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

/// `Windows-1252 (Western Europe, a guess)`.
pub(super) fn encoding_and_how(reading: &Reading) -> String {
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
fn escape(escape: Part<Escape>, quote: Quote) -> Option<String> {
    let words = match escape.value {
        Escape::Doubled if escape.how == How::Certain => return None,
        Escape::Doubled => "quotes inside are doubled",
        Escape::Backslash if quote == Quote::None => "separators inside are escaped with \\",
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
    if count(Note::HeaderRule).is_some() {
        said.push("the line drawn below the header left out".to_owned());
    }
    if count(Note::UnnamedFirstColumn).is_some() {
        said.push("the first column has no name in the header and is called column 1 (a guess)".to_owned());
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
mod tests;
