//! Stores a local file durably while it is written. Otherwise all of it would be stored after the last byte was written,
//! while everybody waits.

use std::{
    fs::File,
    io,
    panic::resume_unwind,
    thread::{self, JoinHandle},
};

/// How many bytes are written before another thread stores them.
const SYNCED_AT_ONCE: u64 = 8 << 20;

#[derive(Debug, Default)]
pub(super) struct EarlySync {
    running: Option<JoinHandle<io::Result<()>>>,
    /// How many bytes were written when the last one began.
    from: u64,
}

impl EarlySync {
    /// Whether to [`begin`](Self::begin) once the file has `length` bytes.
    pub(super) fn is_due(&self, length: u64) -> bool {
        let is_much = length.saturating_sub(self.from) >= SYNCED_AT_ONCE;
        is_much && self.running.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Stores what was written to the file so far, while more may be written to it. `file` is a clone of it. Fails if an
    /// earlier one has failed.
    pub(super) fn begin(&mut self, file: File, length: u64) -> io::Result<()> {
        self.wait()?;
        self.running = Some(thread::Builder::new().spawn(move || file.sync_data())?);
        self.from = length;
        Ok(())
    }

    /// Waits for the last one. Must come before the file is synced as a whole: the system reports a failed write to only
    /// one of those who ask. Blocks.
    pub(super) fn wait(&mut self) -> io::Result<()> {
        match self.running.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(panic)) => resume_unwind(panic),
        }
    }
}
