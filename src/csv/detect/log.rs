//! Logs whose columns are named by a comment: `#Fields: date time` in the W3C's extended format, as IIS and CloudFront
//! write them, and `#fields` in Zeek's.

use memchr::memchr2;

use super::{
    Detected, Hows, best,
    comments::{behind, in_sample},
    layout,
    sample::Sample,
    table::Table,
};
use crate::csv::{Choices, Cursor, HeaderAt, How, Layout, LayoutError, Note, Notes};

/// What the comment begins with.
const FIELDS: [&[u8]; 2] = [b"#Fields:", b"#fields\t"];

/// The comment that names the columns.
struct LogFields {
    /// The names.
    text: String,
    line: u64,
}

impl LogFields {
    /// They are separated as the rows are, or by white space.
    fn names(&self, delimiter: &str) -> Vec<String> {
        if self.text.trim().contains(delimiter) && !delimiter.trim().is_empty() {
            self.text.split(delimiter).map(|name| name.trim().to_owned()).collect()
        } else {
            self.text.split_whitespace().map(str::to_owned).collect()
        }
    }
}

/// The table below the comments, if the last that names columns is among the first `lines` from `start` on. None if they
/// name none, or not as many as the rows have, or there is another header.
pub(super) fn table(
    sample: &Sample<'_>,
    start: Cursor,
    lines: u64,
    choices: &Choices,
) -> Result<Option<Detected>, LayoutError> {
    let is_other_header =
        choices.header == Some(HeaderAt::None) || choices.header_rows.is_some_and(|rows| rows != 1);
    let fields = named(sample, start, lines).filter(|_| !is_other_header);
    let named_in = behind(sample, start, lines);
    // Those below a comment that was chosen for the header.
    let further = in_sample(sample, named_in).0;
    let below = behind(sample, named_in, further);
    let Some(fields) = fields.filter(|_| !sample.from(below).is_empty()) else {
        return Ok(None);
    };
    let (mut best, delimiter) = best(sample, sample.judged(below), choices)?;
    let names = fields.names(best.grid.dialect.delimiter.as_str());
    if best.grid.width != names.len() || best.table.is_named {
        return Ok(None);
    }
    best.table = Table { top: 0, header_rows: 0, is_named: true };
    let found = layout(sample, &best, delimiter, below.line, Notes::default())?;
    let mut notes = Notes::default();
    notes.add_several(Note::CommentLines, (lines + further).saturating_sub(1), start.line);
    Ok(Some(Detected {
        layout: Layout { header: names, left_out_at_end: 0, ..found.layout },
        header: HeaderAt::at(fields.line),
        header_rows: 1,
        hows: Hows { header: How::Certain, ..found.hows },
        notes,
    }))
}

/// The last comment of this kind.
fn named(sample: &Sample<'_>, start: Cursor, lines: u64) -> Option<LogFields> {
    let (mut at, mut found) = (start, None);
    for _ in 0..lines {
        let text = sample.from(at);
        let line = &text[..memchr2(b'\r', b'\n', text).unwrap_or(text.len())];
        if let Some(names) = FIELDS.iter().find_map(|fields| line.strip_prefix(*fields)) {
            found = Some(LogFields { text: String::from_utf8_lossy(names).into_owned(), line: at.line });
        }
        at = behind(sample, at, 1);
    }
    found
}
