//! What a reader remembers of the records behind it.

use serde::{Deserialize, Serialize};

use super::verdict::TablePlace;

/// What matters of the records before a cursor for those after it. The next step goes on with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Past {
    /// There was a record and then an empty line, and since then no record of the header's width.
    below_table: bool,
    /// The line and the width of the first of the last records that had the same wrong width below the table.
    second_table: Option<(u64, usize)>,
    /// The line of the last record, if it looks like a total of those before it. At the end of the file it is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    /// The byte up to which the reader has looked ahead for the end of quotes.
    searched_to: u64,
    /// How often it has done so among the bytes before `searched_to`.
    searches: u32,
}

/// How often the reader looks ahead in the same bytes. Every line of a file can have a quote that never closes,
/// and the time must stay proportional to the bytes.
const MOST_SEARCHES: u32 = 16;

impl Past {
    /// Whether there is nothing to remember.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it matters only until the next record.
    #[must_use]
    pub fn ends_with_record(&self) -> bool {
        Self { total: None, ..*self }.is_nothing()
    }

    /// What of it matters from `byte` on.
    pub(super) fn at(self, byte: u64) -> Self {
        if byte < self.searched_to { self } else { Self { searched_to: 0, searches: 0, ..self } }
    }

    pub(super) fn pass_empty_line(&mut self, records_before: u64) {
        self.below_table |= records_before > 0;
        self.second_table = None;
    }

    pub(super) fn pass_right_width(&mut self) {
        self.below_table = false;
        self.second_table = None;
    }

    /// Notes whether the record on `line`, which was passed last, looks like a total.
    pub(super) fn pass_record(&mut self, line: u64, looks_like_total: bool) {
        self.total = looks_like_total.then_some(line);
    }

    /// The line of the file's last record, if that looks like a total.
    pub(super) fn take_total(&mut self) -> Option<u64> {
        self.total.take()
    }

    /// The place of a record of `width` fields on `line`, which is not the header's width.
    pub(super) fn place(&mut self, line: u64, width: usize) -> TablePlace {
        if !self.below_table {
            return TablePlace::Inside;
        }
        match self.second_table {
            // One field is a sentence, not a table.
            Some((first, same)) if same == width && width > 1 => TablePlace::Second(first),
            _ => {
                self.second_table = Some((line, width));
                TablePlace::Below
            }
        }
    }

    /// Notes that the bytes from `byte` to `to` were looked at to decide about the record at `byte`.
    pub(super) fn search(&mut self, byte: u64, to: u64) {
        self.searches = if byte < self.searched_to { self.searches.saturating_add(1) } else { 1 };
        self.searched_to = self.searched_to.max(to);
    }

    /// Whether the record at `byte` must end with its line, because the bytes there were searched often enough.
    pub(super) fn is_bound_to_lines(&self, byte: u64) -> bool {
        byte < self.searched_to && self.searches >= MOST_SEARCHES
    }
}
