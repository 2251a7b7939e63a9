//! The sheets of a workbook, as choices and readings name them. What a sheet holds reaches this room as text.

use serde::{Deserialize, Serialize};

/// The name of a sheet, as it is kept, compared and shown: without control characters, and cut.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct SheetName(String);

impl SheetName {
    /// In bytes. Excel allows 31 characters; other programs allow more.
    pub const LONGEST: usize = 200;

    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut name: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        name.truncate(name.floor_char_boundary(Self::LONGEST));
        Self(name)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a person means this sheet by `other`. Excel does not distinguish names by their case.
    #[must_use]
    pub fn is_meant_by(&self, other: &Self) -> bool {
        self.0.trim().to_lowercase() == other.0.trim().to_lowercase()
    }

    /// The value of a form field that chooses this sheet: in another case if it is the word that leaves the choice
    /// to detection.
    #[must_use]
    pub fn field_value(&self) -> &str {
        if self.0 == "detect" { "Detect" } else { &self.0 }
    }
}

impl From<String> for SheetName {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<SheetName> for String {
    fn from(name: SheetName) -> Self {
        name.0
    }
}

/// A sheet of rows. Charts and macros on sheets of their own are none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sheet {
    pub name: SheetName,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_hidden: bool,
    /// Whether any of its cells has content. None if it was not examined, because the workbook has too many or too
    /// large sheets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_rows: Option<bool>,
}

/// The first sheets of a workbook, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sheets {
    /// At most [`Sheets::MOST`].
    pub listed: Vec<Sheet>,
    /// The number of those behind them.
    #[serde(default)]
    pub more: u64,
}

impl Sheets {
    /// The most sheets that are listed: more than anybody looks through.
    pub const MOST: usize = 100;

    /// The number of all sheets.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.more.saturating_add(self.listed.len() as u64)
    }

    /// Whether it is known of each sheet if it has rows.
    #[must_use]
    pub fn are_examined(&self) -> bool {
        self.more == 0 && self.listed.iter().all(|sheet| sheet.has_rows.is_some())
    }

    /// The number of listed sheets that have rows, and are hidden or not.
    #[must_use]
    pub fn with_rows(&self, are_hidden: bool) -> u64 {
        let has_rows = |sheet: &&Sheet| sheet.has_rows == Some(true) && sheet.is_hidden == are_hidden;
        self.listed.iter().filter(has_rows).count() as u64
    }

    #[must_use]
    pub fn find(&self, name: &SheetName) -> Option<&Sheet> {
        self.listed.iter().find(|sheet| sheet.name == *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_bounded_and_shown_on_one_line() {
        let long = SheetName::new(&"é".repeat(1_000));
        assert_eq!(long.as_str().len(), SheetName::LONGEST);
        assert_eq!(SheetName::new("two\nlines\t\u{1}").as_str(), "two lines  ");
        let stored: SheetName = serde_json::from_str(&format!("\"{}\"", "x".repeat(500))).unwrap();
        assert_eq!(stored.as_str().len(), SheetName::LONGEST);
    }

    #[test]
    fn a_name_is_meant_in_any_case_but_not_by_a_part_of_it() {
        let name = SheetName::new(" Größe ");
        assert!(name.is_meant_by(&SheetName::new("GRÖßE")));
        assert!(!name.is_meant_by(&SheetName::new("Größ")));
        assert!(
            SheetName::new("detect").is_meant_by(&SheetName::new(SheetName::new("detect").field_value()))
        );
    }
}
