//! The fields of one record.

use super::{
    encode::Encoder,
    field::{FieldGrammar, Span},
};

/// The unquoted fields of one record.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    /// What the spans that are not rewritten point into.
    pub(super) record: &'a [u8],
    /// What the others point into.
    pub(super) text: &'a [u8],
    /// The fields that have a column.
    pub(super) spans: &'a [Span],
    /// The number of fields, including those without a column.
    pub(super) count: usize,
    /// The fields without a column, as they are in the record. There may be millions, so they are split only
    /// on demand.
    pub(super) surplus: Option<Surplus<'a>>,
}

/// Fields that are not split yet.
#[derive(Clone, Copy)]
pub(super) struct Surplus<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) grammar: &'a FieldGrammar,
}

impl<'a> Fields<'a> {
    /// The fields that have a column.
    pub(super) fn in_columns(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let Self { record, text, spans, .. } = *self;
        spans.iter().map(move |span| {
            let of = if span.is_rewritten { text } else { record };
            &of[span.start..span.end]
        })
    }

    /// All fields as a CSV record.
    pub(super) fn encoded(&self) -> Vec<u8> {
        let mut record = Vec::new();
        let mut encoder = Encoder::new(&mut record);
        for field in self.in_columns() {
            encoder.field(field);
        }
        self.for_each_surplus(|field| encoder.field(field));
        encoder.finish();
        record
    }

    pub(super) fn for_each_surplus(&self, mut each: impl FnMut(&[u8])) {
        if let Some(Surplus { bytes, grammar }) = self.surplus {
            grammar.for_each(bytes, 0, |field, _| {
                each(field);
                true
            });
        }
    }

    /// Leaves out the fields without a column if they are empty and at most `most`.
    pub(super) fn leave_out_empty_end(&mut self, most: usize) {
        let Some(Surplus { bytes, grammar }) = self.surplus else { return };
        let columns = self.spans.len();
        if self.count - columns > most {
            return;
        }
        let mut is_empty = true;
        grammar.for_each(bytes, 0, |field, _| {
            is_empty = field.is_empty();
            is_empty
        });
        if is_empty {
            (self.count, self.surplus) = (columns, None);
        }
    }
}
