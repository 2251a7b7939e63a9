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
    pub(super) surplus: [Option<Surplus<'a>>; 2],
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
        let fields = *self;
        self.spans.iter().map(move |span| fields.field_at(*span))
    }

    pub(super) fn field_at(&self, span: Span) -> &'a [u8] {
        let of = if span.is_rewritten { self.text } else { self.record };
        &of[span.start..span.end]
    }

    /// The fields as a CSV record, of which a long one is cut to about `most` bytes.
    pub(super) fn encoded(&self, most: usize) -> Vec<u8> {
        let (mut record, mut left) = (Vec::new(), most);
        let mut encoder = Encoder::new(&mut record);
        let mut push = |field: &[u8]| {
            if left > 0 {
                encoder.field(&field[..field.len().min(left)]);
                left = left.saturating_sub(field.len() + 1);
            }
        };
        self.in_columns().for_each(&mut push);
        self.for_each_surplus(push);
        encoder.finish();
        record
    }

    pub(super) fn for_each_surplus(&self, mut each: impl FnMut(&[u8])) {
        for Surplus { bytes, grammar } in self.surplus.into_iter().flatten() {
            grammar.for_each(bytes, 0, |field, _| {
                each(field);
                true
            });
        }
    }

    /// Leaves out the fields without a column if they are empty and at most `most`.
    pub(super) fn leave_out_empty_end(&mut self, most: usize) {
        let columns = self.spans.len();
        if self.count == columns || self.count - columns > most {
            return;
        }
        let mut is_empty = true;
        self.for_each_surplus(|field| is_empty &= field.is_empty());
        if is_empty {
            (self.count, self.surplus) = (columns, [None; 2]);
        }
    }
}
