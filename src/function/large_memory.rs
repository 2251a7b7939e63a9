//! Large memory: what a step needs to unpack a large archive or workbook, or to read a long record.

use super::{Share, Slots};

/// The right to it. One file at a time has that of its kind, and users take turns. Clones share it.
#[derive(Clone, Debug)]
pub struct LargeMemory {
    /// For archives whose decoder remembers much, and for the texts of workbooks.
    pub archives: Slots,
    pub records: Slots,
}

impl Default for LargeMemory {
    fn default() -> Self {
        Self { archives: Slots::new(1, Share::All), records: Slots::new(1, Share::All) }
    }
}
