//! Reading CSV: every rule by example, real files, and properties against a simple reference reader.

mod cases;
mod detection;
mod dialects;
mod fixtures;
mod properties;
mod reference;
mod repairs;
mod rules;

use runboard::csv::{Cursor, Layout, Output, Pass};

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
