//! How a file's bytes form records and fields.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How records and fields are written in a file whose text is UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialect {
    pub delimiter: Delimiter,
    pub quote: Quote,
    pub escape: Escape,
    /// Spaces and tabs between a delimiter or a line's start and an opening quote, and between a closing quote
    /// and a delimiter or line end, are not data.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub spaces_around_quotes: bool,
    /// Every line is one quoted field, whose content is the record.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lines_are_quoted: bool,
    /// A quote inside a quoted field is text unless a delimiter or a line end follows it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inner_quotes_are_text: bool,
}

impl Dialect {
    /// RFC 4180.
    #[must_use]
    pub fn plain() -> Self {
        Self {
            delimiter: Delimiter::COMMA,
            quote: Quote::Double,
            escape: Escape::Doubled,
            spaces_around_quotes: false,
            lines_are_quoted: false,
            inner_quotes_are_text: false,
        }
    }
}

/// The text between fields: one to four bytes of UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Delimiter {
    bytes: [u8; Self::LONGEST],
    length: usize,
}

impl Delimiter {
    /// In bytes.
    pub const LONGEST: usize = 4;

    pub const COMMA: Self = Self::byte(b',');

    /// For a file with one column, whose text may contain any of the usual separators. It is the control
    /// character DEL, which no text contains.
    pub const NONE: Self = Self::byte(0x7f);

    /// An ASCII character.
    const fn byte(byte: u8) -> Self {
        Self { bytes: [byte, 0, 0, 0], length: 1 }
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only made from a `str`.
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The delimiter with this name, as forms and the API give it; anything that is not a name stands for
    /// itself.
    ///
    /// # Errors
    /// It is no text that can be between fields.
    pub fn named(name: &str) -> Result<Self, NotADelimiter> {
        let by_name = NAMES.iter().find(|(known, _)| *known == name);
        by_name.map_or(name, |(_, text)| text).parse()
    }

    /// Its name, or the text itself.
    #[must_use]
    pub fn name(&self) -> &str {
        let by_text = NAMES.iter().find(|(_, text)| *text == self.as_str());
        by_text.map_or(self.as_str(), |(name, _)| name)
    }
}

/// The names that forms and the API use.
const NAMES: [(&str, &str); 7] = [
    ("comma", ","),
    ("semicolon", ";"),
    ("tab", "\t"),
    ("pipe", "|"),
    ("space", " "),
    ("colon", ":"),
    ("none", "\u{7f}"),
];

/// A text that cannot be between fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a separator has one to {} bytes, and no line end, NUL or quote", Delimiter::LONGEST)]
pub struct NotADelimiter;

impl std::str::FromStr for Delimiter {
    type Err = NotADelimiter;

    fn from_str(text: &str) -> Result<Self, NotADelimiter> {
        if text.is_empty() || text.len() > Self::LONGEST || text.contains(['\r', '\n', '\0', '"']) {
            return Err(NotADelimiter);
        }
        let mut bytes = [0; Self::LONGEST];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self { bytes, length: text.len() })
    }
}

impl TryFrom<String> for Delimiter {
    type Error = NotADelimiter;

    fn try_from(text: String) -> Result<Self, NotADelimiter> {
        text.parse()
    }
}

impl From<Delimiter> for String {
    fn from(delimiter: Delimiter) -> Self {
        delimiter.as_str().to_owned()
    }
}

impl fmt::Display for Delimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The character around fields that contain delimiters or line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quote {
    /// `"`
    Double,
    /// `'`
    Single,
    /// Quotes are text.
    None,
}

impl Quote {
    #[must_use]
    pub fn byte(self) -> Option<u8> {
        match self {
            Self::Double => Some(b'"'),
            Self::Single => Some(b'\''),
            Self::None => None,
        }
    }
}

/// How a quote is written inside a quoted field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Escape {
    /// Twice.
    Doubled,
    /// After a backslash, which also stands before a backslash. A doubled quote is one quote too.
    Backslash,
}
