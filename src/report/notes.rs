//! What was noted about a file's rows: what was left out, repaired, or is left to a person.

use super::format::{counted, grouped};
use crate::csv::{Note, Noted, Notes, Reasons};

/// The notes about the rows of a file, each as a statement without a full stop. What the front of the file
/// showed is in [`reading_line`](super::reading::reading_line).
#[must_use]
pub fn row_notes(notes: &Notes, reasons: &Reasons, has_header: bool) -> Vec<String> {
    let of_rows = notes.iter().filter_map(|(note, noted)| row_note(note, noted));
    of_rows.chain(below_table(notes)).chain(short_rows(reasons, has_header)).collect()
}

/// Where rows are that do not belong to the table. They failed, and a person decides what to do with them.
fn below_table(notes: &Notes) -> impl Iterator<Item = String> {
    let (below, second) = (notes.of(Note::BelowTable), notes.of(Note::SecondTable));
    // The first row of a second table is known as such only when the next one comes.
    let is_second = |below: &Noted| second.is_some_and(|second| second.first_line == below.first_line);
    let below = below.filter(|below| below.count > 1 || !is_second(below)).map(|below| {
        let what = if below.count == 1 {
            "another row follows; it failed"
        } else {
            "other rows follow; they failed"
        };
        format!("Below the table, from line {}, {what}", grouped(below.first_line))
    });
    let second = second.map(|second| {
        format!("A second table begins in line {}; its rows failed", grouped(second.first_line))
    });
    below.into_iter().chain(second)
}

fn row_note(note: Note, noted: Noted) -> Option<String> {
    let Noted { count, first_line } = noted;
    let line = grouped(first_line);
    let first = if count == 1 { format!("line {line}") } else { format!("the first in line {line}") };
    let rows_with = |what: &str| {
        let verb = if count == 1 { "has" } else { "have" };
        format!("{} {verb} {what}, {first}", counted(count, "row"))
    };
    Some(match note {
        Note::EmptyRows => format!("{} left out, {first}", counted(count, "empty row")),
        Note::RepeatedHeaders => format!("{} left out, {first}", counted(count, "repeated header")),
        Note::JoinMarks => {
            format!("{} where files were joined left out, {first}", counted(count, "byte-order mark"))
        }
        Note::EndMark => format!("End-of-file mark (0x1A) left out, line {line}"),
        Note::QuotesInside => rows_with("a quote inside an unquoted field"),
        Note::TextAfterQuote => rows_with("text after a closing quote"),
        Note::QuotesAsText if count == 1 => format!("The quote in line {line} never closes; read as text"),
        Note::TotalsRow => format!("The last row looks like a total, line {line}; it was read as a row"),
        Note::QuotesAsText => format!("{} never close; read as text, {first}", counted(count, "quote")),
        Note::SeparatorLine
        | Note::LinesAboveHeader
        | Note::CommentLines
        | Note::HeaderMarks
        | Note::TrailingDelimiter
        | Note::EmptyColumns
        | Note::UnnamedColumns
        | Note::UnnamedFirstColumn
        | Note::HeaderRule
        | Note::BelowTable
        | Note::SecondTable => return None,
    })
}

/// `2 rows have fewer fields`: a person decides whether their last cells are empty.
fn short_rows(reasons: &Reasons, has_header: bool) -> Option<String> {
    let is_short = |reason: &str| {
        let (found, expected) = reason.split_once(", expected ")?;
        let found: u64 = found.split(' ').next()?.parse().ok()?;
        let expected: u64 = expected.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
        Some(found < expected)
    };
    let groups = reasons.groups.iter().filter(|group| group.column.is_none());
    let short = groups.filter(|group| is_short(&group.reason) == Some(true));
    let count = short.fold(0_u64, |count, group| count.saturating_add(group.count));
    let verb = if count == 1 { "has" } else { "have" };
    let than = if has_header { "the header" } else { "the first row" };
    (count > 0).then(|| format!("{} {verb} fewer fields than {than}", counted(count, "row")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::csv::Reason;

    fn said(note: &str, count: u64) -> Vec<String> {
        let notes = serde_json::from_value(json!({ note: { "count": count, "firstLine": 1_204 } })).unwrap();
        row_notes(&notes, &Reasons::default(), true)
    }

    #[test]
    fn every_note_about_rows_is_counted_with_its_line() {
        for (note, one, several) in [
            (
                "emptyRows",
                "1 empty row left out, line 1,204",
                "3 empty rows left out, the first in line 1,204",
            ),
            (
                "repeatedHeaders",
                "1 repeated header left out, line 1,204",
                "3 repeated headers left out, the first in line 1,204",
            ),
            (
                "joinMarks",
                "1 byte-order mark where files were joined left out, line 1,204",
                "3 byte-order marks where files were joined left out, the first in line 1,204",
            ),
            (
                "quotesInside",
                "1 row has a quote inside an unquoted field, line 1,204",
                "3 rows have a quote inside an unquoted field, the first in line 1,204",
            ),
            (
                "textAfterQuote",
                "1 row has text after a closing quote, line 1,204",
                "3 rows have text after a closing quote, the first in line 1,204",
            ),
            (
                "quotesAsText",
                "The quote in line 1,204 never closes; read as text",
                "3 quotes never close; read as text, the first in line 1,204",
            ),
        ] {
            assert_eq!((said(note, 1), said(note, 3)), (vec![one.to_owned()], vec![several.to_owned()]));
        }
        let total = "The last row looks like a total, line 1,204; it was read as a row";
        assert_eq!(said("totalsRow", 1), [total]);
        assert_eq!(said("endMark", 1), ["End-of-file mark (0x1A) left out, line 1,204"]);
    }

    #[test]
    fn rows_that_do_not_belong_to_the_table_are_noted_with_their_lines() {
        let of = |below: Option<(u64, u64)>, second: Option<(u64, u64)>| {
            let noted = |(count, line): (u64, u64)| json!({ "count": count, "firstLine": line });
            let mut notes = serde_json::Map::new();
            notes.extend(below.map(|below| ("belowTable".to_owned(), noted(below))));
            notes.extend(second.map(|second| ("secondTable".to_owned(), noted(second))));
            row_notes(&serde_json::from_value(notes.into()).unwrap(), &Reasons::default(), true)
        };
        let row = "Below the table, from line 1,204, another row follows; it failed";
        let rows = "Below the table, from line 1,204, other rows follow; they failed";
        let table = |line| format!("A second table begins in line {line}; its rows failed");
        assert_eq!(of(Some((1, 1_204)), None), [row]);
        assert_eq!(of(Some((2, 1_204)), None), [rows]);
        assert_eq!(of(Some((1, 1_204)), Some((3, 1_204))), [table("1,204")]);
        assert_eq!(of(Some((2, 1_204)), Some((3, 1_230))), [rows.to_owned(), table("1,230")]);
    }

    #[test]
    fn what_the_line_about_the_reading_says_is_not_repeated() {
        for note in ["separatorLine", "linesAboveHeader", "headerMarks", "emptyColumns", "unnamedColumns"] {
            assert!(said(note, 2).is_empty(), "{note}");
        }
    }

    #[test]
    fn short_rows_are_noted_for_a_person_to_decide() {
        let reason = |column: Option<&str>, reason: &str, count| Reason {
            column: column.map(str::to_owned),
            reason: reason.to_owned(),
            count,
            line: 2,
            example: String::new(),
        };
        let read =
            |groups, has_header| row_notes(&Notes::default(), &Reasons { groups, other: 0 }, has_header);
        let of = |groups| read(groups, true);
        let groups = vec![
            reason(None, "2 fields, expected 4", 1),
            reason(None, "1 field, expected 4, below the table", 1),
            reason(None, "5 fields, expected 4", 7),
            reason(Some("a"), "1 field, expected 4", 3),
            reason(None, "closing quote missing", 1),
        ];
        assert_eq!(of(groups), ["2 rows have fewer fields than the header"]);
        let one = vec![reason(None, "3 fields, expected 4", 1)];
        assert_eq!(of(one.clone()), ["1 row has fewer fields than the header"]);
        assert_eq!(read(one, false), ["1 row has fewer fields than the first row"]);
        assert!(of(vec![reason(None, "5 fields, expected 4", 1)]).is_empty());
    }
}
