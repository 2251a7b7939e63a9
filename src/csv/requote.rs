//! Copies a record whose quotes are as RFC 4180 wants them, comma-separated and with quotes only where they are
//! needed. What can stay is copied in few pieces.

use memchr::{memchr, memchr2, memchr3, memrchr};

use super::encode::COMMA;

/// Appends `record`, which has no line end and whose fields are separated by `delimiter`, to `out`.
pub(super) fn requote(record: &[u8], delimiter: u8, out: &mut Vec<u8>) {
    let start = out.len();
    let mut rest = record;
    while let Some(special) = next_special(rest, delimiter) {
        let (before, from_special) = rest.split_at(special);
        if from_special[0] == b'"' {
            let (length, has_quotes) = quoted_length(from_special);
            let (field, inner) = (&from_special[..length], &from_special[1..length - 1]);
            let needs_quotes = has_quotes || memchr3(COMMA, b'\r', b'\n', inner).is_some();
            copy_text(before, delimiter, out);
            out.extend_from_slice(if needs_quotes { field } else { inner });
            rest = &from_special[length..];
        } else {
            let (text, in_front) = before.split_at(memrchr(delimiter, before).map_or(0, |at| at + 1));
            let (behind, following) =
                from_special.split_at(memchr(delimiter, from_special).unwrap_or(from_special.len()));
            copy_text(text, delimiter, out);
            out.push(b'"');
            out.extend_from_slice(in_front);
            out.extend_from_slice(behind);
            out.push(b'"');
            rest = following;
        }
    }
    copy_text(rest, delimiter, out);
    if out.len() == start {
        // A single empty field is quoted, because an empty line is not a record.
        out.extend_from_slice(b"\"\"");
    }
}

/// Appends fields without quotes and commas, in the middle of a record.
pub(super) fn copy_text(text: &[u8], delimiter: u8, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(text);
    if delimiter != COMMA {
        for byte in &mut out[start..] {
            *byte = if *byte == delimiter { COMMA } else { *byte };
        }
    }
}

/// The next quote, or comma that is not the delimiter.
fn next_special(text: &[u8], delimiter: u8) -> Option<usize> {
    if delimiter == COMMA { memchr(b'"', text) } else { memchr2(b'"', COMMA, text) }
}

/// The length of the quoted field at the front of `rest` with its quotes, and whether others are inside them.
fn quoted_length(rest: &[u8]) -> (usize, bool) {
    let (mut end, mut has_quotes) = (1, false);
    while let Some(quote) = memchr(b'"', &rest[end..]) {
        end += quote + 1;
        if rest.get(end) != Some(&b'"') {
            return (end, has_quotes);
        }
        (end, has_quotes) = (end + 1, true);
    }
    (rest.len(), true)
}
