//! Passes unpacked bytes in blocks to the task that stores them, within limits.

use std::{
    io::{ErrorKind, Read},
    mem,
};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{Packing, UnpackError, decoders::PackedSource};

/// The bytes of a block.
pub(super) const BLOCK: usize = 256 << 10;

/// The blocks that wait to be stored.
pub(super) const BLOCKS_AHEAD: usize = 2;

/// The most that a file may grow, as a factor. gzip reaches 1,032 with any repeated text, so only the other
/// packings can exceed this.
pub(super) const MOST_GROWTH: u64 = 2_000;

/// Growth is not limited below this many bytes: small tables of equal rows shrink to almost nothing.
const GROWTH_FROM: u64 = 256 << 20;

/// Takes what is unpacked.
#[derive(Debug)]
pub(super) struct Sink {
    packing: Packing,
    /// The most bytes of the unpacked file.
    limit: u64,
    send: mpsc::Sender<Bytes>,
    written: u64,
    /// Bytes that were written and not sent yet.
    block: Vec<u8>,
}

impl Sink {
    pub(super) fn new(packing: Packing, limit: u64, send: mpsc::Sender<Bytes>) -> Self {
        Self { packing, limit, send, written: 0, block: Vec::new() }
    }

    /// Sends all bytes of `unpacked`, which is decoded from `source`.
    pub(super) fn fill(mut self, unpacked: &mut dyn Read, source: &PackedSource) -> Result<(), UnpackError> {
        loop {
            let mut block = vec![0; BLOCK];
            let mut filled = 0;
            while filled < BLOCK {
                match unpacked.read(&mut block[filled..]) {
                    Ok(0) => break,
                    Ok(read) => filled += read,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(source.explain(self.packing, error)),
                }
            }
            if filled == 0 {
                return Ok(());
            }
            block.truncate(filled);
            self.send(block, source.bytes())?;
        }
    }

    /// The most bytes of the unpacked file.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Fails if the step that stores the file was stopped.
    pub(super) fn fail_if_stopped(&self) -> Result<(), UnpackError> {
        if self.send.is_closed() { Err(UnpackError::Stopped) } else { Ok(()) }
    }

    /// Sends `bytes`, in blocks. `read` bytes of the packed file have been read so far.
    pub(super) fn write(&mut self, bytes: &[u8], read: u64) -> Result<(), UnpackError> {
        self.block.extend_from_slice(bytes);
        if self.block.len() < BLOCK {
            return Ok(());
        }
        let block = mem::take(&mut self.block);
        self.send(block, read)
    }

    /// Sends what was written last.
    pub(super) fn finish(mut self) -> Result<(), UnpackError> {
        let block = mem::take(&mut self.block);
        if block.is_empty() { Ok(()) } else { self.send(block, u64::MAX) }
    }

    /// Sends `block`. `read` bytes of the packed file have been read so far.
    fn send(&mut self, block: Vec<u8>, read: u64) -> Result<(), UnpackError> {
        self.written = self.written.saturating_add(block.len() as u64);
        let (packing, limit) = (self.packing, self.limit);
        if self.written > limit {
            return Err(UnpackError::TooLarge { packing, limit });
        }
        if self.written > GROWTH_FROM && self.written / MOST_GROWTH > read {
            return Err(UnpackError::Bomb { packing });
        }
        self.send.blocking_send(block.into()).map_err(|_| UnpackError::Stopped)
    }
}
