//! Determines how a file is read from its front.
//!
//! Every dialect that the front may have splits it into rows, and the one whose rows come out most evenly is
//! taken; docs/csv.md has the rules. A delimiter is judged by whole quoted records, never by lines.

mod candidates;
mod cells;
mod comments;
mod grid;
mod guesses;
mod kind;
mod log;
mod names;
mod prose;
mod quoting;
mod sample;
mod scan;
mod special;
mod table;

use memchr::memchr2;

use super::{
    Choices, Cursor, Delimiter, Encoding, Escape, HeaderAt, How, Layout, LayoutError, MOST_COLUMNS, Note,
    Notes, Part, Quote, Reading,
    split::{line_end, without_half_line_end},
};
use candidates::Candidate;
pub use cells::detect_cells;
use grid::{Grid, Judged};
use names::TableNames;
use sample::Sample;
use scan::Row;
use table::Table;

/// Determines the layout of a file and how it is read. `sample` starts at the file's first byte and is UTF-8,
/// with the escapes of the decoded copy for undecodable bytes; `eof` says that it is the whole file.
/// `encoding` is the file's own encoding. What `choices` contain is obeyed.
///
/// # Errors
/// No table was found, or its header is not what a header can be. With [`LayoutError::NeedMore`], call again
/// with a longer sample.
pub fn detect(
    sample: &[u8],
    eof: bool,
    encoding: Part<Encoding>,
    choices: &Choices,
    max_header_bytes: usize,
) -> Result<(Layout, Reading), LayoutError> {
    detect_in(sample, eof, encoding, choices, max_header_bytes, find)
}

fn detect_in(
    sample: &[u8],
    eof: bool,
    encoding: Part<Encoding>,
    choices: &Choices,
    max_header_bytes: usize,
    find: fn(&Sample<'_>, &Choices) -> Result<Detected, LayoutError>,
) -> Result<(Layout, Reading), LayoutError> {
    let sample = Sample::new(without_half_line_end(sample, eof), eof, encoding.value, max_header_bytes);
    if sample.text().is_empty() {
        // Nothing but empty lines, or nothing else yet.
        let layout =
            Layout { encoding: encoding.value, ..Layout::read(sample.whole, eof, max_header_bytes)? };
        return Ok((layout, plain(encoding, sample.start.line)));
    }
    if sample.is_blank() {
        if !eof {
            return Err(sample.too_short());
        }
        let layout = Layout { encoding: encoding.value, ..Layout::read(b"", eof, max_header_bytes)? };
        return Ok((layout, plain(encoding, sample.start.line)));
    }
    if !eof && memchr2(b'\r', b'\n', sample.text()).is_none() {
        return Err(sample.too_short());
    }
    let found = match special::failed_csv(&sample, choices)? {
        Some(found) => found,
        None => find(&sample, choices)?,
    };
    let Detected { layout, header, header_rows, hows, notes } = found;
    let part = |how: How, is_chosen: bool| if is_chosen { How::Chosen } else { how };
    let reading = Reading {
        encoding,
        delimiter: Part {
            value: layout.dialect.delimiter,
            how: part(hows.delimiter, choices.delimiter.is_some()),
        },
        quote: Part { value: layout.dialect.quote, how: part(hows.quote, choices.quote.is_some()) },
        escape: Part { value: layout.dialect.escape, how: part(hows.escape, choices.escape.is_some()) },
        header: Part { value: header, how: part(hows.header, choices.header.is_some()) },
        header_rows: Part { value: header_rows, how: part(hows.header_rows, choices.header_rows.is_some()) },
        notes,
    };
    Ok((layout, reading))
}

/// RFC 4180, with the header on `line`.
fn plain(encoding: Part<Encoding>, line: u64) -> Reading {
    Reading {
        encoding,
        delimiter: Part::certain(Delimiter::COMMA),
        quote: Part::certain(Quote::Double),
        escape: Part::certain(Escape::Doubled),
        header: Part::guess(HeaderAt::at(line)),
        header_rows: Part::certain(1),
        notes: Notes::default(),
    }
}

/// A layout, and what the reading says about it.
struct Detected {
    layout: Layout,
    header: HeaderAt,
    header_rows: u8,
    hows: Hows,
    notes: Notes,
}

/// How sure the parts of a reading are.
struct Hows {
    delimiter: How,
    quote: How,
    escape: How,
    header: How,
    header_rows: How,
}

impl Hows {
    const CERTAIN: Self = Self {
        delimiter: How::Certain,
        quote: How::Certain,
        escape: How::Certain,
        header: How::Certain,
        header_rows: How::Certain,
    };
}

/// Finds the table of an ordinary file.
fn find(sample: &Sample<'_>, choices: &Choices) -> Result<Detected, LayoutError> {
    let is_of_quotes = choices.quote.is_some() || choices.escape.is_some();
    let without_quotes = Choices { quote: None, escape: None, ..choices.clone() };
    match find_table(sample, &without_quotes) {
        Ok(without) if is_of_quotes => find_with_quotes(sample, choices, without),
        found if !is_of_quotes => found,
        _ => find_table(sample, choices),
    }
}

/// Finds the table with the chosen quotes or escapes. `without` is the reading without this choice: its delimiter,
/// if that is certain, and its header stay, because wrong quotes make other rows look like the header.
fn find_with_quotes(
    sample: &Sample<'_>,
    choices: &Choices,
    without: Detected,
) -> Result<Detected, LayoutError> {
    let delimiter = without.layout.dialect.delimiter;
    let stays = choices.delimiter.is_none() && without.hows.delimiter == How::Certain;
    let mut choices = choices.clone();
    if stays {
        choices.delimiter = Some(delimiter);
    }
    let mut found = find_table(sample, &choices)?;
    if choices.header.is_none()
        && found.layout.dialect.delimiter == delimiter
        && (found.header, found.header_rows) != (without.header, without.header_rows)
    {
        choices.header = Some(without.header);
        choices.header_rows = Some(without.header_rows).filter(|rows| *rows > 0);
        found = find_table(sample, &choices)?;
        (found.hows.header, found.hows.header_rows) = (without.hows.header, without.hows.header_rows);
    }
    if stays {
        found.hows.delimiter = How::Certain;
    }
    Ok(found)
}

fn find_table(sample: &Sample<'_>, choices: &Choices) -> Result<Detected, LayoutError> {
    let mut notes = Notes::default();
    let (said, top) = special::separator_line(sample);
    let choices = &Choices { delimiter: choices.delimiter.or(said), ..choices.clone() };
    let (start, is_at_chosen_line) = match choices.header {
        Some(HeaderAt::Line(line)) => (sample.line(line.get())?, true),
        _ => (top, false),
    };
    if said.is_some() && start.line >= top.line {
        notes.add_several(Note::SeparatorLine, 1, sample.start.line);
    }
    if is_at_chosen_line {
        note_lines_above(sample, top, start, &mut notes);
    }
    let mut comments = if is_at_chosen_line { 0 } else { comments::count(sample, start)? };
    if let Some(found) = log::table(sample, start, comments.max(u64::from(is_at_chosen_line)), choices)? {
        notes.append(&found.notes);
        return Ok(Detected { notes, ..found });
    }
    let below = sample.judged(comments::behind(sample, start, comments));
    let (mut best, delimiter) = best(sample, below, choices)?;
    let last = comments::behind(sample, start, comments.saturating_sub(1));
    if comments > 0 && comments::is_last_the_header(sample, last, &best) {
        comments -= 1;
        best = best.from(sample.judged(last));
        best.table = Table { top: 0, header_rows: 1, is_named: best.table.header_rows == 0 };
    }
    place_header(&mut best, choices);
    notes.add_several(Note::CommentLines, comments, start.line);
    layout(sample, &best, delimiter, top.line + comments, notes)
}

/// Notes what is between the top of the file and the line that was chosen for the header.
fn note_lines_above(sample: &Sample<'_>, top: Cursor, start: Cursor, notes: &mut Notes) {
    let above = start.line.saturating_sub(top.line);
    // What the sample does not show is not above the line.
    let comments = comments::count(sample, top).unwrap_or_else(|_| comments::in_sample(sample, top).0);
    let comments = comments.min(above);
    notes.add_several(Note::CommentLines, comments, top.line);
    let below = comments::behind(sample, top, comments);
    let length = usize::try_from(start.byte.saturating_sub(below.byte)).unwrap_or(usize::MAX);
    let rest = sample.from(below);
    if rest[..length.min(rest.len())].iter().any(|byte| !matches!(byte, b'\r' | b'\n')) {
        notes.add_several(Note::LinesAboveHeader, above - comments, below.line);
    }
}

/// The best reading of `front`, and how sure its delimiter is.
fn best<'t>(
    sample: &Sample<'_>,
    front: Judged<'t>,
    choices: &Choices,
) -> Result<(Candidate<'t>, How), LayoutError> {
    let is_chosen = choices.delimiter.is_some();
    if let Some(best) = guesses::in_unusual_quotes(front, choices) {
        return Ok((best, How::Guess));
    }
    if let Some((best, has_rival)) = candidates::usual(front, choices) {
        if !is_chosen && prose::is_prose(&best.grid) {
            return Err(LayoutError::NoTable);
        }
        if let Some(longer) = guesses::longer(&best, choices) {
            return Ok((longer, How::Guess));
        }
        if !is_chosen
            && best.body_fit() < 0.8
            && let Some(unusual) = guesses::unusual(front, choices)
            && unusual.fits()
        {
            return Ok((unusual, How::Guess));
        }
        if best.body_fit() >= FEWEST_FITTING || is_chosen {
            let is_certain = best.fits() && !has_rival;
            return Ok((best, How::certain_if(is_certain)));
        }
    }
    if let Some(best) = guesses::unusual(front, choices) {
        return Ok((best, How::Guess));
    }
    if let Some(best) = candidates::of_first_line(front, choices)
        && !prose::is_prose(&best.grid)
    {
        return Ok((best, How::Guess));
    }
    let best = guesses::one_column(front, choices).ok_or_else(|| sample.too_short())?;
    if !is_chosen && prose::has_no_column(front) {
        return Err(LayoutError::NoTable);
    }
    let is_certain = best.grid.dialect.delimiter == Delimiter::COMMA && !guesses::has_usual_delimiter(front);
    Ok((best, How::certain_if(is_certain)))
}

/// The share of the records that must have the same number of fields.
const FEWEST_FITTING: f64 = 0.3;

/// Whether a row is the line that is drawn below the header of a printed table.
fn is_rule(grid: &Grid<'_>, row: &Row) -> bool {
    if row.width == 1 && grid::is_drawn(&grid.front.text[row.start..row.end]) {
        return true;
    }
    let mut cells = grid.cells(row);
    cells.retain(|cell| !cell.trim().is_empty());
    let is_drawn = |cell: &String| kind::is_rule(cell.trim()) || matches!(cell.trim(), "-" | "=");
    row.width == grid.width
        && row.filled > 0
        && cells.iter().all(is_drawn)
        && cells.iter().any(|cell| cell.trim().len() > 2)
}

/// Puts the header where a person says.
fn place_header(best: &mut Candidate<'_>, choices: &Choices) {
    let rows = &best.grid.rows;
    let table = &mut best.table;
    match choices.header {
        Some(HeaderAt::None) => {
            let top = rows.iter().position(|row| row.width == best.grid.width).unwrap_or(0);
            *table = Table { top, header_rows: 0, is_named: false };
        }
        Some(HeaderAt::Line(_)) => {
            let header_rows = if table.top == 0 { table.header_rows.max(1) } else { 1 };
            *table = Table { top: 0, header_rows, ..*table };
        }
        None => {}
    }
    if let Some(chosen) = choices.header_rows
        && choices.header != Some(HeaderAt::None)
    {
        table.header_rows = usize::from(chosen).min(rows.len() - table.top);
    }
}

/// The layout of a table. `first_line` is the first physical line that is neither a comment nor says the
/// separator.
fn layout(
    sample: &Sample<'_>,
    best: &Candidate<'_>,
    delimiter: How,
    first_line: u64,
    mut notes: Notes,
) -> Result<Detected, LayoutError> {
    let Candidate { grid, table, .. } = best;
    let top = grid.rows.get(table.top).ok_or_else(|| sample.too_short())?;
    let header_rows = &grid.rows[table.top..table.top + table.header_rows];
    let (end, line) = match header_rows.last() {
        Some(last) => {
            let line_end = line_end(&grid.front.text[last.end..]);
            // The file may end with the header.
            (last.end + line_end, last.next_line - u64::from(line_end == 0))
        }
        None => (top.start, top.line),
    };
    let rule = grid.rows.get(table.top + table.header_rows);
    let (end, line) = match rule.filter(|rule| table.header_rows > 0 && is_rule(grid, rule)) {
        Some(rule) => {
            notes.add_several(Note::HeaderRule, 1, rule.line);
            let line_end = line_end(&grid.front.text[rule.end..]);
            (rule.end + line_end, rule.next_line - u64::from(line_end == 0))
        }
        None => (end, line),
    };
    if header_rows.iter().map(|row| row.end - row.start).sum::<usize>() > sample.max_header_bytes {
        return Err(LayoutError::TooLong { limit: sample.max_header_bytes });
    }
    if header_rows.iter().any(|row| row.is_open) {
        return Err(if sample.eof { LayoutError::QuotesNeverClose } else { sample.too_short() });
    }
    let above = top.line.saturating_sub(first_line);
    if table.top > 0 {
        notes.add_several(Note::LinesAboveHeader, above, first_line);
    }
    let TableNames { names, left_out_at_end } = TableNames::of(grid, table, &mut notes);
    if names.len() > MOST_COLUMNS {
        return Err(LayoutError::TooManyColumns { columns: names.len() });
    }
    let mut start = grid.front.at;
    start.advance(end, line - start.line);
    let dialect = &grid.dialect;
    let is_usual_quote =
        dialect.quote == Quote::Double && !dialect.inner_quotes_are_text && !dialect.lines_are_quoted;
    let is_named = table.is_named
        && table.top == 0
        && notes.of(Note::UnnamedColumns).is_none()
        && notes.of(Note::UnnamedFirstColumn).is_none();
    Ok(Detected {
        layout: Layout {
            dialect: dialect.clone(),
            encoding: sample.encoding,
            header: names,
            start,
            is_failed_csv: false,
            has_extra: false,
            left_out_at_end,
            repairs: true,
            reader_3: true,
            reader_4: true,
            cut: Vec::new(),
        },
        header: if table.header_rows == 0 { HeaderAt::None } else { HeaderAt::at(top.line) },
        header_rows: u8::try_from(table.header_rows).unwrap_or(Choices::MOST_HEADER_ROWS),
        hows: Hows {
            delimiter,
            quote: How::certain_if(is_usual_quote),
            header: How::certain_if(is_named && table.header_rows == 1),
            header_rows: How::certain_if(table.header_rows <= 1),
            ..Hows::CERTAIN
        },
        notes,
    })
}
