//! The csv room, compiled with the one file of `base` that it uses, and what its fuzz targets share.
//!
//! An input begins with [`Options`], one byte each, and the rest is the file. The digit 0 is the first of every
//! list of options, so the seeds are files behind a line of digits.

#[path = "../../src/csv/mod.rs"]
pub mod csv;

#[path = "../../src/base"]
mod base {
    pub mod characters;
}

use csv::{Choices, Delimiter, Encoding, Escape, HeaderAt, Part, Quote};

/// How many bytes the options have.
const OPTIONS: usize = 15;

/// What a target does with the file, said by the input's first bytes.
pub struct Options<'d> {
    bytes: &'d [u8],
}

impl<'d> Options<'d> {
    /// The options, and the file. None if the input is too short for them.
    pub fn split_off(data: &'d [u8]) -> Option<(Self, &'d [u8])> {
        let (bytes, file) = data.split_at_checked(OPTIONS + 1)?;
        Some((Self { bytes }, file))
    }

    /// A number below `count`.
    pub fn below(&mut self, count: u8) -> u8 {
        let byte = self.bytes.split_off_first().expect("OPTIONS is large enough");
        byte.wrapping_sub(b'0') % count
    }

    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::from(self.below(all.len() as u8))]
    }

    /// Sizes from 1 to 16, to be repeated.
    pub fn sizes(&mut self) -> [usize; 3] {
        std::array::from_fn(|_| 1 + usize::from(self.below(16)))
    }

    /// Five bytes.
    pub fn choices(&mut self) -> Choices {
        let delimiters = [
            None,
            Some(","),
            Some(";"),
            Some("\t"),
            Some("none"),
            Some(" "),
            Some("||"),
            Some("é"),
            Some("'"),
        ];
        let lines = [None, Some("none"), Some("1"), Some("2"), Some("3"), Some("9")];
        let line = self.one_of(&lines);
        Choices {
            sheet: None,
            encoding: None,
            delimiter: self.one_of(&delimiters).map(|name| Delimiter::named(name).expect("a delimiter")),
            quote: self.one_of(&[None, Some(Quote::Double), Some(Quote::Single), Some(Quote::None)]),
            escape: self.one_of(&[None, Some(Escape::Doubled), Some(Escape::Backslash)]),
            header: line.map(|line| match line {
                "none" => HeaderAt::None,
                line => HeaderAt::Line(line.parse().expect("a line")),
            }),
            header_rows: self.one_of(&[None, Some(1), Some(2), Some(3)]),
        }
    }
}

/// Cuts `bytes` into pieces of the repeated `sizes`.
pub fn pieces<'b>(mut bytes: &'b [u8], sizes: &[usize]) -> impl Iterator<Item = &'b [u8]> {
    let mut sizes = sizes.iter().cycle();
    std::iter::from_fn(move || {
        let size = bytes.len().min(*sizes.next()?);
        bytes.split_off(..size).filter(|piece| !piece.is_empty())
    })
}

/// LF, CRLF and lone CRs.
pub fn line_ends(bytes: &[u8]) -> u64 {
    let ends = |at: usize| match bytes[at] {
        b'\n' => true,
        b'\r' => bytes.get(at + 1) != Some(&b'\n'),
        _ => false,
    };
    (0..bytes.len()).filter(|&at| ends(at)).count() as u64
}

pub fn utf8() -> Part<Encoding> {
    Part::certain(Encoding::UTF_8)
}
