//! Lines above the header that begin with `#`.

use memchr::memchr2;

use super::{
    candidates::Candidate,
    sample::{JUDGED, Sample},
    scan::Scan,
};
use crate::csv::{Cursor, LayoutError, split::line_end};

/// How many lines from `at` on begin with `#`, however many bytes they are. 0 if all do: then `#` is data.
///
/// # Errors
/// The comments may go on behind the sample, or what is below them does.
pub(super) fn count(sample: &Sample<'_>, at: Cursor) -> Result<u64, LayoutError> {
    let text = sample.from(at);
    let (lines, rest) = in_sample(sample, at);
    // The end mark of old DOS files is no record.
    let is_nothing = |byte: &u8| matches!(byte, b'\r' | b'\n' | b'\x1a');
    let is_all = rest.starts_with(b"#") || rest.iter().all(is_nothing);
    if text.starts_with(b"#") && is_all {
        return count_in_cut(sample, text);
    }
    // Long comments leave too little of the sample to judge, unless it cannot become longer.
    let is_short = text.len() - rest.len() > JUDGED && rest.len() < JUDGED;
    if is_short && !sample.eof && sample.too_short() == LayoutError::NeedMore {
        return Err(LayoutError::NeedMore);
    }
    Ok(lines)
}

/// How many whole lines of the sample from `at` on begin with `#`, and what is behind them.
pub(super) fn in_sample<'t>(sample: &Sample<'t>, at: Cursor) -> (u64, &'t [u8]) {
    let mut lines = 0;
    let mut rest = sample.from(at);
    while rest.starts_with(b"#")
        && let Some(end) = memchr2(b'\r', b'\n', rest)
    {
        rest = &rest[end + line_end(&rest[end..])..];
        lines += 1;
    }
    (lines, rest)
}

/// The number of comments if there is nothing but lines that begin with `#` in `text`, the sample's.
fn count_in_cut(sample: &Sample<'_>, text: &[u8]) -> Result<u64, LayoutError> {
    if sample.eof {
        return Ok(0);
    }
    match sample.too_short() {
        // Whatever is below them, they cannot be its header.
        error @ LayoutError::TooLong { .. } if looks_like_comments(text) => Err(error),
        LayoutError::TooLong { .. } => Ok(0),
        error => Err(error),
    }
}

/// Whether lines that begin with `#` are comments (`##contig=1`, `# made by`), and not rows (`#tag,5`).
fn looks_like_comments(text: &[u8]) -> bool {
    let text = &text[..text.len().min(JUDGED)];
    let (mut comments, mut all) = (0, 0);
    for line in text.split(|byte| matches!(byte, b'\r' | b'\n')).filter(|line| !line.is_empty()) {
        all += 1;
        comments += usize::from(matches!(line, [b'#'] | [b'#', b'#' | b' ' | b'\t', ..]));
    }
    comments * 20 >= all
}

/// The position so many lines behind `at`.
pub(super) fn behind(sample: &Sample<'_>, at: Cursor, lines: u64) -> Cursor {
    let mut at = at;
    let mut rest = sample.from(at);
    for _ in 0..lines {
        let Some(end) = memchr2(b'\r', b'\n', rest) else { return at };
        let length = end + line_end(&rest[end..]);
        at.advance(length, 1);
        rest = &rest[length..];
    }
    at
}

/// Whether the line at `last`, the last of those that begin with `#`, is the header (`#,name`) or data, given the
/// reading of what is below them.
pub(super) fn is_last_the_header(sample: &Sample<'_>, last: Cursor, below: &Candidate<'_>) -> bool {
    let line = sample.from(last);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csv::{Choices, Encoding, Layout, Note, Part, Reading, detect};

    /// The longest header, as a plan has it.
    const MOST_HEADER: usize = 1 << 20;

    fn read(sample: &[u8], eof: bool) -> Result<(Layout, Reading), LayoutError> {
        detect(sample, eof, Part::certain(Encoding::UTF_8), &Choices::default(), MOST_HEADER)
    }

    /// The number of comments and the first name.
    fn found(sample: &[u8], eof: bool) -> Result<(u64, String), LayoutError> {
        let (layout, reading) = read(sample, eof)?;
        let comments = reading.notes.of(Note::CommentLines).map_or(0, |noted| noted.count);
        Ok((comments, layout.header[0].clone()))
    }

    fn table() -> String {
        let rows = (1..=51).map(|row| format!("chr1\t{row}\tA\tPASS\n"));
        format!("#CHROM\tPOS\tREF\tFILTER\n{}", rows.collect::<String>())
    }

    #[test]
    fn comments_longer_than_what_is_judged_are_skipped() {
        for lines in [10, 4_000, 8_000] {
            let comments = "##contig=<ID=chr1,length=248956422,assembly=b37>\n".repeat(lines);
            let file = format!("{comments}{}", table());
            assert_eq!(found(file.as_bytes(), true), Ok((lines as u64, "#CHROM".to_owned())), "{lines}");
            let file = format!("{comments}id,name\n1,Ann\n2,Bob\n");
            assert_eq!(found(file.as_bytes(), true), Ok((lines as u64, "id".to_owned())), "{lines}");
        }
    }

    #[test]
    fn a_sample_that_ends_in_comments_is_too_short() {
        let comments = "## made by hand\n".repeat(20_000);
        assert_eq!(found(comments.as_bytes(), false), Err(LayoutError::NeedMore));
        let cut = format!("{comments}id,name\n1,A");
        assert_eq!(found(cut.as_bytes(), false), Err(LayoutError::NeedMore));
        let endless = comments.repeat(8);
        let too_long = LayoutError::TooLong { limit: MOST_HEADER };
        assert_eq!(found(endless.as_bytes(), false), Err(too_long));
    }

    #[test]
    fn rows_that_all_begin_with_a_hash_are_data() {
        let file = format!("#tag,uses\n{}", "#rust,5\n#csv,7\n".repeat(150_000));
        assert_eq!(found(file.as_bytes(), true), Ok((0, "#tag".to_owned())));
        assert_eq!(found(file.as_bytes(), false), Ok((0, "#tag".to_owned())));
        assert_eq!(found(&file.as_bytes()[..1 << 20], false), Err(LayoutError::NeedMore));
    }
}
