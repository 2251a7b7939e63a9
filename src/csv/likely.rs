//! Guesses where a record ends, without reading the records before it.

use fearless_simd::{Level, Simd, dispatch};
use memchr::memrchr2;

use super::{
    Dialect,
    masks::{BLOCK, Bytes64},
};

/// How many line ends are tried.
const MOST_TRIES: usize = 64;

/// The part of `bytes`, which begin with a record, up to a line end at their back that most likely ends a record, and
/// the number of its line ends. None if none is found. Reading the part shows whether the guess was right.
#[must_use]
pub fn likely_records<'b>(dialect: &Dialect, bytes: &'b [u8]) -> Option<(&'b [u8], u64)> {
    let quote = dialect.quote.byte();
    let all = count(bytes, quote);
    let (mut quotes, mut end) = (all.quotes, bytes.len());
    for _ in 0..MOST_TRIES {
        let at = memrchr2(b'\r', b'\n', &bytes[..end])?;
        quotes -= count(&bytes[at..end], quote).quotes;
        // A CR at the very end may be half of a CRLF.
        let is_half = bytes[at] == b'\r' && at + 1 == bytes.len();
        if quotes.is_multiple_of(2) && !is_half {
            let (records, behind) = bytes.split_at(at + 1);
            return Some((records, all.line_ends - count(behind, quote).line_ends));
        }
        end = at;
    }
    None
}

/// What is in some bytes.
#[derive(Clone, Copy, Default)]
struct Found {
    quotes: u64,
    line_ends: u64,
}

/// A loop for each of them would take three times as long.
fn count(bytes: &[u8], quote: Option<u8>) -> Found {
    dispatch!(Level::new(), simd => count_with(simd, bytes, quote))
}

/// The same with the registers of `simd`.
#[inline(always)]
fn count_with<S: Simd>(simd: S, bytes: &[u8], quote: Option<u8>) -> Found {
    let mut found = Found::default();
    let mut ends_with_cr = 0;
    for base in (0..bytes.len()).step_by(BLOCK) {
        let block = Bytes64::new(simd, &bytes[base..]);
        if let Some(quote) = quote {
            found.quotes += u64::from(block.find(quote).count_ones());
        }
        let (cr, lf) = (block.find(b'\r'), block.find(b'\n'));
        let second_halves = lf & (cr << 1 | ends_with_cr);
        found.line_ends += u64::from(cr.count_ones() + (lf & !second_halves).count_ones());
        ends_with_cr = cr >> 63;
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;
    use crate::csv::split::count_line_ends;

    proptest! {
        #[test]
        fn quotes_and_line_ends_are_counted(bytes in vec(select(&b"\r\n\"x"[..]), 0..300), from in 0_usize..70) {
            let bytes = &bytes[from.min(bytes.len())..];
            let quotes = bytes.iter().filter(|byte| **byte == b'"').count() as u64;
            let found = count(bytes, Some(b'"'));
            prop_assert_eq!((found.quotes, found.line_ends), (quotes, count_line_ends(bytes)));
            prop_assert_eq!(count(bytes, None).quotes, 0);
        }

        #[test]
        fn the_records_have_the_line_ends_that_are_told(bytes in vec(select(&b"\r\n\"xx"[..]), 0..300)) {
            if let Some((records, line_ends)) = likely_records(&Dialect::plain(), &bytes) {
                prop_assert_eq!(line_ends, count_line_ends(records));
                prop_assert_eq!(records, &bytes[..records.len()]);
                prop_assert!(records.ends_with(b"\n") || records.ends_with(b"\r"));
            }
        }
    }
}
