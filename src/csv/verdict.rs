//! Judging: whether a record is taken, and why not.

use std::fmt;

use memchr::memchr;

use super::split::{Fields, Record};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Why a record fails. If several reasons apply, the first in this order is told: what spoils the
/// reading of the whole record comes before what is wrong with the record that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It has more than `limit` bytes; its fields are unknown.
    TooLong {
        limit: usize,
    },
    /// The file ends inside its quotes.
    OpenQuotes,
    Nul,
    NotUtf8,
    /// `found` fields, where the header has `expected`.
    FieldCount {
        found: usize,
        expected: usize,
    },
}

impl Failure {
    /// The first field that offends, and its column, counted from 0; None where no field that has a
    /// column can be blamed.
    pub(super) fn field<'a>(self, fields: &Fields<'a>) -> Option<(usize, &'a [u8])> {
        let mut in_columns = fields.in_columns().enumerate();
        match self {
            Self::TooLong { .. } | Self::FieldCount { .. } => None,
            Self::OpenQuotes => in_columns.nth(fields.count.checked_sub(1)?),
            Self::Nul => in_columns.find(|(_, field)| memchr(0, field).is_some()),
            Self::NotUtf8 => in_columns.find(|(_, field)| std::str::from_utf8(field).is_err()),
        }
    }

    /// Where in `text` the fault shows: the first byte, unless one in particular is at fault.
    pub(super) fn place(self, text: &[u8]) -> usize {
        match self {
            Self::TooLong { .. } | Self::FieldCount { .. } | Self::OpenQuotes => 0,
            Self::Nul => memchr(0, text).unwrap_or(0),
            Self::NotUtf8 => std::str::from_utf8(text).map_or_else(|error| error.valid_up_to(), |_| 0),
        }
    }
}

/// The reason in words, as `failed.csv` has it.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TooLong { limit } => match (limit / MIB, limit / KIB) {
                (mib @ 1.., _) if limit == mib * MIB => write!(f, "longer than {mib} MiB"),
                (_, kib @ 1..) if limit == kib * KIB => write!(f, "longer than {kib} KiB"),
                _ => write!(f, "longer than {limit} bytes"),
            },
            Self::OpenQuotes => f.write_str("the file ends inside quotes"),
            Self::Nul => f.write_str("contains a NUL byte"),
            Self::NotUtf8 => f.write_str("not valid UTF-8"),
            Self::FieldCount { found: 1, expected } => write!(f, "1 field where the header has {expected}"),
            Self::FieldCount { found, expected } => {
                write!(f, "{found} fields where the header has {expected}")
            }
        }
    }
}

/// Judges a record by its bytes and by `fields`, what it says to `columns` columns. That a record is
/// too long shows already when it is split.
pub(super) fn judge(record: Record<'_>, fields: &Fields<'_>, columns: usize) -> Result<(), Failure> {
    if record.open_quotes {
        Err(Failure::OpenQuotes)
    } else if memchr(0, record.content).is_some() {
        Err(Failure::Nul)
    } else if std::str::from_utf8(record.content).is_err() {
        Err(Failure::NotUtf8)
    } else if fields.count != columns {
        Err(Failure::FieldCount { found: fields.count, expected: columns })
    } else {
        Ok(())
    }
}
