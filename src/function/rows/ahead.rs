//! Reads blocks of a step ahead of its first unread record, on cores that have nothing else to do.
//!
//! A block is cut where a record most likely ends, and read as if it began with a record and nothing before it
//! mattered. The step takes the results in the order of the file, and only one that begins exactly where the records
//! before it ended; otherwise it reads the block's bytes itself. So the outputs are those of one pass.

use std::{
    collections::VecDeque,
    mem,
    panic::catch_unwind,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use super::reader::Reader;
use crate::{
    csv::{Cursor, Output, Pass, Past, Stretches},
    results::Plan,
};

/// A part of the file.
pub(super) struct FileBlock {
    pub(super) bytes: Vec<u8>,
    /// Where it begins. The records before it are not counted.
    pub(super) start: Cursor,
    pub(super) eof: bool,
}

/// The records of a block from its start on.
pub(super) struct BlockResult {
    pub(super) out: Output,
    pub(super) stretches: Stretches,
    pub(super) end: Cursor,
    pub(super) past: Past,
    /// The bytes of the block that were read.
    pub(super) consumed: usize,
}

/// Reads a block. None if it ends inside a record that is too long.
fn read(plan: &Plan, stop: u64, block: &FileBlock) -> Option<Box<BlockResult>> {
    let pass = Pass::new(&plan.layout, block.start, plan.max_record_bytes);
    let mut reader = Reader::new(pass, plan.size);
    let mut out = Output::default();
    let consumed = reader.read(&block.bytes, block.eof, stop, &mut out);
    let Reader { pass, stretches, .. } = reader;
    let (end, past) = (pass.cursor(), pass.past());
    pass.at_boundary().then(|| Box::new(BlockResult { out, stretches, end, past, consumed }))
}

/// The blocks that are read ahead, in the order of the file.
pub(super) struct Blocks<'p> {
    plan: &'p Plan,
    stop: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Entry>,
    /// No further block comes.
    is_closed: bool,
    /// How many blocks were taken from the front of the queue.
    taken: usize,
}

enum Entry {
    Waiting(FileBlock),
    /// A thread reads it.
    BeingRead,
    Read(FileBlock, Option<Box<BlockResult>>),
}

impl<'p> Blocks<'p> {
    pub(super) fn new(plan: &'p Plan, stop: u64) -> Self {
        Self { plan, stop, state: Mutex::default(), changed: Condvar::new() }
    }

    /// No code that holds this lock can leave the state inconsistent.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self) -> usize {
        self.lock().queue.len()
    }

    /// Appends a block. If it is not to be read ahead, [`take`](Self::take) returns it unread.
    pub(super) fn push(&self, block: FileBlock, is_to_be_read: bool) {
        let entry = if is_to_be_read { Entry::Waiting(block) } else { Entry::Read(block, None) };
        self.lock().queue.push_back(entry);
        self.changed.notify_all();
    }

    /// Takes the first block, and reads others until it is read. None if there is no block.
    pub(super) fn take(&self) -> Option<(FileBlock, Option<Box<BlockResult>>)> {
        let mut state = self.lock();
        loop {
            if matches!(state.queue.front()?, Entry::Read(..))
                && let Some(Entry::Read(block, ahead)) = state.queue.pop_front()
            {
                state.taken += 1;
                return Some((block, ahead));
            }
            state = match state.next_waiting() {
                Some((number, block)) => {
                    drop(state);
                    self.read(number, block)
                }
                None => self.wait(state),
            };
        }
    }

    /// Reads blocks until no further one comes.
    pub(super) fn work(&self) {
        let mut state = self.lock();
        while !state.is_closed {
            state = match state.next_waiting() {
                Some((number, block)) => {
                    drop(state);
                    self.read(number, block)
                }
                None => self.wait(state),
            };
        }
    }

    fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    fn read(&self, number: usize, block: FileBlock) -> MutexGuard<'_, State> {
        // The step reads the block again after a panic, and so fails itself instead of waiting for ever.
        let ahead = catch_unwind(|| read(self.plan, self.stop, &block)).unwrap_or(None);
        let mut state = self.lock();
        let place = number - state.taken;
        state.queue[place] = Entry::Read(block, ahead);
        self.changed.notify_all();
        state
    }
}

/// Lets [`Blocks::work`] return when it is dropped.
pub(super) struct Closing<'b>(pub(super) &'b Blocks<'b>);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl State {
    /// The first block that no thread reads yet, with its number among all blocks.
    fn next_waiting(&mut self) -> Option<(usize, FileBlock)> {
        let place = self.queue.iter().position(|entry| matches!(entry, Entry::Waiting(_)))?;
        match mem::replace(&mut self.queue[place], Entry::BeingRead) {
            Entry::Waiting(block) => Some((self.taken + place, block)),
            Entry::BeingRead | Entry::Read(..) => None,
        }
    }
}
