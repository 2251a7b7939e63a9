//! The format of `failed.csv`: written for failed records, and removed when such a file is uploaded.
//!
//! A line has our columns `_line,_column,_reason`, then the header's columns, then `_extra`. The line of a
//! record with fewer fields ends after its last field, so that a line is about as long as its record, however
//! wide the header is. Fields without a column are in `_extra`, as one CSV record. The file is made for
//! spreadsheets: it is valid UTF-8 without NUL, whatever the record contained, and a cell that a spreadsheet
//! would take for a formula starts with one `'`.
//!
//! Reading an uploaded file reverses this: our columns and that `'` are removed, and a line that was not
//! corrected stays failed with its recorded reason ([`PriorFailure`]). The `'` is removed where the rest of
//! the cell would have got one. A field that originally began with `'` and a formula cannot be told apart,
//! and loses its `'`.

use std::borrow::Cow;

use super::{
    encode::{Encoder, LINE_END, shown},
    excerpt::excerpt,
    field::{FieldGrammar, Span},
    fields::{Fields, Surplus},
};

pub(super) const IN_FRONT: [&str; 3] = ["_line", "_column", "_reason"];
const EXTRA: &str = "_extra";

/// The longest column name that `_column` repeats in full, in bytes. A header can have a name of a megabyte,
/// and every line that blames its column would be as long.
const LONGEST_LABEL: usize = 200;

/// The number of our columns in a `failed.csv`, with or without `_extra`.
pub(super) fn columns_of_ours(has_extra: bool) -> usize {
    IN_FRONT.len() + usize::from(has_extra)
}

/// What an uploaded file's column names show.
pub(super) struct Columns {
    /// The header without our columns.
    pub(super) header: Vec<String>,
    pub(super) is_failed_csv: bool,
    pub(super) has_extra: bool,
}

/// Removes our columns from a file's header, if it begins with `_line,_column,_reason` and has others.
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

/// What a line of an uploaded `failed.csv` says about its record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PriorFailure<'l> {
    /// In the form of [`column_label`]; empty if the whole record is at fault.
    pub(super) column: &'l [u8],
    /// Empty if the user removed it.
    pub(super) reason: &'l [u8],
}

/// The fields of a line of an uploaded `failed.csv` without ours. The buffers are reused for every line.
#[derive(Default)]
pub(super) struct Unwrapped {
    text: Vec<u8>,
    spans: Vec<Span>,
    surplus: Vec<u8>,
    /// Reads `_extra` and `surplus`, which are comma-separated in every file.
    plain: FieldGrammar,
}

impl Unwrapped {
    /// Removes our columns and the guard from `line`, whose header has `columns` other columns. The fields in
    /// `_extra` become fields of the record again. A line that is too short for `_extra` has none. Without
    /// `unwrapped` the file is an ordinary one, and `line` stays unchanged.
    pub(super) fn take_off<'a>(
        unwrapped: &'a mut Option<Self>,
        line: Fields<'a>,
        columns: usize,
    ) -> (Fields<'a>, Option<PriorFailure<'a>>) {
        let Some(Self { text, spans, surplus, plain }) = unwrapped else { return (line, None) };
        text.clear();
        spans.clear();
        surplus.clear();
        let mut cells = line.in_columns().map(without_guard);
        let [_, column, reason] = IN_FRONT.map(|_| cells.next().unwrap_or_default());
        for cell in cells.by_ref().take(columns) {
            let start = text.len();
            text.extend_from_slice(cell);
            spans.push(Span { start, end: text.len(), is_rewritten: true });
        }
        let mut count = spans.len();
        let mut encoder = Encoder::new(surplus);
        let mut push = |field: &[u8]| {
            encoder.field(field);
            count += 1;
        };
        if let Some(extra) = cells.next().filter(|extra| !extra.is_empty()) {
            plain.for_each(extra, 0, |field, _| {
                push(field);
                true
            });
        }
        line.for_each_surplus(push);
        encoder.finish();
        let surplus = (!surplus.is_empty()).then_some(Surplus { bytes: surplus, grammar: plain });
        (Fields { record: text, text, spans, count, surplus }, Some(PriorFailure { column, reason }))
    }
}

/// Writes the header line.
pub(super) fn write_header(out: &mut Vec<u8>, header: &[String]) {
    let mut encoder = Encoder::new(out);
    let columns = header.iter().map(String::as_str);
    for name in IN_FRONT.into_iter().chain(columns).chain([EXTRA]) {
        write_cell(&mut encoder, name.as_bytes());
    }
    encoder.finish();
    out.extend_from_slice(LINE_END);
}

/// Writes the line of a record that begins on `line` of a file with `columns` columns. `column` is None if
/// the whole record is at fault, `fields` is None if they are unknown.
pub(super) fn write_line(
    out: &mut Vec<u8>,
    line: u64,
    column: Option<&str>,
    reason: &str,
    columns: usize,
    fields: Option<Fields<'_>>,
) {
    let mut encoder = Encoder::new(out);
    write_cell(&mut encoder, line.to_string().as_bytes());
    write_cell(&mut encoder, column_label(column.unwrap_or_default()).as_bytes());
    write_cell(&mut encoder, reason.as_bytes());
    for cell in fields.iter().flat_map(Fields::in_columns) {
        write_cell(&mut encoder, cell);
    }
    if let Some(fields) = fields.filter(|fields| fields.count >= columns) {
        let mut extra = Vec::new();
        let mut surplus = Encoder::new(&mut extra);
        fields.for_each_surplus(|field| surplus.field(field));
        surplus.finish();
        write_cell(&mut encoder, &extra);
    }
    encoder.finish();
    out.extend_from_slice(LINE_END);
}

/// The text of `_column` for a column with this name.
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

/// Whether a spreadsheet may take the cell for anything other than plain text or a number. Spreadsheets
/// ignore leading white space, and those of East Asia treat a full-width sign as its narrow form.
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

/// Whether the text is a decimal number, with or without fraction and exponent.
fn is_number(text: &str) -> bool {
    // Rust also parses `-inf` and `-nan` as numbers; spreadsheets do not.
    let no_word = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    no_word && text.parse::<f64>().is_ok()
}

pub(super) fn without_guard(cell: &[u8]) -> &[u8] {
    match cell {
        // We never write text that is not UTF-8.
        [b'\'', guarded @ ..] if str::from_utf8(guarded).is_ok_and(is_formula) => guarded,
        _ => cell,
    }
}
