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

use memchr::memchr;

use super::{
    encode::{LINE_END, needs_quotes, put_text, shown},
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

/// The fields of a line of an uploaded `failed.csv` without ours. The buffer is reused for every line.
#[derive(Default)]
pub(super) struct Unwrapped {
    spans: Vec<Span>,
    /// Reads `_extra`, which is comma-separated in every file.
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
        let Some(Self { spans, plain }) = unwrapped else { return (line, None) };
        let plain: &FieldGrammar = plain;
        let mut cells = line.spans.iter().map(|span| {
            let cell = line.field_at(*span);
            let guard = cell.len() - without_guard(cell).len();
            Span { start: span.start + guard, ..*span }
        });
        let [_, column, reason] =
            IN_FRONT.map(|_| cells.next().map(|span| line.field_at(span)).unwrap_or_default());
        spans.clear();
        spans.extend(cells.by_ref().take(columns));
        let extra = cells.next().map(|span| line.field_at(span)).filter(|extra| !extra.is_empty());
        let mut count = spans.len() + (line.count - line.spans.len());
        if let Some(extra) = extra {
            plain.for_each(extra, 0, |_, _| {
                count += 1;
                true
            });
        }
        let extra = extra.map(|bytes| Surplus { bytes, grammar: plain });
        let [behind, _] = line.surplus;
        (Fields { spans, count, surplus: [extra, behind], ..line }, Some(PriorFailure { column, reason }))
    }
}

/// Writes the header line.
pub(super) fn write_header(out: &mut Vec<u8>, header: &[String]) {
    let mut put = |piece: &[u8]| out.extend_from_slice(piece);
    let columns = header.iter().map(String::as_str);
    for (number, name) in IN_FRONT.into_iter().chain(columns).chain([EXTRA]).enumerate() {
        if number > 0 {
            put(b",");
        }
        put_cell(&mut put, name.as_bytes());
    }
    put(LINE_END);
}

/// Writes the line of a record that begins on `line` of a file with `columns` columns, in pieces: the line of a long
/// record can be several times as long. `column` is None if the whole record is at fault, `fields` is None if they are
/// unknown.
pub(super) fn write_line(
    put: &mut impl FnMut(&[u8]),
    line: u64,
    column: Option<&str>,
    reason: &str,
    columns: usize,
    fields: Option<Fields<'_>>,
) {
    put_cell(put, line.to_string().as_bytes());
    put(b",");
    put_cell(put, column_label(column.unwrap_or_default()).as_bytes());
    put(b",");
    put_cell(put, reason.as_bytes());
    for cell in fields.iter().flat_map(Fields::in_columns) {
        put(b",");
        put_cell(put, cell);
    }
    if let Some(fields) = fields.filter(|fields| fields.count >= columns) {
        put(b",");
        put_extra(put, &fields);
    }
    put(LINE_END);
}

/// The text of `_column` for a column with this name.
pub(super) fn column_label(name: &str) -> Cow<'_, str> {
    if name.len() <= LONGEST_LABEL { Cow::Borrowed(name) } else { Cow::Owned(excerpt(name.as_bytes(), 0)) }
}

/// Writes a cell.
fn put_cell(put: &mut impl FnMut(&[u8]), cell: &[u8]) {
    let needs_quotes = needs_quotes(cell);
    if needs_quotes {
        put(b"\"");
    }
    if begins_formula(cell, true) {
        put(b"'");
    }
    put_text(put, cell, b"\"\"");
    if needs_quotes {
        put(b"\"");
    }
}

/// Writes the cell of the fields without a column, as one CSV record.
fn put_extra(put: &mut impl FnMut(&[u8]), fields: &Fields<'_>) {
    let count = fields.count - fields.spans.len();
    let mut number = 0;
    fields.for_each_surplus(|field| {
        // A single empty field is quoted, because an empty line is not a record.
        let has_quotes = needs_quotes(field) || count == 1 && field.is_empty();
        if number > 0 {
            put(b",");
        } else if has_quotes || count > 1 {
            put(b"\"");
        }
        if number == 0 && !has_quotes && begins_formula(field, count == 1) {
            put(b"'");
        }
        if has_quotes {
            put(b"\"\"");
            put_text(put, field, b"\"\"\"\"");
            put(b"\"\"");
        } else {
            put_text(put, field, b"");
        }
        number += 1;
        if number == count && (has_quotes || count > 1) {
            put(b"\"");
        }
    });
}

/// Whether a spreadsheet may take a cell that begins with these bytes, which are all of it if `is_whole`, for anything
/// other than plain text or a number.
fn begins_formula(cell: &[u8], is_whole: bool) -> bool {
    let text = &cell[..memchr(0, cell).unwrap_or(cell.len())];
    let text = text.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    // U+FFFD, which stands for what follows, is in no number.
    is_formula(text, is_whole && text.len() == cell.len())
}

/// Spreadsheets ignore leading white space, and those of East Asia treat a full-width sign as its narrow form.
fn is_formula(cell: &str, is_whole: bool) -> bool {
    let text = cell.trim_start();
    let space = &cell[..cell.len() - text.len()];
    if space.contains(['\t', '\r', '\n']) {
        return true;
    }
    match text.chars().next() {
        Some('=' | '@' | '＝' | '＠' | '＋' | '－') => true,
        Some('+' | '-') => !(is_whole && is_number(text)),
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
        [b'\'', guarded @ ..] if str::from_utf8(guarded).is_ok_and(|text| is_formula(text, true)) => guarded,
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csv::encode::PIECE;

    fn cell(text: &[u8]) -> Vec<u8> {
        let mut written = Vec::new();
        put_cell(&mut |piece| written.extend_from_slice(piece), text);
        written
    }

    #[test]
    fn a_long_cell_is_written_in_pieces_as_if_it_were_one() {
        let sequences: [&[u8]; 9] = [
            "\u{e9}".as_bytes(),
            "\u{20ac}".as_bytes(),
            "\u{10348}".as_bytes(),
            // Half a character, bytes that belong to none, and an escape of a decoded copy.
            b"\xe2\x82",
            b"\x80\x80\x80\x80\x80\x80",
            b"\xf0\x9f\x80",
            b"\xed\xb2\xaa",
            b"\0",
            b"\"",
        ];
        for sequence in sequences {
            for before in PIECE - 8..=PIECE {
                let text = [&vec![b'a'; before][..], sequence, b",b"].concat();
                let quoted = format!("\"{}\"", shown(&text).replace('"', "\"\""));
                assert!(cell(&text) == quoted.as_bytes(), "{} at {before}", sequence.escape_ascii());
            }
        }
    }

    #[test]
    fn a_formula_is_told_by_its_front_unless_it_may_be_a_number() {
        for (text, written) in [
            (&b"=1"[..], &b"'=1"[..]),
            (b"-1.5", b"-1.5"),
            (b"-1x", b"'-1x"),
            (b"-1\0", "'-1\u{fffd}".as_bytes()),
            (b"\xff=1", "\u{fffd}=1".as_bytes()),
            (b" \t\xff", "' \t\u{fffd}".as_bytes()),
            (b"  @x", b"'  @x"),
            (b"", b""),
        ] {
            assert_eq!(cell(text).escape_ascii().to_string(), written.escape_ascii().to_string());
        }
    }
}
