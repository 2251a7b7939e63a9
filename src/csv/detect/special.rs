//! What the first line of some files says about how they are read.

use memchr::memchr2;

use super::scan::Scan;
use super::{Detected, Hows, sample::Sample};
use crate::csv::{
    Choices, Cursor, Delimiter, Dialect, HeaderAt, Layout, LayoutError, MOST_COLUMNS, Notes,
    failed_csv::{self, Columns},
    split::line_end,
};

/// The separator that the first line says (`sep=;`), and where the rest begins.
pub(super) fn separator_line(sample: &Sample<'_>) -> (Option<Delimiter>, Cursor) {
    let text = sample.text();
    let end = memchr2(b'\r', b'\n', text).unwrap_or(text.len());
    let mut line = &text[..end];
    if let Some(inside) = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")) {
        line = inside;
    }
    let said = match line.get(..4) {
        Some(key) if key.eq_ignore_ascii_case(b"sep=") && end < text.len() => &line[4..],
        _ => return (None, sample.start),
    };
    let said = if said == b"\\t" { b"\t" } else { said };
    let Some(delimiter) = str::from_utf8(said).ok().and_then(|said| said.parse().ok()) else {
        return (None, sample.start);
    };
    let mut at = sample.start;
    at.advance(end + line_end(&text[end..]), 1);
    while let length @ 1.. = line_end(sample.from(at)) {
        at.advance(length, 1);
    }
    (Some(delimiter), at)
}

/// The reading of one of our `failed.csv` files, in any separator. None if this is an ordinary file.
pub(super) fn failed_csv(sample: &Sample<'_>, choices: &Choices) -> Result<Option<Detected>, LayoutError> {
    // Which sheet the text is of says nothing about it.
    if !(Choices { sheet: None, ..choices.clone() }).is_empty() {
        return Ok(None);
    }
    let (_, top) = separator_line(sample);
    let Some(delimiter) = failed_csv_delimiter(sample.from(top)) else { return Ok(None) };
    let dialect = Dialect { delimiter, ..Dialect::plain() };
    let scan = Scan::new(&dialect);
    let text = sample.from(top);
    let Some((row, end, line)) = scan.first(text, top.line, sample.eof) else {
        return Err(sample.too_short());
    };
    if row.end > sample.max_header_bytes {
        return Err(LayoutError::TooLong { limit: sample.max_header_bytes });
    }
    let names = scan.cells(text, &row, usize::MAX);
    if names.len() > MOST_COLUMNS {
        return Err(LayoutError::TooManyColumns { columns: names.len() });
    }
    let Columns { header, is_failed_csv, has_extra } = failed_csv::recognise(names);
    if !is_failed_csv {
        return Ok(None);
    }
    let mut start = top;
    start.advance(end, line - top.line);
    let layout = Layout {
        dialect,
        encoding: sample.encoding,
        header,
        start,
        is_failed_csv,
        has_extra,
        left_out_at_end: 0,
        repairs: true,
        reader_3: true,
        reader_4: true,
        cut: Vec::new(),
    };
    Ok(Some(Detected {
        layout,
        header: HeaderAt::at(top.line),
        header_rows: 1,
        hows: Hows::CERTAIN,
        notes: Notes::default(),
    }))
}

/// The delimiter of a header that begins with our columns.
fn failed_csv_delimiter(text: &[u8]) -> Option<Delimiter> {
    let [first, second, third] = failed_csv::IN_FRONT;
    let unquoted = |text: &'_ [u8], name: &str| -> Option<usize> {
        let quoted = format!("\"{name}\"");
        let found = [name, quoted.as_str()].into_iter().find(|name| text.starts_with(name.as_bytes()))?;
        Some(found.len())
    };
    let behind = &text[unquoted(text, first)?..];
    let length = (1..=Delimiter::LONGEST)
        .find(|length| behind.get(*length..).is_some_and(|rest| unquoted(rest, second).is_some()))?;
    let delimiter = &behind[..length];
    let behind = &behind[length..];
    let behind = behind[unquoted(behind, second)?..].strip_prefix(delimiter)?;
    unquoted(behind, third)?;
    str::from_utf8(delimiter).ok()?.parse().ok()
}
