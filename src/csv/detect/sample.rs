//! The front of a file.

use memchr::memchr2;

use super::grid::Judged;
use crate::csv::{
    Cursor, Encoding, LayoutError,
    layout::{front, without_byte_order_mark},
    split::line_end,
};

/// How many bytes are judged, unless the first line is long.
pub(super) const JUDGED: usize = 128 << 10;
/// So many lines as long as the first one are judged.
const JUDGED_LINES: usize = 6;

#[derive(Clone, Copy)]
pub(super) struct Sample<'t> {
    pub(super) whole: &'t [u8],
    pub(super) eof: bool,
    /// The file's own encoding.
    pub(super) encoding: Encoding,
    pub(super) max_header_bytes: usize,
    /// Behind the byte-order mark and empty lines.
    pub(super) start: Cursor,
}

impl<'t> Sample<'t> {
    pub(super) fn new(whole: &'t [u8], eof: bool, encoding: Encoding, max_header_bytes: usize) -> Self {
        let (start, _) = front(whole);
        Self { whole, eof, encoding, max_header_bytes, start }
    }

    /// The text behind the byte-order mark and empty lines.
    pub(super) fn text(&self) -> &'t [u8] {
        self.from(self.start)
    }

    /// Whether there is nothing but white space.
    pub(super) fn is_blank(&self) -> bool {
        let is_nothing = |c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}');
        // A character that the end of the sample cuts is none, and so is an undecodable byte.
        let mut chunks = self.text().utf8_chunks();
        chunks.all(|chunk| chunk.invalid().is_empty() && chunk.valid().chars().all(is_nothing))
    }

    pub(super) fn from(&self, at: Cursor) -> &'t [u8] {
        usize::try_from(at.byte).ok().and_then(|byte| self.whole.get(byte..)).unwrap_or_default()
    }

    /// What is judged, from `at` on.
    pub(super) fn judged(&self, at: Cursor) -> Judged<'t> {
        let text = self.from(at);
        let first_line = memchr2(b'\r', b'\n', text).unwrap_or(text.len());
        let most = JUDGED.max(first_line.saturating_mul(JUDGED_LINES));
        let judged = &text[..text.len().min(most)];
        let eof = self.eof && judged.len() == text.len();
        // The end mark of old DOS files is no record.
        let judged = if eof { judged.strip_suffix(b"\x1a").unwrap_or(judged) } else { judged };
        Judged { text: judged, at, eof }
    }

    /// Where a physical line begins.
    pub(super) fn line(&self, line: u64) -> Result<Cursor, LayoutError> {
        let mark = self.whole.len() - without_byte_order_mark(self.whole).len();
        let mut at = Cursor { byte: mark as u64, line: 1, record: 0 };
        while at.line < line {
            let rest = self.from(at);
            let Some(end) = memchr2(b'\r', b'\n', rest) else { break };
            at.advance(end + line_end(&rest[end..]), 1);
        }
        // An empty line has no names; the first line below it that has text is meant.
        while let length @ 1.. = line_end(self.from(at)) {
            at.advance(length, 1);
        }
        if at.line >= line && !self.from(at).is_empty() {
            Ok(at)
        } else if self.eof {
            Err(LayoutError::NoSuchLine { line })
        } else {
            Err(self.too_short())
        }
    }

    /// The sample does not contain the whole header.
    pub(super) fn too_short(&self) -> LayoutError {
        // Twice, because the empty lines above the header may be as long.
        if self.eof || self.whole.len() > self.max_header_bytes.saturating_mul(2) {
            LayoutError::TooLong { limit: self.max_header_bytes }
        } else {
            LayoutError::NeedMore
        }
    }
}
