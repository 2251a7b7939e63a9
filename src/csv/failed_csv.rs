//! The format of `failed.csv`, both ways: written for failed records, and taken off again when
//! one is uploaded.
//!
//! A line has our columns `_line,_column,_reason`, then the header's, then `_extra`. The line of a record
//! with fewer fields ends after the last of them, so that a line is about as long as its record however
//! wide the header is. Fields without a column are in `_extra`, as one record of CSV. The file is made to
//! be opened in a spreadsheet: it is valid UTF-8 without NUL whatever the record was, and a cell that a
//! spreadsheet would take for a formula has one `'` in front.
//!
//! An uploaded file is read back the other way: our columns and that `'` come off, and a line that was not
//! corrected stays failed with the reason that it has ([`PriorFailure`]). The `'` is taken off where the rest of
//! the cell would have got one. A field that began with `'` and a formula of its own accord cannot be told
//! apart, and loses it.

use std::borrow::Cow;

use super::{
    encode::{COMMA, Encoder, LINE_END, shown},
    excerpt::excerpt,
    split::{FieldReader, Fields},
};

const IN_FRONT: [&str; 3] = ["_line", "_column", "_reason"];
const EXTRA: &str = "_extra";

/// The longest column name that `_column` repeats in full, in bytes: a header may have a name of a
/// megabyte, and each line that blames its column would be as long.
const LONGEST_LABEL: usize = 200;

/// How many columns of ours a `failed.csv` has, with or without `_extra`.
pub(super) fn columns_of_ours(has_extra: bool) -> usize {
    IN_FRONT.len() + usize::from(has_extra)
}

/// What the columns of an uploaded file say.
pub(super) struct Columns {
    /// The header without our columns.
    pub(super) header: Vec<String>,
    pub(super) is_failed_csv: bool,
    pub(super) has_extra: bool,
}

/// Takes our columns off a file's header, if it has `_line,_column,_reason` in front of others.
pub(super) fn recognise(mut names: Vec<String>) -> Columns {
    let has_extra = names.last().is_some_and(|name| name == EXTRA);
    let ours = columns_of_ours(has_extra);
    let is_failed_csv = names.len() > ours && names.iter().zip(IN_FRONT).all(|(name, ours)| name == ours);
    if !is_failed_csv {
        return Columns { header: names, is_failed_csv, has_extra: false };
    }
    names.truncate(names.len() - usize::from(has_extra));
    let header = names
        .split_off(IN_FRONT.len())
        .into_iter()
        .map(|name| shown(without_guard(name.as_bytes())).into_owned())
        .collect();
    Columns { header, is_failed_csv, has_extra }
}

/// What a line of an uploaded `failed.csv` says of its record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PriorFailure<'l> {
    /// As [`column_label`] gives it; empty where the whole record is at fault.
    pub(super) column: &'l [u8],
    /// Empty if it was removed.
    pub(super) reason: &'l [u8],
}

/// The fields of a line of an uploaded `failed.csv` without ours; one serves for many lines.
pub(super) struct Unwrapped {
    text: Vec<u8>,
    ends: Vec<usize>,
    surplus: Vec<u8>,
    /// Reads `_extra` and `surplus`, which have commas whatever the file has.
    reader: FieldReader,
}

impl Unwrapped {
    pub(super) fn new() -> Self {
        Self { text: Vec::new(), ends: Vec::new(), surplus: Vec::new(), reader: FieldReader::new(COMMA) }
    }

    /// Takes our columns and the guard off `line`, whose header has `columns` others. What is in
    /// `_extra` are fields of the record again. A line that is too short for `_extra` has none. With no
    /// `unwrapped` the file is an ordinary one, and `line` stays as it is.
    pub(super) fn take_off<'a>(
        unwrapped: &'a mut Option<Self>,
        mut line: Fields<'a>,
        columns: usize,
    ) -> (Fields<'a>, Option<PriorFailure<'a>>) {
        let Some(Self { text, ends, surplus, reader }) = unwrapped else { return (line, None) };
        text.clear();
        ends.clear();
        surplus.clear();
        let mut cells = line.in_columns().map(without_guard);
        let [_, column, reason] = IN_FRONT.map(|_| cells.next().unwrap_or_default());
        for cell in cells.by_ref().take(columns) {
            text.extend_from_slice(cell);
            ends.push(text.len());
        }
        let mut count = ends.len();
        let mut encoder = Encoder::new(surplus);
        let mut push = |field: &[u8]| {
            encoder.field(field);
            count += 1;
        };
        if let Some(extra) = cells.next().filter(|extra| !extra.is_empty()) {
            reader.for_each(extra, &mut push);
        }
        line.for_each_surplus(&mut push);
        encoder.finish();
        let surplus = (!surplus.is_empty()).then_some(surplus.as_slice());
        (Fields { text, ends, count, surplus, surplus_reader: reader }, Some(PriorFailure { column, reason }))
    }
}

/// The header line.
pub(super) fn write_header(out: &mut Vec<u8>, header: &[String]) {
    let mut encoder = Encoder::new(out);
    let columns = header.iter().map(String::as_str);
    for name in IN_FRONT.into_iter().chain(columns).chain([EXTRA]) {
        write_cell(&mut encoder, name.as_bytes());
    }
    encoder.finish();
    out.extend_from_slice(LINE_END);
}

/// The line of a record that begins on `line` of a file with so many `columns`. `column` is None where the
/// whole record is at fault, `fields` are None if they are unknown.
pub(super) fn write_line(
    out: &mut Vec<u8>,
    line: u64,
    column: Option<&str>,
    reason: &str,
    columns: usize,
    mut fields: Option<Fields<'_>>,
) {
    let mut encoder = Encoder::new(out);
    write_cell(&mut encoder, line.to_string().as_bytes());
    write_cell(&mut encoder, column_label(column.unwrap_or_default()).as_bytes());
    write_cell(&mut encoder, reason.as_bytes());
    for cell in fields.iter().flat_map(Fields::in_columns) {
        write_cell(&mut encoder, cell);
    }
    if let Some(fields) = fields.as_mut().filter(|fields| fields.count >= columns) {
        let mut extra = Vec::new();
        let mut surplus = Encoder::new(&mut extra);
        fields.for_each_surplus(|field| surplus.field(field));
        surplus.finish();
        write_cell(&mut encoder, &extra);
    }
    encoder.finish();
    out.extend_from_slice(LINE_END);
}

/// What `_column` says of a column with this name.
pub(super) fn column_label(name: &str) -> Cow<'_, str> {
    if name.len() <= LONGEST_LABEL { Cow::Borrowed(name) } else { Cow::Owned(excerpt(name.as_bytes(), 0)) }
}

fn write_cell(encoder: &mut Encoder<'_>, cell: &[u8]) {
    let shown = shown(cell);
    if is_formula(&shown) {
        encoder.field(format!("'{shown}").as_bytes());
    } else {
        encoder.field(shown.as_bytes());
    }
}

/// Whether a spreadsheet may take the cell for something else than plain text or a number. Spreadsheets
/// pass over white space in front, and those of East Asia read a full-width sign as its narrow twin.
fn is_formula(cell: &str) -> bool {
    let text = cell.trim_start();
    let space = &cell[..cell.len() - text.len()];
    if space.contains(['\t', '\r', '\n']) {
        return true;
    }
    match text.chars().next() {
        Some('=' | '@' | '＝' | '＠' | '＋' | '－') => true,
        Some('+' | '-') => !is_number(text),
        _ => false,
    }
}

/// A decimal number, with or without fraction and exponent.
fn is_number(text: &str) -> bool {
    // Rust reads `-inf` and `-nan` as numbers too; spreadsheets don't.
    let no_word = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    no_word && text.parse::<f64>().is_ok()
}

fn without_guard(cell: &[u8]) -> &[u8] {
    match cell {
        // What is no UTF-8 was not written by us.
        [b'\'', guarded @ ..] if str::from_utf8(guarded).is_ok_and(is_formula) => guarded,
        _ => cell,
    }
}
