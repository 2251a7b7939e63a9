//! Files to import.

use std::fmt::Write;

/// How often the real file's rows are repeated: enough that a person sees the counts change.
pub const MANY: usize = 600;

/// The rows of a real CSV repeated many times, with some truncated rows. Also returns the numbers of whole
/// and of truncated rows.
pub fn big_csv(copies: usize) -> (String, usize, usize) {
    let airports = include_str!("../fixtures/airports.csv");
    let (header, rows) = airports.split_once('\n').unwrap();
    let mut file = format!("{header}\n");
    for copy in 1..=copies {
        file.push_str(rows);
        writeln!(file, "CUT{copy},only two fields").unwrap();
    }
    (file, rows.lines().count() * copies, copies)
}
