//! Files that are imported.

use std::fmt::Write;

/// Times that the real file's rows are repeated: enough that a person sees the counts move.
pub const MANY: usize = 600;

/// Rows of a real CSV many times over, with a row now and then that is cut short; how many rows are whole,
/// and how many are not.
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
