//! Rows that are no records: empty ones and the header again. And records that look like a total.

use super::{Layout, fields::Fields};
use crate::base::characters::is_invisible;

impl Layout {
    /// Whether a record with these fields has the right width.
    pub(super) fn fits(&self, fields: &Fields<'_>) -> bool {
        let mut fields = *fields;
        fields.leave_out_empty_end(self.left_out_at_end);
        fields.count == self.columns_in_file()
    }

    /// Whether a row has delimiters only.
    pub(super) fn is_empty_row(&self, content: &[u8]) -> bool {
        let delimiter = self.dialect.delimiter.as_bytes();
        content.chunks(delimiter.len()).all(|chunk| chunk == delimiter)
    }

    /// Whether a row is the header again.
    pub(super) fn is_header(&self, fields: &Fields<'_>) -> bool {
        fields.count == self.header.len()
            && self.header.iter().zip(fields.in_columns()).all(|(name, field)| is_name(name, field))
            && self.header.iter().any(|name| !name.is_empty())
    }

    /// Whether a record begins with a word for a total, and has a number behind it.
    pub(super) fn looks_like_total(&self, fields: &Fields<'_>) -> bool {
        if !self.repairs || self.is_failed_csv {
            return false;
        }
        let mut cells = fields.in_columns().map(<[u8]>::trim_ascii).filter(|cell| !cell.is_empty());
        cells.next().is_some_and(is_total) && cells.any(|cell| cell.iter().any(u8::is_ascii_digit))
    }

    /// Whether a row whose first bytes are these can be the header again.
    pub(super) fn can_be_header(&self, content: &[u8]) -> bool {
        let first_name = self.header.first().map_or("", String::as_str);
        match content.first() {
            Some(byte) if byte.is_ascii_alphanumeric() => match first_name.as_bytes().first() {
                // Most records differ in the first byte, which is compared without a call.
                Some(first) => first == byte && content.starts_with(first_name.as_bytes()),
                None => true,
            },
            _ => {
                let text = content.strip_prefix(b"\"").or(content.strip_prefix(b"'")).unwrap_or(content);
                let front = &text[..text.len().min(first_name.len().saturating_add(LONGEST_SPACE))];
                let front = front.utf8_chunks().next().map_or("", |chunk| chunk.valid());
                front.trim_start_matches(is_mark).starts_with(first_name)
            }
        }
    }
}

/// The most bytes of spaces in front of a name that is recognised.
const LONGEST_SPACE: usize = 64;

/// Words for a total in lower case.
const TOTALS: &[&str] = &[
    "total",
    "totals",
    "grand total",
    "sum",
    "summe",
    "gesamt",
    "gesamtsumme",
    "insgesamt",
    "total général",
    "totale",
    "totaal",
    "suma",
    "итого",
];

/// The most bytes of a cell that is compared with them.
const LONGEST_TOTAL: usize = 32;

fn is_total(cell: &[u8]) -> bool {
    let text = str::from_utf8(cell).ok().filter(|text| text.len() <= LONGEST_TOTAL);
    text.is_some_and(|text| TOTALS.contains(&text.trim_end_matches([':', ' ']).to_lowercase().as_str()))
}

fn is_name(name: &str, field: &[u8]) -> bool {
    field == name.as_bytes() || str::from_utf8(field).is_ok_and(|field| without_marks(field) == name)
}

/// A name of the header without the characters at its ends that do not belong to it.
pub(super) fn without_marks(name: &str) -> &str {
    name.trim_matches(is_mark)
}

/// White space and invisible characters.
fn is_mark(c: char) -> bool {
    c.is_whitespace() || is_invisible(c)
}
