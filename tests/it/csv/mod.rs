//! Reading CSV: every rule by example, real files, and properties against a simple reference reader.

mod cases;
mod detection;
mod dialects;
mod fixtures;
mod properties;
mod reference;
mod repairs;
mod rules;

use runboard::csv::{Cursor, Layout, Output, Pass, Past};

/// A record limit that no example reaches by accident.
const LIMIT: usize = 1000;

/// Reads a whole file in one pass.
fn read(file: &[u8]) -> (Layout, Output, Cursor) {
    read_with_limit(file, LIMIT)
}

fn read_with_limit(file: &[u8], limit: usize) -> (Layout, Output, Cursor) {
    let layout = Layout::read(file, true, limit).expect("a readable header");
    let mut pass = Pass::new(&layout, layout.start, limit);
    let mut output = Output::default();
    let rest = &file[layout.start.byte as usize..];
    assert_eq!(pass.read(rest, true, u64::MAX, &mut output), rest.len(), "all is consumed at the end");
    assert!(pass.at_boundary());
    let cursor = pass.cursor();
    (layout, output, cursor)
}

/// The lines of `failed.csv` for a file, without the header.
fn failed_lines(file: &[u8]) -> String {
    String::from_utf8(read(file).1.failed).expect("failed.csv is UTF-8")
}

fn processed(file: &[u8]) -> String {
    String::from_utf8(read(file).1.processed).expect("processed.csv is UTF-8")
}

/// Reads what is behind the header as steps do: from blocks of the given sizes. Each step is a new pass from the
/// cursor of the previous one, and outputs are taken after each read. The end of the file is known only when there is
/// no further block.
fn read_in_steps(
    layout: &Layout,
    rest: &[u8],
    limit: usize,
    blocks: &[usize],
    steps: &[u64],
) -> (Output, Cursor) {
    let offset = layout.start.byte;
    let mut blocks = blocks.iter().copied().cycle();
    let (mut cursor, mut past, mut all) = (layout.start, Past::default(), Output::default());
    for step in steps.iter().copied().cycle() {
        let stop = cursor.byte + step;
        let mut pass = Pass::resume(layout, cursor, past, limit);
        let mut from = (cursor.byte - offset) as usize;
        let (mut to, mut eof) = (from, false);
        let mut output = Output { counts: all.counts, ..Output::default() };
        while !(pass.at_boundary() && (pass.cursor().byte >= stop || from == rest.len())) {
            let consumed = pass.read(&rest[from..to], eof, stop, &mut output);
            from += consumed;
            assert_eq!(pass.cursor().byte, offset + from as u64, "the cursor follows what is consumed");
            assert!(consumed > 0 || to - from <= limit + 2, "{} bytes must be enough", limit + 2);
            all.processed.append(&mut output.processed);
            all.failed.append(&mut output.failed);
            all.raw.append(&mut output.raw);
            eof = to == rest.len();
            to = rest.len().min(to + blocks.next().unwrap_or(1));
        }
        if from == rest.len() {
            pass.read(&[], true, stop, &mut output);
        }
        all.notes.append(&output.notes);
        all.counts = output.counts;
        (cursor, past) = (pass.cursor(), pass.past());
        if from == rest.len() {
            break;
        }
    }
    (all, cursor)
}
