//! What becomes of records: the bytes of the outputs, and the counts.

use serde::{Deserialize, Serialize};

use super::{
    Reasons,
    encode::{Encoder, LINE_END},
    excerpt::excerpt,
    failed_csv,
    split::Fields,
    verdict::RecordFailure,
};

/// How many records ended which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub processed: u64,
    pub failed: u64,
}

impl Counts {
    /// All records. Those of other people's functions are whatever they say, so the sum stops at the largest
    /// number.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.processed.saturating_add(self.failed)
    }

    /// With the records of another stretch.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            processed: self.processed.saturating_add(other.processed),
            failed: self.failed.saturating_add(other.failed),
        }
    }
}

/// Output bytes of a stretch of records, to be written out and cleared by the caller.
#[derive(Debug, Default)]
pub struct Output {
    /// Processed records, RFC 4180 with CRLF.
    pub processed: Vec<u8>,
    /// Failed records as lines of `failed.csv`.
    pub failed: Vec<u8>,
    /// The failed records' original bytes with their line ends (the file's last may have none). Behind
    /// the file's own header they are a CSV file of the same records.
    pub raw: Vec<u8>,
    pub counts: Counts,
    /// Why the failed records failed.
    pub reasons: Reasons,
}

/// How many bytes are gathered before they are written out. A record of two bytes becomes a line of some
/// forty in `failed.csv`, so that a block of them grows to many times its size.
const FULL: u64 = 4 << 20;

impl Output {
    /// How many bytes there are to be written out.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        (self.processed.len() + self.failed.len() + self.raw.len()) as u64
    }

    /// Whether it is time to write it out.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes() >= FULL
    }

    /// A record without quotes, separated by commas: its bytes are as they would be written.
    pub(super) fn push_verbatim(&mut self, content: &[u8]) {
        self.processed.extend_from_slice(content);
        self.processed.extend_from_slice(LINE_END);
        self.counts.processed += 1;
    }

    pub(super) fn push_processed(&mut self, fields: &Fields<'_>) {
        let mut encoder = Encoder::new(&mut self.processed);
        for field in fields.in_columns() {
            encoder.field(field);
        }
        encoder.finish();
        self.processed.extend_from_slice(LINE_END);
        self.counts.processed += 1;
    }

    /// Counts a failed record that is on `line` of the file and writes all but its bytes in `raw`. `content` is
    /// the record, or how it begins. `fields` are None if they are unknown.
    pub(super) fn push_failed(
        &mut self,
        line: u64,
        failure: RecordFailure<'_>,
        header: &[String],
        content: &[u8],
        fields: Option<Fields<'_>>,
    ) {
        let at_fault = fields.as_ref().and_then(|fields| failure.field(fields));
        let named = at_fault.and_then(|(column, field)| Some((header.get(column)?.as_str(), field)));
        let column = named.map(|(name, _)| name);
        let reason = failure.to_string();
        self.reasons.count(column, &reason, line, || {
            let text = named.map_or(content, |(_, field)| field);
            excerpt(text, failure.place(text))
        });
        failed_csv::write_line(&mut self.failed, line, column, &reason, header.len(), fields);
        self.counts.failed += 1;
    }
}
