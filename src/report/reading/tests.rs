use std::num::NonZeroU64;

use super::*;
use crate::csv::{Encoding, Sheet, SheetName, Sheets};

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
    ReadAs { reading, dialect: Dialect::plain(), sheet: None }
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
        reading.header = Part::certain(line(6));
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
    let chosen = said_of(Some(1), |reading| reading.delimiter = Part::chosen(Delimiter::NONE));
    assert!(chosen.starts_with("One column (chosen), UTF-8"), "{chosen}");
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
    assert_eq!(header(&both), "header in line 1,204 (1 line and 1,202 comment lines (#) above it left out).");
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
    assert_eq!(notes(&[("unnamedColumns", 2)]), "2 columns without a name are called column 2 and column 3.");
    assert_eq!(notes(&[("unnamedColumns", 3)]), "3 columns without a name are called column 1 to column 3.");
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

fn sheet(name: &str, is_hidden: bool, has_rows: Option<bool>) -> Sheet {
    Sheet { name: SheetName::new(name), is_hidden, has_rows }
}

fn said_of_sheet(name: &str, how: How, listed: Vec<Sheet>, more: u64) -> String {
    let mut read_as = plain();
    read_as.sheet = Some(SheetRead { name: SheetName::new(name), how, sheets: Sheets { listed, more } });
    let line = reading_line(&read_as, Some(1));
    line.strip_suffix(", header in line 1.").expect("no separator and no encoding is said").to_owned()
}

#[test]
fn a_workbook_says_which_sheet_is_read_and_how_many_others_there_are() {
    let shown = |name| sheet(name, false, Some(true));
    let empty = |name| sheet(name, false, Some(false));
    let hidden = |name| sheet(name, true, Some(true));
    let said = |how, listed| said_of_sheet("A", how, listed, 0);
    assert_eq!(said(How::Certain, vec![shown("A")]), "Sheet \"A\"");
    assert_eq!(said(How::Chosen, vec![shown("A")]), "Sheet \"A\" (chosen)");
    assert_eq!(said(How::Certain, vec![empty("E"), shown("A")]), "Sheet \"A\", the only one with rows");
    assert_eq!(
        said(How::Certain, vec![shown("A"), empty("E"), shown("B"), shown("C")]),
        "Sheet \"A\", the first of 3 with rows"
    );
    assert_eq!(
        said(How::Certain, vec![hidden("H"), shown("A"), shown("B")]),
        "Sheet \"A\", the first of 2 with rows (1 more is hidden)"
    );
    assert_eq!(
        said(How::Certain, vec![hidden("H"), hidden("I"), shown("A")]),
        "Sheet \"A\", the only visible one with rows (2 more are hidden)"
    );
    assert_eq!(
        said(How::Chosen, vec![shown("B"), shown("A"), hidden("H")]),
        "Sheet \"A\" (chosen), one of 2 with rows (1 more is hidden)"
    );
    assert_eq!(
        said(How::Chosen, vec![shown("B"), shown("C"), hidden("A")]),
        "Sheet \"A\" (chosen), the only hidden one with rows (2 more are visible)"
    );
    assert_eq!(
        said_of_sheet("A", How::Certain, vec![shown("A")], 99_999),
        "Sheet \"A\", the first with rows of 100,000 sheets"
    );
    assert_eq!(
        said(How::Chosen, vec![sheet("B", false, None), shown("A")]),
        "Sheet \"A\" (chosen), one of 2 sheets"
    );
}

#[test]
fn a_separator_that_was_chosen_for_the_cells_of_a_workbook_is_said() {
    let mut read_as = plain();
    let sheets = Sheets { listed: vec![sheet("A", false, Some(true))], more: 0 };
    read_as.sheet = Some(SheetRead { name: SheetName::new("A"), how: How::Certain, sheets });
    read_as.reading.delimiter = Part::chosen(delimiter(";"));
    let line = reading_line(&read_as, Some(3));
    assert_eq!(line, "Sheet \"A\", separated by semicolons (chosen), header in line 1.");
}
