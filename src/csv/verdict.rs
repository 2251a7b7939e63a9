//! Decides whether a record is accepted, and why not.

use std::fmt;

use memchr::{memchr, memmem};
use serde::{Deserialize, Deserializer};

use super::{
    Encoding, Layout,
    excerpt::excerpt,
    failed_csv::{self, PriorFailure},
    fields::Fields,
    split::Record,
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

const CONTAINS_NUL: &str = "contains a NUL byte";
const OPEN_QUOTES: &str = "closing quote missing";
const NOT_VALID: &str = "not valid ";

/// The replacement character, which `failed.csv` contains in place of a NUL or undecodable bytes.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// Why a record fails. If several reasons apply, the first one in this order is reported: problems that make
/// the whole record unreadable come before problems of a readable record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordFailure<'m> {
    /// It has more than `limit` bytes; its fields are unknown.
    TooLong {
        limit: usize,
    },
    /// The file ends inside its quotes.
    OpenQuotes,
    Nul,
    /// Bytes that its encoding does not have.
    Undecodable(Encoding),
    /// `found` fields instead of `expected`.
    FieldCount {
        found: usize,
        expected: usize,
        place: TablePlace,
    },
    /// A line of an uploaded `failed.csv` that was not corrected, with what that file says about it.
    NotCorrected {
        reason: &'m [u8],
        /// Counted from 0.
        column: Option<usize>,
    },
}

/// Where in the file a record of the wrong width is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TablePlace {
    Inside,
    /// Behind an empty line behind the table.
    Below,
    /// In a table of another width that begins on this line.
    Second(u64),
}

impl RecordFailure<'_> {
    /// The first field at fault, and its column, counted from 0. None if no field with a column is at fault.
    pub(super) fn field<'a>(self, fields: &Fields<'a>) -> Option<(usize, &'a [u8])> {
        let mut in_columns = fields.in_columns().enumerate();
        match self {
            Self::TooLong { .. } | Self::FieldCount { .. } => None,
            Self::OpenQuotes => in_columns.nth(fields.count.checked_sub(1)?),
            Self::Nul => in_columns.find(|(_, field)| memchr(0, field).is_some()),
            Self::Undecodable(_) => in_columns.find(|(_, field)| std::str::from_utf8(field).is_err()),
            Self::NotCorrected { column, .. } => in_columns.nth(column?),
        }
    }

    /// The position of the fault in `text`: the first byte, unless a specific byte is at fault.
    pub(super) fn place(self, text: &[u8]) -> usize {
        match self {
            Self::TooLong { .. } | Self::FieldCount { .. } | Self::OpenQuotes => 0,
            Self::Nul => memchr(0, text).unwrap_or(0),
            Self::Undecodable(_) => std::str::from_utf8(text).map_or_else(|error| error.valid_up_to(), |_| 0),
            Self::NotCorrected { .. } => memmem::find(text, REPLACEMENT).unwrap_or(0),
        }
    }
}

/// The reason in the words of `failed.csv`.
impl fmt::Display for RecordFailure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TooLong { limit } => match (limit / MIB, limit / KIB) {
                (mib @ 1.., _) if limit == mib * MIB => write!(f, "longer than {mib} MiB"),
                (_, kib @ 1..) if limit == kib * KIB => write!(f, "longer than {kib} KiB"),
                _ => write!(f, "longer than {limit} bytes"),
            },
            Self::OpenQuotes => f.write_str(OPEN_QUOTES),
            Self::Nul => f.write_str(CONTAINS_NUL),
            Self::Undecodable(encoding) => write!(f, "{NOT_VALID}{}", encoding.name()),
            Self::NotCorrected { reason, .. } => f.write_str(&current_words(excerpt(reason, 0))),
            Self::FieldCount { found, expected, place } => {
                let fields = if found == 1 { "field" } else { "fields" };
                write!(f, "{found} {fields}, expected {expected}")?;
                match place {
                    TablePlace::Inside => Ok(()),
                    TablePlace::Below => f.write_str(", below the table"),
                    TablePlace::Second(line) => write!(f, ", second table from line {line}"),
                }
            }
        }
    }
}

/// For serde: rewrites a stored reason in the words of this version. The groups of a run are merged by their
/// words, and an upgrade can happen between two of its steps.
pub(super) fn in_current_words<'de, D: Deserializer<'de>>(stored: D) -> Result<String, D::Error> {
    Ok(current_words(String::deserialize(stored)?))
}

fn current_words(reason: String) -> String {
    match reason.split_once(" where the header has ") {
        Some((found, expected)) => format!("{found}, expected {expected}"),
        None if reason == "the file ends inside quotes" => RecordFailure::OpenQuotes.to_string(),
        None => reason,
    }
}

/// The same for an optional reason.
pub(super) fn if_any_in_current_words<'de, D: Deserializer<'de>>(
    stored: D,
) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    struct Words(#[serde(deserialize_with = "in_current_words")] String);
    Ok(Option::<Words>::deserialize(stored)?.map(|Words(reason)| reason))
}

/// Judges a record by its bytes and by `fields`, its fields in the columns of the header. `prior` is what an
/// uploaded `failed.csv` says about the record. A record that is too long is found by the splitter.
pub(super) fn judge<'m>(
    record: Record<'_>,
    fields: &Fields<'_>,
    layout: &Layout,
    prior: Option<PriorFailure<'m>>,
) -> Result<(), RecordFailure<'m>> {
    let expected = layout.header.len();
    let not_corrected = |prior: PriorFailure<'m>| {
        let mut labels = layout.header.iter().map(|name| failed_csv::column_label(name));
        // An empty `_column` stands for a whole record, or for an unnamed column with a bad byte.
        let names_a_column = !prior.column.is_empty() || is_bad_byte(prior.reason);
        RecordFailure::NotCorrected {
            reason: prior.reason,
            column: labels.position(|label| names_a_column && *label.as_bytes() == *prior.column),
        }
    };
    if record.quotes.open {
        Err(RecordFailure::OpenQuotes)
    } else if memchr(0, record.content).is_some() {
        Err(RecordFailure::Nul)
    } else if std::str::from_utf8(record.content).is_err() {
        Err(RecordFailure::Undecodable(layout.encoding))
    } else if fields.count != expected {
        let found = RecordFailure::FieldCount { found: fields.count, expected, place: TablePlace::Inside };
        let is_as_before = |prior: &PriorFailure<'_>| {
            !prior.reason.is_empty() && !is_another_field_count(prior.reason, found)
        };
        Err(prior.filter(is_as_before).map_or(found, not_corrected))
    } else if let Some(prior) = prior.filter(|prior| is_bad_byte(prior.reason))
        && fields.in_columns().any(|field| memmem::find(field, REPLACEMENT).is_some())
    {
        Err(not_corrected(prior))
    } else {
        Ok(())
    }
}

/// Whether a record that fails for this reason may leave a quote open. None: it leaves none open. Otherwise whether the
/// quote is text: then only a byte of the record is at fault.
pub(super) fn open_quote_is_text(reason: &str) -> Option<bool> {
    let is_text = reason != OPEN_QUOTES;
    (!is_text || is_bad_byte(reason.as_bytes())).then_some(is_text)
}

/// Whether `reason` is a number of fields, and not that of `found`: then the line was edited after it had failed.
fn is_another_field_count(reason: &[u8], found: RecordFailure<'_>) -> bool {
    let Ok(reason) = str::from_utf8(reason) else { return false };
    let (reason, found) = (current_words(reason.to_owned()), found.to_string());
    let is_field_count = reason.split_once(' ').is_some_and(|(count, words)| {
        count.parse::<usize>().is_ok()
            && ["field, expected ", "fields, expected "].iter().any(|ours| words.starts_with(ours))
    });
    // Where the record was in its table comes after a comma.
    let is_found =
        reason.strip_prefix(&found).is_some_and(|place| place.is_empty() || place.starts_with(','));
    is_field_count && !is_found
}

/// Whether `failed.csv` has this reason for a record with bytes that it cannot contain.
fn is_bad_byte(reason: &[u8]) -> bool {
    let encoding = || str::from_utf8(reason.strip_prefix(NOT_VALID.as_bytes())?).ok();
    reason == CONTAINS_NUL.as_bytes()
        || encoding().is_some_and(|name| Encoding::labelled(name).is_some_and(|known| known.name() == name))
}
