//! Reads the bytes of a step, and cuts them into blocks where a record most likely ends.

use std::{io, mem};

use super::ahead::FileBlock;
use crate::{
    csv::{Cursor, likely_records},
    files::StoredFile,
    function::{
        failure::FailureReason,
        in_order::{BLOCK, BlockSource},
    },
    results::Plan,
};

/// The part of the file that was not read yet.
pub(super) struct UnreadPart<'p> {
    plan: &'p Plan,
    /// The step ends with the record that has this byte.
    stop: u64,
    file: StoredFile,
    unread: u64,
    /// The bytes behind the last block.
    carry: Vec<u8>,
    /// Where the next block begins. None: it is not known which line that is.
    next: Option<Cursor>,
}

impl<'p> UnreadPart<'p> {
    /// `file` is at byte `start`.
    pub(super) fn new(plan: &'p Plan, stop: u64, file: StoredFile, start: u64) -> Self {
        Self { plan, stop, file, unread: plan.size - start, carry: Vec::new(), next: None }
    }

    /// Whether the next block begins with a record of this step, most likely.
    pub(super) fn has_next(&self) -> bool {
        let is_at_end = self.unread == 0 && self.carry.is_empty();
        !is_at_end && self.next.is_some_and(|next| next.byte < self.stop)
    }

    /// Appends the bytes behind the last block, and `length` further ones at most. Returns whether they reach the end of
    /// the file.
    pub(super) fn read(&mut self, length: usize, buffer: &mut Vec<u8>) -> Result<bool, FailureReason> {
        buffer.append(&mut self.carry);
        self.next = None;
        let length = self.unread.min(length as u64);
        buffer.reserve_exact(usize::try_from(length).unwrap_or(usize::MAX));
        let read = self.file.append_to(buffer, length)?;
        self.unread -= length;
        if read as u64 == length {
            Ok(self.unread == 0)
        } else {
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stored file is shorter than planned")
                .into())
        }
    }

    /// Takes the bytes behind the cursor back. The next block begins there.
    pub(super) fn give_back(&mut self, buffer: &mut Vec<u8>, cursor: Cursor) {
        buffer.append(&mut self.carry);
        mem::swap(buffer, &mut self.carry);
        self.next = Some(Cursor { record: cursor.record.min(1), ..cursor });
    }

    /// The last block was cut where no record ends.
    pub(super) fn forget_next(&mut self) {
        self.next = None;
    }

    /// Reads the next block, which begins at `start`.
    fn read_block(&mut self, start: Cursor, block: &mut FileBlock) -> Result<(), FailureReason> {
        block.start = start;
        block.eof = self.read(BLOCK, &mut block.bytes)?;
        let dialect = &self.plan.layout.dialect;
        if !block.eof
            && let Some((records, line_ends)) = likely_records(dialect, &block.bytes)
        {
            let length = records.len();
            self.next = Some(Cursor { record: 1, ..start.behind(length, line_ends) });
            self.carry.extend_from_slice(&block.bytes[length..]);
            block.bytes.truncate(length);
        }
        Ok(())
    }
}

impl BlockSource for UnreadPart<'_> {
    type Block = FileBlock;

    fn next(&mut self, block: &mut FileBlock) -> bool {
        let Some(start) = self.next.filter(|_| self.has_next()) else { return false };
        block.clear();
        block.failure = self.read_block(start, block).err();
        true
    }
}
