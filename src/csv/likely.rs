//! Guesses where a record ends, without reading the records before it.

use memchr::{memchr_iter, memrchr2};

use super::{Dialect, split::count_line_ends};

/// How many line ends are tried.
const MOST_TRIES: usize = 64;

/// The part of `bytes`, which begin with a record, up to a line end at their back that most likely ends a record, and
/// the number of its line ends. None if none is found. Reading the part shows whether the guess was right.
#[must_use]
pub fn likely_records<'b>(dialect: &Dialect, bytes: &'b [u8]) -> Option<(&'b [u8], u64)> {
    let quotes = |bytes: &[u8]| dialect.quote.byte().map_or(0, |quote| memchr_iter(quote, bytes).count());
    let mut before = quotes(bytes);
    let mut end = bytes.len();
    for _ in 0..MOST_TRIES {
        let at = memrchr2(b'\r', b'\n', &bytes[..end])?;
        before -= quotes(&bytes[at..end]);
        // A CR at the very end may be half of a CRLF.
        let is_half = bytes[at] == b'\r' && at + 1 == bytes.len();
        if before.is_multiple_of(2) && !is_half {
            let records = &bytes[..=at];
            return Some((records, count_line_ends(records)));
        }
        end = at;
    }
    None
}
