//! The results of reading records: the bytes of the outputs, and the counts.

use std::mem;

use serde::{Deserialize, Serialize};

use super::{
    Note, Notes, Reasons,
    encode::{Encoder, LINE_END, needs_quotes, put_text},
    excerpt::excerpt,
    failed_csv,
    fields::Fields,
    records::{JudgedRecord, RecordSink},
    requote::{copy_text, requote},
    verdict::RecordFailure,
};

/// How many records were processed and how many failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub processed: u64,
    pub failed: u64,
}

impl Counts {
    /// All records. The counts of other people's functions can be any numbers, so the sum saturates.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.processed.saturating_add(self.failed)
    }

    /// The sum with the counts of another part of the file.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            processed: self.processed.saturating_add(other.processed),
            failed: self.failed.saturating_add(other.failed),
        }
    }
}

/// The output bytes of consecutive records. The caller writes them out and clears them.
#[derive(Debug, Default)]
pub struct Output {
    /// Processed records, RFC 4180 with CRLF.
    pub processed: Vec<u8>,
    /// Failed records as lines of `failed.csv`.
    pub failed: Vec<u8>,
    /// The original bytes of the failed records with their line ends, except that the file's last line may
    /// have none. After the file's own header they form a CSV file of the same records.
    pub raw: Vec<u8>,
    pub counts: Counts,
    /// Why the failed records failed.
    pub reasons: Reasons,
    /// What was left out, repaired or noticed.
    pub notes: Notes,
}

/// The output size at which it is written out. A record of two bytes becomes a line of about forty bytes in
/// `failed.csv`, so a block of such records grows to many times its size.
const FULL: u64 = 4 << 20;

impl Output {
    /// The bytes that are waiting to be written out.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        (self.processed.len() + self.failed.len() + self.raw.len()) as u64
    }

    /// Drops the bytes.
    pub fn clear(&mut self) {
        for bytes in [&mut self.processed, &mut self.failed, &mut self.raw] {
            bytes.clear();
        }
    }

    /// Whether the output must be written out now.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes() >= FULL
    }

    /// Counts the records of `following`, whose bytes were written out.
    pub fn count(&mut self, following: &mut Self) {
        self.counts = self.counts.plus(following.counts);
        self.reasons.append(mem::take(&mut following.reasons));
        self.notes.append(&following.notes);
    }

    /// Appends a record whose quotes are as RFC 4180 wants them. `is_text` says that it has no quotes, and no comma
    /// that is not its delimiter.
    pub(super) fn push_clean(&mut self, content: &[u8], delimiter: u8, is_text: bool) {
        if is_text {
            copy_text(content, delimiter, &mut self.processed);
        } else {
            requote(content, delimiter, &mut self.processed);
        }
        self.processed.extend_from_slice(LINE_END);
        self.counts.processed += 1;
    }

    fn push_processed(&mut self, fields: &Fields<'_>) {
        let mut encoder = Encoder::new(&mut self.processed);
        for field in fields.in_columns() {
            encoder.field(field);
        }
        encoder.finish();
        self.processed.extend_from_slice(LINE_END);
        self.counts.processed += 1;
    }
}

/// An output together with the header.
pub(super) struct Writer<'o> {
    pub(super) out: &'o mut Output,
    pub(super) header: &'o [String],
    /// Takes the bytes of a full output.
    pub(super) take: &'o mut dyn FnMut(&mut Output),
}

/// How many original bytes are taken at once.
const PIECE: usize = 1 << 20;

/// The bytes of a record from which on its output is taken in pieces.
const LONG: usize = PIECE;

impl Writer<'_> {
    /// Writes a processed record in pieces.
    fn push_long(&mut self, fields: &Fields<'_>) {
        let Self { out, take, .. } = self;
        let mut put = |piece: &[u8]| {
            out.processed.extend_from_slice(piece);
            if out.is_full() {
                take(out);
            }
        };
        for (number, field) in fields.in_columns().enumerate() {
            if number > 0 {
                put(b",");
            }
            // An empty line is no record.
            let is_all = fields.count == 1 && field.is_empty();
            let quote: &[u8] = if is_all || needs_quotes(field) { b"\"" } else { b"" };
            put(quote);
            put_text(&mut put, field, b"\"\"");
            put(quote);
        }
        put(LINE_END);
        out.counts.processed += 1;
    }
}

impl RecordSink for Writer<'_> {
    fn record(&mut self, record: &JudgedRecord<'_>) {
        let JudgedRecord { line, content, ref fields, failure } = *record;
        let Some(failure) = failure else {
            match fields {
                Some(fields) if content.len() > LONG => self.push_long(fields),
                Some(fields) => self.out.push_processed(fields),
                None => {}
            }
            return;
        };
        let Self { out, header, take } = self;
        let content = match failure {
            // The same bytes however many are known.
            RecordFailure::TooLong { limit } => &content[..=limit],
            _ => content,
        };
        let at_fault = fields.as_ref().and_then(|fields| failure.field(fields));
        let named = at_fault.and_then(|(column, field)| Some((header.get(column)?.as_str(), field)));
        let column = named.map(|(name, _)| name);
        let reason = failure.to_string();
        out.reasons.count(column, &reason, line, || {
            let text = named.map_or(content, |(_, field)| field);
            excerpt(text, failure.place(text))
        });
        let mut put = |piece: &[u8]| {
            out.failed.extend_from_slice(piece);
            if out.is_full() {
                take(out);
            }
        };
        failed_csv::write_line(&mut put, line, column, &reason, header.len(), *fields);
        out.counts.failed += 1;
    }

    fn raw(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(PIECE) {
            self.out.raw.extend_from_slice(piece);
            if self.out.is_full() {
                (self.take)(self.out);
            }
        }
    }

    fn note(&mut self, note: Note, line: u64) {
        self.out.notes.add(note, line);
    }
}
