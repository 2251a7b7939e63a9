//! What is known of a stored file before it is planned.

use serde::{Deserialize, Serialize};

use super::{Encoding, How, Layout, Part, Reading, SheetRead, Survey};

/// What was learnt of a stored file while it arrived or was copied. Earlier versions stored none of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AboutFile {
    /// What its bytes showed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub survey: Option<Survey>,
    /// The encoding that the server of a fetched file names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charset: Option<Encoding>,
    /// The encoding that a decoded copy had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Part<Encoding>>,
    /// The sheet of an unpacked workbook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sheet: Option<SheetRead>,
    /// How failed records were read by the run that they come from, and are read again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_before: Option<ReadBefore>,
}

/// How another run has read its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadBefore {
    pub layout: Layout,
    /// None if an earlier version read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<Reading>,
    /// Of a workbook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sheet: Option<SheetRead>,
}

impl AboutFile {
    /// The encoding that the file's server names, if it goes before `found`, which its bytes show, where it can decode
    /// the file. What the bytes say for certain is truer than what a server says of all its files.
    #[must_use]
    pub fn named(&self, found: Part<Encoding>) -> Option<Encoding> {
        self.charset.filter(|named| found.how != How::Certain && !named.is_utf8())
    }
}

impl From<Survey> for AboutFile {
    fn from(survey: Survey) -> Self {
        Self { survey: Some(survey), ..Self::default() }
    }
}
