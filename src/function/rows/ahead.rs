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

use super::{
    BLOCK,
    front::{FileBlock, UnreadPart},
    reader::Reader,
};
use crate::{
    csv::{Cursor, Output, Pass, Past, Stretches},
    function::failure::FailureReason,
    results::Plan,
};

/// The records of a block from its start on.
pub(super) struct BlockResult {
    pub(super) out: Output,
    pub(super) stretches: Stretches,
    pub(super) end: Cursor,
    /// How many there are.
    pub(super) records: u64,
    pub(super) past: Past,
    /// The bytes of the block that were read.
    pub(super) consumed: usize,
}

/// A block, with its records if they were read ahead.
type MaybeRead = (FileBlock, Option<Box<BlockResult>>);

/// Reads a block; `processed` has room for its output. None if it ends inside a record that is too long.
fn read(plan: &Plan, stop: u64, block: &FileBlock, processed: Vec<u8>) -> Option<Box<BlockResult>> {
    let pass = Pass::new(&plan.layout, block.start, plan.max_record_bytes);
    let mut reader = Reader::new(pass, plan.size);
    let mut out = Output { processed, ..Output::default() };
    let consumed = reader.read(&block.bytes, block.eof, stop, &mut out, &mut |_| {});
    let Reader { pass, stretches, .. } = reader;
    let (end, past) = (pass.cursor(), pass.past());
    let records = end.record.saturating_sub(block.start.record);
    pass.at_boundary().then(|| Box::new(BlockResult { out, stretches, end, records, past, consumed }))
}

/// The blocks of a step, in the order of the file.
pub(super) struct Blocks<'p> {
    plan: &'p Plan,
    stop: u64,
    /// How many threads help.
    helpers: usize,
    /// Locked before `state`, by the thread that reads the next block.
    front: Mutex<UnreadPart>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Entry>,
    /// It is known where the next block begins.
    has_next: bool,
    /// No further block comes.
    is_closed: bool,
    /// How many blocks were taken from the front of the queue.
    taken: usize,
    /// Empty buffers of blocks and outputs, to be used again.
    spare: Vec<Vec<u8>>,
}

enum Entry {
    Waiting(FileBlock),
    /// A thread reads it.
    BeingRead,
    Read(FileBlock, Option<Box<BlockResult>>),
}

impl<'p> Blocks<'p> {
    pub(super) fn new(plan: &'p Plan, stop: u64, front: UnreadPart, helpers: usize) -> Self {
        let (front, state) = (Mutex::new(front), Mutex::default());
        Self { plan, stop, helpers, front, state, changed: Condvar::new() }
    }

    /// No code that holds one of these locks can leave what it guards inconsistent.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_front(&self) -> MutexGuard<'_, UnreadPart> {
        self.front.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has_helpers(&self) -> bool {
        self.helpers > 0
    }

    /// Appends the next bytes of the file to `buffer`, without helpers. Returns whether they reach its end.
    pub(super) fn read_more(&self, length: usize, buffer: &mut Vec<u8>) -> Result<bool, FailureReason> {
        self.lock_front().read(length, buffer)
    }

    /// Takes the first block, and reads others until it is read. If there is none, the next one of the file is read;
    /// it begins with `buffer` if that is known to be a boundary. None at the end of the file.
    pub(super) fn take(
        &self,
        buffer: &mut Vec<u8>,
        boundary: Option<Cursor>,
    ) -> Result<Option<MaybeRead>, FailureReason> {
        if self.lock().queue.is_empty() {
            let mut front = self.lock_front();
            // Meanwhile a thread may have read one.
            if self.lock().queue.is_empty() {
                if let Some(failure) = front.failure.take() {
                    return Err(failure);
                }
                if front.is_at_end() {
                    return Ok(None);
                }
                if let Some(cursor) = boundary {
                    front.give_back(buffer, cursor);
                }
                self.push_next(&mut front)?;
            }
        }
        Ok(self.take_first())
    }

    /// Reads the next block of the file, and appends it to the queue. One that does not begin with
    /// a record of this step is not read ahead.
    fn push_next(&self, front: &mut UnreadPart) -> Result<(), FailureReason> {
        let is_to_be_read = front.is_ahead(self.stop);
        let buffer = self.spare();
        let block = front.read_block(self.plan, buffer)?;
        let entry = if is_to_be_read { Entry::Waiting(block) } else { Entry::Read(block, None) };
        let mut state = self.lock();
        state.has_next = front.is_ahead(self.stop);
        state.queue.push_back(entry);
        self.changed.notify_all();
        Ok(())
    }

    fn take_first(&self) -> Option<MaybeRead> {
        let mut state = self.lock();
        loop {
            if matches!(state.queue.front()?, Entry::Read(..))
                && let Some(Entry::Read(block, ahead)) = state.queue.pop_front()
            {
                state.taken += 1;
                self.changed.notify_all();
                return Some((block, ahead));
            }
            state = self.work_or_wait(state);
        }
    }

    fn spare(&self) -> Vec<u8> {
        self.lock().spare.pop().unwrap_or_default()
    }

    /// Gives a buffer back. A block and its output have the same size, so it can become either.
    pub(super) fn give_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut state = self.lock();
        // Those of a long record are too large to keep.
        if buffer.capacity() <= 2 * BLOCK && state.spare.len() < 2 * self.most_queued() {
            state.spare.push(buffer);
        }
    }

    /// The next block begins where no record does.
    pub(super) fn stop_reading_ahead(&self) {
        let mut front = self.lock_front();
        front.forget_next();
        self.lock().has_next = false;
    }

    /// Reads blocks until no further one comes.
    pub(super) fn work(&self) {
        let mut state = self.lock();
        while !state.is_closed {
            state = self.work_or_wait(state);
        }
    }

    /// Reads a block that waits, or else the next one of the file; waits if neither is wanted.
    fn work_or_wait<'s>(&'s self, mut state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        if let Some((number, block)) = state.next_waiting() {
            drop(state);
            self.read(number, block)
        } else if self.wants_next(&state) {
            drop(state);
            self.read_ahead();
            self.lock()
        } else {
            self.wait(state)
        }
    }

    fn wants_next(&self, state: &State) -> bool {
        state.has_next && state.queue.len() < self.most_queued()
    }

    /// Enough that no thread often waits for another: waking one takes as long as reading half a block. Each has a block
    /// and its outputs in memory.
    fn most_queued(&self) -> usize {
        self.helpers + 2
    }

    fn read_ahead(&self) {
        let mut front = self.lock_front();
        let is_wanted = self.wants_next(&self.lock());
        if is_wanted && let Err(failure) = self.push_next(&mut front) {
            // First the blocks before it are taken.
            front.failure = Some(failure);
            self.lock().has_next = false;
        }
    }

    fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    fn read(&self, number: usize, block: FileBlock) -> MutexGuard<'_, State> {
        // The step reads the block again after a panic, and so fails itself instead of waiting for ever.
        let spare = self.spare();
        let ahead = catch_unwind(|| read(self.plan, self.stop, &block, spare)).unwrap_or(None);
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
