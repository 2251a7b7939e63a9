//! How a file is read, how sure that is, and what a person may choose instead.

use std::{fmt, num::NonZeroU64};

use serde::{Deserialize, Serialize};

use super::{
    dialect::{Delimiter, Escape, Quote},
    notes::Notes,
    sheet::SheetName,
};

/// How a file is read. Stored with its run, shown to people and programs, and obeyed by every later step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    pub encoding: Part<Encoding>,
    pub delimiter: Part<Delimiter>,
    pub quote: Part<Quote>,
    pub escape: Part<Escape>,
    pub header: Part<HeaderAt>,
    /// How many rows form the header: 1 to 3, or 0 if there is none.
    pub header_rows: Part<u8>,
    /// What the front of the file showed. What the records show is in their steps' [`Notes`].
    pub notes: Notes,
}

/// A part of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part<T> {
    pub value: T,
    pub how: How,
}

impl<T> Part<T> {
    pub fn certain(value: T) -> Self {
        Self { value, how: How::Certain }
    }

    pub fn guess(value: T) -> Self {
        Self { value, how: How::Guess }
    }

    pub fn chosen(value: T) -> Self {
        Self { value, how: How::Chosen }
    }
}

/// How a part of a reading was determined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    Certain,
    Guess,
    /// By a person, or as in an earlier reading.
    Chosen,
}

impl How {
    /// A guess otherwise.
    pub(super) fn certain_if(is_certain: bool) -> Self {
        if is_certain { Self::Certain } else { Self::Guess }
    }
}

/// A character encoding of the WHATWG's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Encoding(&'static encoding_rs::Encoding);

impl Default for Encoding {
    fn default() -> Self {
        Self::UTF_8
    }
}

impl Encoding {
    pub const UTF_8: Self = Self(encoding_rs::UTF_8);
    pub const UTF_16LE: Self = Self(encoding_rs::UTF_16LE);
    pub const UTF_16BE: Self = Self(encoding_rs::UTF_16BE);

    /// The encoding with this WHATWG label, in any case.
    #[must_use]
    pub fn labelled(label: &str) -> Option<Self> {
        let encoding = encoding_rs::Encoding::for_label(label.as_bytes())?;
        (encoding != encoding_rs::REPLACEMENT && encoding != encoding_rs::X_USER_DEFINED)
            .then_some(Self(encoding))
    }

    /// The WHATWG name: `UTF-8`, `windows-1252`, `macintosh`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    #[must_use]
    pub fn is_utf8(self) -> bool {
        self == Self::UTF_8
    }

    /// Whether every byte is a character by itself.
    #[must_use]
    pub fn is_single_byte(self) -> bool {
        self.0.is_single_byte()
    }

    #[must_use]
    pub fn is_utf16(self) -> bool {
        [Self::UTF_16LE, Self::UTF_16BE].contains(&self)
    }

    /// UTF-8 or UTF-16.
    #[must_use]
    pub fn is_unicode(self) -> bool {
        self.is_utf8() || self.is_utf16()
    }
}

impl From<&'static encoding_rs::Encoding> for Encoding {
    fn from(encoding: &'static encoding_rs::Encoding) -> Self {
        Self(encoding)
    }
}

impl From<Encoding> for &'static encoding_rs::Encoding {
    fn from(encoding: Encoding) -> Self {
        encoding.0
    }
}

/// Where the header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeaderAt {
    /// The first record is data, and the columns are called `column 1`, `column 2` and so on.
    None,
    /// The physical line on which it begins, from 1.
    Line(NonZeroU64),
}

impl HeaderAt {
    pub(super) fn at(line: u64) -> Self {
        NonZeroU64::new(line).map_or(Self::None, Self::Line)
    }
}

impl fmt::Display for HeaderAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Line(line) => write!(f, "{line}"),
        }
    }
}

/// What a person chose. A part that was not chosen is detected. Each part is obeyed by the step that it is about: the
/// sheet when a workbook is unpacked, the encoding when a file is decoded, the rest when its table is found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Choices {
    /// Of a workbook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sheet: Option<SheetName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<Delimiter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote: Option<Quote>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escape: Option<Escape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderAt>,
    /// 1 to 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header_rows: Option<u8>,
}

/// A choice that cannot be taken. The text is for the person who made it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// The file has no such sheet; the text says which it has.
    #[error("{0}")]
    Sheet(String),
    #[error("Runboard does not know this encoding. Use a name such as UTF-8, windows-1252 or Shift_JIS.")]
    Encoding,
    #[error(
        "A separator has 1 to {} bytes, and no line end, NUL or double quote. Names of separators are comma, semicolon, \
         tab, pipe, space and colon.",
        Delimiter::LONGEST
    )]
    Delimiter,
    #[error("The quote is double, single or none.")]
    Quote,
    #[error("The escape is doubled or backslash.")]
    Escape,
    #[error("Enter the number of the header line, or none.")]
    Header,
    #[error("A header has 1, 2 or 3 rows.")]
    HeaderRows,
}

impl Choices {
    /// The form fields, in the order in which people see them.
    pub const FIELDS: [&str; 7] =
        ["sheet", "delimiter", "encoding", "quote", "escape", "header", "header_rows"];

    /// The most rows of a header.
    pub const MOST_HEADER_ROWS: u8 = 3;

    /// Takes the value of a form field. An empty one or `detect` leaves that part to detection. Returns false
    /// if this is no field of a reading.
    ///
    /// # Errors
    /// The field does not allow the value.
    pub fn set(&mut self, field: &str, value: &str) -> Result<bool, ChoiceError> {
        // A space can be a separator, and a part of a sheet's name.
        let value = if matches!(field, "delimiter" | "sheet") { value } else { value.trim() };
        let chosen = (!value.is_empty() && value != "detect").then_some(value);
        match field {
            "sheet" => self.sheet = chosen.map(SheetName::new),
            "encoding" => {
                let labelled = |label: &str| Encoding::labelled(label).ok_or(ChoiceError::Encoding);
                self.encoding = chosen.map(labelled).transpose()?;
            }
            "delimiter" => {
                let named = |name: &str| Delimiter::named(name).map_err(|_| ChoiceError::Delimiter);
                self.delimiter = chosen.map(named).transpose()?;
            }
            "quote" => {
                self.quote = match chosen {
                    None => None,
                    Some("double") => Some(Quote::Double),
                    Some("single") => Some(Quote::Single),
                    Some("none") => Some(Quote::None),
                    Some(_) => return Err(ChoiceError::Quote),
                }
            }
            "escape" => {
                self.escape = match chosen {
                    None => None,
                    Some("doubled") => Some(Escape::Doubled),
                    Some("backslash") => Some(Escape::Backslash),
                    Some(_) => return Err(ChoiceError::Escape),
                }
            }
            "header" => {
                let at = |text: &str| match text {
                    "none" => Ok(HeaderAt::None),
                    line => line.parse().map(HeaderAt::Line).map_err(|_| ChoiceError::Header),
                };
                self.header = chosen.map(at).transpose()?;
            }
            "header_rows" => {
                let rows = |text: &str| match text.parse() {
                    Ok(rows @ 1..=Self::MOST_HEADER_ROWS) => Ok(rows),
                    _ => Err(ChoiceError::HeaderRows),
                };
                self.header_rows = chosen.map(rows).transpose()?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The form fields with the values that [`set`](Self::set) takes, without those left to detection.
    #[must_use]
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let quote = self.quote.map(|quote| match quote {
            Quote::Double => "double",
            Quote::Single => "single",
            Quote::None => "none",
        });
        let escape = self.escape.map(|escape| match escape {
            Escape::Doubled => "doubled",
            Escape::Backslash => "backslash",
        });
        let values = [
            self.sheet.as_ref().map(|sheet| sheet.field_value().to_owned()),
            self.delimiter.map(|delimiter| delimiter.name().to_owned()),
            self.encoding.map(|encoding| encoding.name().to_owned()),
            quote.map(str::to_owned),
            escape.map(str::to_owned),
            self.header.map(|header| header.to_string()),
            self.header_rows.map(|rows| rows.to_string()),
        ];
        Self::FIELDS.into_iter().zip(values).filter_map(|(field, value)| Some((field, value?))).collect()
    }

    /// Whether everything is left to detection.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_taken_in_the_words_of_the_form() {
        let mut choices = Choices::default();
        for (field, value) in [
            ("sheet", " Q1 "),
            ("encoding", "Latin1"),
            ("delimiter", "semicolon"),
            ("quote", "single"),
            ("escape", "backslash"),
            ("header", "6"),
            ("header_rows", " 2 "),
        ] {
            assert_eq!(choices.set(field, value), Ok(true), "{field}");
        }
        assert_eq!(
            serde_json::to_string(&choices).unwrap(),
            r#"{"sheet":" Q1 ","encoding":"windows-1252","delimiter":";","quote":"single","escape":"backslash","header":{"line":6},"headerRows":2}"#
        );
        let mut again = Choices::default();
        for (field, value) in choices.fields() {
            assert_eq!(again.set(field, &value), Ok(true), "{field}");
        }
        assert_eq!(again, choices);
        for field in Choices::FIELDS {
            assert_eq!(choices.set(field, if field == "quote" { "" } else { "detect" }), Ok(true));
        }
        assert!(choices.is_empty());
        assert_eq!(choices.set("only", "failed"), Ok(false));
    }

    #[test]
    fn what_a_field_does_not_allow_is_refused() {
        for (field, value, error) in [
            ("encoding", "utf-99", ChoiceError::Encoding),
            ("encoding", "iso-2022-kr", ChoiceError::Encoding),
            ("delimiter", "12345", ChoiceError::Delimiter),
            ("delimiter", "\n\r", ChoiceError::Delimiter),
            ("quote", "\"", ChoiceError::Quote),
            ("escape", "\\", ChoiceError::Escape),
            ("header", "0", ChoiceError::Header),
            ("header", "-1", ChoiceError::Header),
            ("header_rows", "4", ChoiceError::HeaderRows),
            ("header_rows", "0", ChoiceError::HeaderRows),
        ] {
            assert_eq!(Choices::default().set(field, value), Err(error), "{field} {value:?}");
        }
    }

    #[test]
    fn a_delimiter_is_a_name_or_itself() {
        for (given, text, name) in [
            ("comma", ",", "comma"),
            (";", ";", "semicolon"),
            (" ", " ", "space"),
            ("||", "||", "||"),
            ("\u{1}", "\u{1}", "\u{1}"),
        ] {
            let delimiter = Delimiter::named(given).unwrap();
            assert_eq!((delimiter.as_str(), delimiter.name()), (text, name));
        }
    }
}
