//! The first rows of a file as they would be read.

use super::{
    first_rows::FirstRowsTable,
    present_values::{PresentValues, detected_values},
    reading::reading_line,
};
use crate::csv::{FirstRows, ReadAs};

/// What a person sees of a reading before anything is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewReport<'a> {
    /// How the file would be read, or why it cannot be shown.
    pub line: String,
    pub table: Option<FirstRowsTable<'a>>,
    /// What detection finds for the parts that are left to it.
    pub detected: PresentValues,
    /// The form field whose value is refused.
    pub refused_field: Option<&'static str>,
    /// The file cannot be read like this, as `line` says: an import of it would fail.
    pub is_unreadable: bool,
}

impl<'a> PreviewReport<'a> {
    #[must_use]
    pub fn new(read_as: &ReadAs, first_rows: &'a FirstRows) -> Self {
        Self {
            line: reading_line(read_as, Some(first_rows.columns)),
            table: Some(FirstRowsTable::new(first_rows, Some(&read_as.reading))),
            detected: detected_values(read_as),
            refused_field: None,
            is_unreadable: false,
        }
    }

    /// No rows can be shown, as `line` says.
    #[must_use]
    pub fn none(line: impl Into<String>) -> Self {
        Self {
            line: line.into(),
            table: None,
            detected: PresentValues::new(),
            refused_field: None,
            is_unreadable: false,
        }
    }

    /// The file cannot be read like this, as `line` says.
    #[must_use]
    pub fn unreadable(line: impl Into<String>) -> Self {
        Self { is_unreadable: true, ..Self::none(line) }
    }

    /// The value of a field is refused, as `line` says.
    #[must_use]
    pub fn refused(field: &'static str, line: impl Into<String>) -> Self {
        Self { refused_field: Some(field), ..Self::none(line) }
    }
}
