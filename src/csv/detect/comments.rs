//! Lines above the header that begin with `#`.

use memchr::memchr2;

use super::{candidates::Candidate, grid::Judged, scan::Scan};
use crate::csv::{Cursor, split::line_end};

/// How many lines at the top begin with `#`. 0 if all do: then `#` is data.
pub(super) fn count(front: Judged<'_>) -> u64 {
    let mut lines = 0;
    let mut rest = front.text;
    while rest.starts_with(b"#") {
        let Some(end) = memchr2(b'\r', b'\n', rest) else { return 0 };
        rest = &rest[end + line_end(&rest[end..])..];
        lines += 1;
    }
    let is_empty = rest.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
    if is_empty { 0 } else { lines }
}

/// The position behind that many lines of the front.
pub(super) fn behind(front: Judged<'_>, lines: u64) -> Cursor {
    let mut at = front.at;
    let mut rest = front.text;
    for _ in 0..lines {
        let Some(end) = memchr2(b'\r', b'\n', rest) else { return at };
        let length = end + line_end(&rest[end..]);
        at.advance(length, 1);
        rest = &rest[length..];
    }
    at
}

/// Whether the last of the lines that begin with `#` is the header (`#,name`) or data, given the reading of
/// what is below them.
pub(super) fn is_last_the_header(front: Judged<'_>, lines: u64, below: &Candidate<'_>) -> bool {
    let from = behind(front, lines.saturating_sub(1)).byte - front.at.byte;
    let Some(line) = usize::try_from(from).ok().and_then(|from| front.text.get(from..)) else { return false };
    let line = &line[..memchr2(b'\r', b'\n', line).unwrap_or(line.len())];
    let scan = Scan::new(&below.grid.dialect);
    let rows = scan.rows(line, 1, true, None);
    let [row] = rows.as_slice() else { return false };
    let table = &below.table;
    if row.width != below.grid.width || table.top > 0 {
        return false;
    }
    if table.header_rows == 0 {
        // Numbers follow: the names are in this line.
        return row.width > 1 || line.split(|byte| *byte == b' ').count() <= 3;
    }
    let top = &below.grid.rows[0];
    let has_other_quotes = row.quoted == 0 && top.quoted == top.width;
    let words = scan
        .cells(line, row, usize::MAX)
        .iter()
        .map(|cell| cell.split_whitespace().count())
        .max()
        .unwrap_or(0);
    !table.is_named && !has_other_quotes && row.width > 1 && words <= 2
}
