//! How a run reads its file: the result of its first step.

use serde::{Deserialize, Serialize};

use crate::csv::{FirstRows, Layout};

/// The name of the step that fixes how the file is read.
pub const PLAN: &str = "plan";

/// How a file is read. Later steps obey it, also after an upgrade and under another configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The storage key of the file.
    pub source: String,
    /// Bytes.
    pub size: u64,
    /// The WHATWG name, in lower case.
    pub encoding: String,
    pub layout: Layout,
    /// A record longer than this fails.
    pub max_record_bytes: usize,
    /// A step ends at the first record that begins this far behind the step's start, or sooner where it
    /// could not go on.
    pub step_bytes: u64,
    pub reader_version: u32,
    /// What people are shown of it; None in a plan of the version before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_rows: Option<FirstRows>,
}
