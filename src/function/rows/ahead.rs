//! Blocks of a step that are read before the records in front of them, on cores that have nothing else to do.
//!
//! A block is cut where a record most likely ends, and read as if it began with a record and nothing before it
//! mattered. The step takes the results in the order of the file, and only one that begins exactly where the records
//! before it ended; otherwise it reads the block's bytes itself. So the outputs are those of one pass.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::reader::Reader;
use crate::{
    csv::{Cursor, Output, Pass, Past, Stretches},
    function::{failure::FailureReason, in_order::BLOCK},
    results::Plan,
};

/// A part of the file.
pub(super) struct FileBlock {
    pub(super) bytes: Vec<u8>,
    /// Where it begins. The records before it are not counted.
    pub(super) start: Cursor,
    /// It reaches the end of the file.
    pub(super) eof: bool,
    /// Why the bytes are missing.
    pub(super) failure: Option<FailureReason>,
    /// None: the step must read them.
    pub(super) records: Option<BlockRecords>,
    /// The buffer of their output.
    processed: Vec<u8>,
}

/// The records of a block from its start on.
pub(super) struct BlockRecords {
    pub(super) out: Output,
    pub(super) stretches: Stretches,
    pub(super) end: Cursor,
    /// How many there are.
    pub(super) records: u64,
    pub(super) past: Past,
    /// The bytes of the block that were read.
    pub(super) consumed: usize,
}

impl Default for FileBlock {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            start: Cursor { byte: 0, line: 1, record: 0 },
            eof: false,
            failure: None,
            records: None,
            processed: Vec::new(),
        }
    }
}

impl FileBlock {
    /// Makes room for another one. The buffers are kept unless a long record has made them large.
    pub(super) fn clear(&mut self) {
        if let Some(records) = self.records.take() {
            self.processed = records.out.processed;
        }
        for buffer in [&mut self.bytes, &mut self.processed] {
            buffer.clear();
            buffer.shrink_to(2 * BLOCK);
        }
        self.failure = None;
    }

    /// Reads the records, unless the block ends inside one that is too long.
    pub(super) fn read(&mut self, plan: &Plan, stop: u64) {
        if self.failure.is_none() {
            let mut processed = mem::take(&mut self.processed);
            // It is a little longer than the block where line ends or quotes are added.
            processed.reserve(self.bytes.len() + self.bytes.len() / 8);
            // The step reads the block again after a panic, and so fails as it would have failed there.
            let read = AssertUnwindSafe(|| self.records(plan, stop, processed));
            self.records = catch_unwind(read).unwrap_or(None);
        }
    }

    /// `processed` has room for their output.
    fn records(&self, plan: &Plan, stop: u64, processed: Vec<u8>) -> Option<BlockRecords> {
        let pass = Pass::new(&plan.layout, self.start, plan.max_record_bytes);
        let mut reader = Reader::new(pass, plan.size);
        let mut out = Output { processed, ..Output::default() };
        let consumed = reader.read(&self.bytes, self.eof, stop, &mut out, &mut |_| {});
        let Reader { pass, stretches, .. } = reader;
        let (end, past) = (pass.cursor(), pass.past());
        let records = end.record.saturating_sub(self.start.record);
        pass.at_boundary().then_some(BlockRecords { out, stretches, end, records, past, consumed })
    }
}
