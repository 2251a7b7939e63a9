//! The text that Runboard has written of the cells of a sheet.

use super::{
    Detected, candidates::Candidate, detect_in, find, layout, note_lines_above, place_header, sample::Sample,
};
use crate::csv::{Choices, Dialect, Encoding, HeaderAt, How, Layout, LayoutError, Notes, Part, Reading};

/// As [`detect`](super::detect), for a text that Runboard itself has written of the cells of a sheet. Its dialect is known, so that
/// no cell is ever split; only the header is detected. If another dialect is chosen, for cells that hold whole lines
/// of a CSV, the text is read as any file.
///
/// # Errors
/// As [`detect`](super::detect).
pub fn detect_cells(
    sample: &[u8],
    eof: bool,
    choices: &Choices,
    max_header_bytes: usize,
) -> Result<(Layout, Reading), LayoutError> {
    let Dialect { delimiter, quote, escape, .. } = Dialect::plain();
    let is_as_written = choices.delimiter.is_none_or(|chosen| chosen == delimiter)
        && choices.quote.is_none_or(|chosen| chosen == quote)
        && choices.escape.is_none_or(|chosen| chosen == escape);
    let find = if is_as_written { cells } else { find };
    detect_in(sample, eof, Part::certain(Encoding::UTF_8), choices, max_header_bytes, find)
}

fn cells(sample: &Sample<'_>, choices: &Choices) -> Result<Detected, LayoutError> {
    let mut notes = Notes::default();
    let start = match choices.header {
        Some(HeaderAt::Line(line)) => sample.line(line.get())?,
        _ => sample.start,
    };
    note_lines_above(sample, sample.start, start, &mut notes);
    let mut best = Candidate::plain(sample.judged(start)).ok_or_else(|| sample.too_short())?;
    place_header(&mut best, choices);
    layout(sample, &best, How::Certain, sample.start.line, notes)
}
