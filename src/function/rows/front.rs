//! Reads the bytes of a step, and cuts them into blocks.

use std::{io, mem};

use super::BLOCK;
use crate::{
    csv::{Cursor, likely_records},
    files::StoredFile,
    function::failure::FailureReason,
    results::Plan,
};

/// A part of the file.
pub(super) struct FileBlock {
    pub(super) bytes: Vec<u8>,
    /// Where it begins. The records before it are not counted.
    pub(super) start: Cursor,
    pub(super) eof: bool,
}

/// The part of the file that was not read yet.
pub(super) struct UnreadPart {
    file: StoredFile,
    unread: u64,
    /// The bytes behind the last block.
    carry: Vec<u8>,
    /// Where the next block begins. None: it is not known which line that is.
    next: Option<Cursor>,
    /// Why a thread could not read on.
    pub(super) failure: Option<FailureReason>,
}

impl UnreadPart {
    /// `file` is at its next byte, and has so many bytes left.
    pub(super) fn new(file: StoredFile, unread: u64) -> Self {
        Self { file, unread, carry: Vec::new(), next: None, failure: None }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.unread == 0 && self.carry.is_empty()
    }

    /// Whether the next block begins before byte `stop`, where a record most likely begins.
    pub(super) fn is_ahead(&self, stop: u64) -> bool {
        !self.is_at_end() && self.next.is_some_and(|next| next.byte < stop)
    }

    /// Appends the next bytes, at most `length`. Returns whether they reach the end of the file.
    pub(super) fn read(&mut self, length: usize, buffer: &mut Vec<u8>) -> Result<bool, FailureReason> {
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

    /// Takes the bytes behind the cursor back, after which the next block begins there, unless that is known.
    pub(super) fn give_back(&mut self, buffer: &mut Vec<u8>, cursor: Cursor) {
        if self.next.is_none() {
            buffer.append(&mut self.carry);
            mem::swap(buffer, &mut self.carry);
            self.next = Some(Cursor { record: cursor.record.min(1), ..cursor });
        }
    }

    /// The blocks were cut where no record ends.
    pub(super) fn forget_next(&mut self) {
        self.next = None;
    }

    /// Reads the next block, which ends where a record most likely ends, into an empty buffer.
    pub(super) fn read_block(&mut self, plan: &Plan, mut bytes: Vec<u8>) -> Result<FileBlock, FailureReason> {
        bytes.append(&mut self.carry);
        let eof = self.read(BLOCK, &mut bytes)?;
        let Some(start) = self.next.take() else {
            return Ok(FileBlock { bytes, start: plan.layout.start, eof });
        };
        if !eof && let Some((records, line_ends)) = likely_records(&plan.layout.dialect, &bytes) {
            let length = records.len();
            self.next = Some(Cursor { record: 1, ..start.behind(length, line_ends) });
            self.carry.extend_from_slice(&bytes[length..]);
            bytes.truncate(length);
        }
        Ok(FileBlock { bytes, start, eof })
    }
}
