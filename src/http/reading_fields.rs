//! The fields of a form or a query in which a person says how a file is to be read.

use std::borrow::Cow;

use url::form_urlencoded;

use crate::{
    csv::{ChoiceError, Choices},
    imports::{ImportState, Snapshot},
};

/// The reading fields as they were sent, so that a refused form shows them again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadingFields {
    /// By field, in the order in which they were sent.
    values: Vec<(&'static str, String)>,
}

/// Longer values are no reading field's, and are cut.
const LONGEST_VALUE: usize = 200;

/// More values than this are ignored.
const MOST_VALUES: usize = 24;

/// A field with a value that it does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct RefusedField {
    pub field: &'static str,
    pub error: ChoiceError,
}

impl RefusedField {
    /// The file has no such sheet, as `why` says.
    #[must_use]
    pub fn sheet(why: String) -> Self {
        Self { field: "sheet", error: ChoiceError::Sheet(why) }
    }
}

impl ReadingFields {
    /// Of a form or a query. Other fields are ignored.
    #[must_use]
    pub fn read(encoded: &[u8]) -> Self {
        let mut fields = Self::default();
        for (name, value) in form_urlencoded::parse(encoded) {
            fields.add(&name, value);
        }
        fields
    }

    /// Of a form and of the query of its address.
    #[must_use]
    pub fn of_request(form: &[u8], query: &str) -> Self {
        let mut fields = Self::read(query.as_bytes());
        fields.values.extend(Self::read(form).values);
        fields
    }

    /// Adds a value. Returns false if this is no reading field.
    pub fn add(&mut self, name: &str, value: Cow<'_, str>) -> bool {
        let Some(field) = Choices::FIELDS.into_iter().find(|field| *field == name) else { return false };
        if self.values.len() < MOST_VALUES {
            let mut value = value.into_owned();
            value.truncate(value.floor_char_boundary(LONGEST_VALUE));
            self.values.push((field, value));
        }
        true
    }

    /// Whether no reading field was sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The fields with their values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.values.iter().map(|(field, value)| (*field, value.as_str()))
    }

    /// The values that were sent for a field.
    pub fn values_of(&self, field: &str) -> impl Iterator<Item = &str> {
        self.values.iter().filter(move |(of, _)| *of == field).map(|(_, value)| value.as_str())
    }

    /// The choices. Of several values of a field, the last one that is not empty counts: the form has a list of
    /// separators and, after it, a text field for any other one.
    pub fn choices(&self) -> Result<Choices, RefusedField> {
        let mut choices = Choices::default();
        for field in Choices::FIELDS {
            let is_given =
                |value: &&str| !value.is_empty() && (field == "delimiter" || !value.trim().is_empty());
            if let Some(value) = self.values_of(field).filter(is_given).last() {
                choices.set(field, value).map_err(|error| RefusedField { field, error })?;
            }
        }
        Ok(choices)
    }

    /// The choices that `import` would start or be run again with. Without fields, a held import is read as was
    /// chosen with the upload.
    pub fn choices_for(&self, import: &Snapshot) -> Result<Choices, RefusedField> {
        if self.is_empty() && import.state() == ImportState::Held {
            return Ok(import.row.choices.clone());
        }
        self.choices()
    }
}

/// The fields of what was chosen.
impl From<&Choices> for ReadingFields {
    fn from(choices: &Choices) -> Self {
        Self { values: choices.fields() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csv::Quote;

    #[test]
    fn the_last_value_that_is_not_empty_counts() {
        let chosen = |query: &str| {
            let choices = ReadingFields::read(query.as_bytes()).choices().unwrap();
            (choices.delimiter.map(|delimiter| delimiter.as_str().to_owned()), choices.header)
        };
        assert_eq!(chosen("delimiter=semicolon&delimiter="), (Some(";".to_owned()), None));
        assert_eq!(chosen("delimiter=semicolon&delimiter=::"), (Some("::".to_owned()), None));
        assert_eq!(chosen("delimiter=detect&delimiter=+"), (Some(" ".to_owned()), None));
        assert_eq!(chosen("delimiter=detect&header=detect&header=+&only=failed"), (None, None));
    }

    #[test]
    fn what_was_chosen_gives_the_fields_that_choose_it() {
        let query =
            b"sheet=Q1+2026&delimiter=semicolon&encoding=windows-1252&quote=single&escape=backslash&header=6&header_rows=2";
        let choices = ReadingFields::read(query).choices().unwrap();
        assert_eq!(ReadingFields::from(&choices), ReadingFields::read(query));
        let own = ReadingFields::read(b"delimiter=%7C%7C&header=none");
        assert_eq!(ReadingFields::from(&own.choices().unwrap()), own);
        assert!(ReadingFields::from(&Choices::default()).is_empty());
    }

    #[test]
    fn a_refused_value_is_kept_with_its_field() {
        let fields = ReadingFields::read(b"delimiter=12345&quote=single&look=1");
        let refused = RefusedField { field: "delimiter", error: ChoiceError::Delimiter };
        assert_eq!(fields.choices(), Err(refused));
        assert_eq!(fields.values_of("delimiter").collect::<Vec<_>>(), ["12345"]);
        assert!(ReadingFields::read(b"look=1").is_empty());
        let both = ReadingFields::of_request(b"header=2&only=failed", "header=3&quote=none");
        let choices = both.choices().unwrap();
        assert_eq!(
            (choices.header.map(|at| at.to_string()).as_deref(), choices.quote),
            (Some("2"), Some(Quote::None))
        );
    }

    #[test]
    fn what_a_stranger_sends_is_bounded() {
        let long = format!("encoding={}", "é".repeat(1_000));
        let fields = ReadingFields::read(long.as_bytes());
        assert!(fields.values_of("encoding").all(|value| value.len() <= LONGEST_VALUE));
        let many = ReadingFields::read("quote=none&".repeat(1_000).as_bytes());
        assert_eq!(many.values_of("quote").count(), MOST_VALUES);
    }
}
