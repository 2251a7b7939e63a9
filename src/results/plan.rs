//! How a run reads its file: the result of its first step.

use serde::{Deserialize, Serialize};

use crate::csv::{FirstRows, Layout, ReadAs, Reading, SheetRead};

/// The name of the step that determines how the file is read.
pub const PLAN: &str = "plan";

/// How a file is read. Later steps obey it, also after an upgrade and with another configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The storage key of the file.
    pub source: String,
    /// In bytes.
    pub size: u64,
    /// None in a plan of an earlier version, which read every file as UTF-8 with commas and a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<Reading>,
    /// The sheet of a workbook that the file is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sheet: Option<SheetRead>,
    pub layout: Layout,
    /// A record longer than this fails.
    pub max_record_bytes: usize,
    /// A step ends at the first record that begins this far after the step's start, or earlier if it was
    /// interrupted.
    pub step_bytes: u64,
    pub reader_version: u32,
    /// Shown to people. None in a plan of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_rows: Option<FirstRows>,
    /// The first part of each output begins with its header, so that an output of one part is one stored file.
    /// Otherwise no stored file has it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_headers_in_parts: bool,
}

impl Plan {
    /// How many bytes of the first part of `failed.csv` are its header.
    #[must_use]
    pub fn failed_header_bytes(&self) -> u64 {
        if self.has_headers_in_parts { self.layout.failed_header().len() as u64 } else { 0 }
    }

    /// How people are told that the file is read. None in a plan of an earlier version.
    #[must_use]
    pub fn read_as(&self) -> Option<ReadAs> {
        let reading = self.reading.clone()?;
        Some(ReadAs { reading, dialect: self.layout.dialect.clone(), sheet: self.sheet.clone() })
    }
}
