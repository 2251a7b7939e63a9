//! A step of rows: reads a part of a file's records and writes the outputs.

mod ahead;
mod front;
mod parts;
mod reader;

use std::{
    io::{Seek, SeekFrom},
    num::NonZero,
    sync::Arc,
    thread,
};

use self::{
    ahead::{BlockResult, Blocks, Closing},
    front::UnreadPart,
    parts::{PartHeaders, Parts},
    reader::Reader,
};
use super::{Slot, Slots, failure::FailureReason, plan::open, step_slot::StepSlot};
use crate::{
    base::ids::RunId,
    csv::{Counts, Cursor, Notes, Output, Pass, Past, Reasons, Stretches},
    files::{Key, Storage},
    progress::RunProgress,
    results::Plan,
    store::{quota::Reservation, steps::StepFiles},
};

/// How many bytes are read at once. Progress is reported, and a request to stop noticed, after each block.
const BLOCK: usize = 1 << 20;

/// How much of a record a step may have in memory without large memory. A longer record takes up to four times its
/// bytes.
const LONG: usize = 4 * BLOCK;

/// The most bytes that are reserved for a long record, whatever the limit of records is.
const MOST_RESERVED: usize = 64 << 20;

/// The most threads that help a step: each has a block of the file and its outputs in memory.
const MOST_HELPERS: usize = 4;

/// A step of rows to do.
pub(super) struct Task {
    pub(super) storage: Storage,
    pub(super) progress: Arc<RunProgress>,
    pub(super) run: RunId,
    pub(super) plan: Plan,
    /// Its position among all steps of the run: 0, 1, ...
    pub(super) position: u32,
    pub(super) start: Cursor,
    pub(super) past: Past,
    /// The records of the earlier steps.
    pub(super) before: Counts,
    /// None if they are not known for all earlier steps; then this step's stretches are not shown either.
    pub(super) stretches_before: Option<Stretches>,
    /// How many workers have nothing to do.
    pub(super) idle: usize,
    /// The large memory for long records.
    pub(super) long_records: Slots,
}

/// A finished step of rows that is not committed. Its files stay until the caller removes them.
pub(super) struct Rows {
    pub(super) counts: Counts,
    pub(super) reasons: Reasons,
    pub(super) notes: Notes,
    pub(super) end: Cursor,
    pub(super) past: Past,
    pub(super) files: StepFiles,
    pub(super) stretches: Stretches,
    /// Held until the step is committed.
    pub(super) reservation: Option<Reservation>,
}

impl Task {
    /// Does the step. Blocks. If it cannot continue or is stopped, it ends with the records that it has
    /// finished, so that no shown count is taken back and less work is repeated. After an error it has
    /// finished no record, and leaves no file. `reservation` is the user's quota; None: there is no limit.
    pub(super) fn run(
        &self,
        slot: &mut StepSlot,
        reservation: Option<Reservation>,
    ) -> Result<Rows, FailureReason> {
        let plan = &self.plan;
        let stop = self.start.byte.saturating_add(plan.step_bytes_at(self.start.byte, self.position));
        let mut file = open(&self.storage, &Key::from_stored(plan.source.clone()))?;
        file.seek(SeekFrom::Start(self.start.byte))?;
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let helpers = self.idle.min(cores - 1).min(MOST_HELPERS);
        let front = UnreadPart::new(file, plan.size - self.start.byte);
        let blocks = Blocks::new(plan, stop, front, helpers);
        self.progress.begin_reading(self.before, self.start.byte);
        let pass = Pass::resume(&plan.layout, self.start, self.past, plan.max_record_bytes);
        let mut step = StepReader {
            task: self,
            stop,
            blocks: &blocks,
            reader: Reader::new(pass, plan.size),
            buffer: Vec::new(),
            eof: false,
            needs_more: true,
            incomplete: 0,
            slot,
            memory: None,
            out: Output::default(),
            parts: Parts::new(&self.storage, &self.run, PartHeaders::due(plan, self.before)),
            done: Done::new(self.start, self.past, plan.size),
            reservation,
        };
        thread::scope(|scope| {
            let _closing = Closing(&blocks);
            for _ in 0..helpers {
                scope.spawn(|| blocks.work());
            }
            step.read_all()
        })?;
        step.finish()
    }
}

/// A step while it is read.
struct StepReader<'t> {
    task: &'t Task,
    stop: u64,
    blocks: &'t Blocks<'t>,
    reader: Reader<'t>,
    /// The bytes behind the cursor that were taken from the file.
    buffer: Vec<u8>,
    /// They reach the end of the file.
    eof: bool,
    needs_more: bool,
    /// How long the buffer was when it ended inside its first record; 0 if that was not seen.
    incomplete: usize,
    slot: &'t mut StepSlot,
    /// Large memory, from the first long record to the end of the step.
    memory: Option<Slot>,
    out: Output,
    parts: Parts<'t>,
    done: Done,
    reservation: Option<Reservation>,
}

impl StepReader<'_> {
    /// Reads up to the end of the step, or until it cannot continue.
    fn read_all(&mut self) -> Result<(), FailureReason> {
        loop {
            match self.read_block() {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(failure) if self.done.end == self.task.start => return Err(failure),
                Err(failure) => {
                    let (run, line) = (&self.task.run, self.done.end.line);
                    tracing::warn!(%run, line, ?failure, "a step ends early: {failure}");
                    return Ok(());
                }
            }
        }
    }

    /// Reads a block, and writes the results. Returns whether there are more.
    fn read_block(&mut self) -> Result<bool, FailureReason> {
        if self.task.progress.is_stopped() {
            return Err(FailureReason::Stopped);
        }
        let ahead = if self.needs_more { self.take_bytes()? } else { None };
        let consumed = match ahead {
            Some(ahead) => self.take_ahead(*ahead),
            None if self.is_much_the_same() => {
                // Bytes are added until it is not, so that each time around the loop adds bytes or takes records.
                self.needs_more = true;
                return Ok(true);
            }
            None => self.read_buffer()?,
        };
        write(&mut self.out, &mut self.parts, self.reservation.as_mut())?;
        self.reader.look_at_clock();
        let pass = &self.reader.pass;
        let byte = pass.cursor().byte;
        if pass.at_boundary() {
            self.done.update(&self.out, &self.reader);
            self.parts.finish_here();
        }
        if let Some(mut stretches) = self.task.stretches_before.clone() {
            stretches.add(&self.done.stretches);
            self.task.progress.set_stretches(stretches);
        }
        self.task.progress.advance(self.task.before.plus(self.done.counts), byte);
        // A block that is taken before the bytes in front of it are read was read ahead in vain.
        let most_left = if self.blocks.has_helpers() { 1 } else { BLOCK };
        self.needs_more = consumed == 0 || self.buffer.len() < most_left;
        Ok(!(self.eof && self.buffer.is_empty()) && (byte < self.stop || !pass.at_boundary()))
    }

    /// Reads the records in the buffer. Returns how many of its bytes they are.
    fn read_buffer(&mut self) -> Result<usize, FailureReason> {
        let Self { reader, buffer, out, parts, reservation, .. } = self;
        let mut written = Ok(());
        let consumed = reader.read(buffer, self.eof, self.stop, out, &mut |out| {
            if written.is_ok() {
                written = write(out, parts, reservation.as_mut());
            }
            // After a failure the step ends with the records before this one.
            out.clear();
        });
        written?;
        buffer.drain(..consumed);
        self.incomplete = if consumed == 0 { buffer.len() } else { 0 };
        if buffer.len() < LONG && buffer.capacity() > LONG {
            buffer.shrink_to(BLOCK);
            reader.pass.expect_long_records(false);
        }
        Ok(consumed)
    }

    /// Whether the buffer has few bytes more than when it ended inside its first record. That is scanned again from its
    /// beginning, so it waits until the buffer has grown by half.
    fn is_much_the_same(&self) -> bool {
        let most = self.longest().saturating_sub(BLOCK);
        !self.eof && self.buffer.len() < (self.incomplete + self.incomplete / 2).min(most)
    }

    /// Makes room for `more` bytes in the buffer. Needs large memory if a record is long.
    fn make_room(&mut self, more: usize) -> Result<(), FailureReason> {
        let needed = self.buffer.len().saturating_add(more);
        if needed <= LONG || needed <= self.buffer.capacity() {
            return Ok(());
        }
        if self.memory.is_none() {
            self.memory = Some(self.slot.large_memory(&self.task.long_records)?);
        }
        self.reader.pass.expect_long_records(true);
        // At once: a buffer that grows is copied, and is in memory twice meanwhile.
        self.buffer.reserve_exact(needed.max(self.longest().min(MOST_RESERVED)) - self.buffer.len());
        Ok(())
    }

    /// The most bytes that the buffer needs to have.
    fn longest(&self) -> usize {
        self.task.plan.max_record_bytes.saturating_add(2 * BLOCK)
    }

    /// Appends the next bytes of the file to the buffer, or those behind the records that were read ahead.
    fn take_bytes(&mut self) -> Result<Option<Box<BlockResult>>, FailureReason> {
        if !self.blocks.has_helpers() {
            // The blocks grow with the record, so that a long one is not scanned too often.
            let most = self.longest().saturating_sub(self.buffer.len());
            let length = (self.buffer.len() / 2).min(most).max(BLOCK);
            self.make_room(length)?;
            self.eof = self.blocks.read_more(length, &mut self.buffer)?;
            return Ok(None);
        }
        let pass = &self.reader.pass;
        let cursor = pass.cursor();
        // The front of a long record stays here, where its output is written in pieces.
        let is_long = self.buffer.len() >= BLOCK;
        let can_read_ahead = pass.at_boundary() && pass.past().ends_with_record() && !is_long;
        let boundary = can_read_ahead.then_some(cursor);
        let Some((block, ahead)) = self.blocks.take(&mut self.buffer, boundary)? else { return Ok(None) };
        if self.buffer.is_empty() {
            self.incomplete = 0;
        }
        let is_next = self.buffer.is_empty()
            && (block.start.byte, block.start.line) == (cursor.byte, cursor.line)
            && (block.start.record > 0) == (cursor.record > 0)
            && can_read_ahead;
        let is_nothing = pass.past().is_nothing();
        let ahead = ahead.filter(|ahead| is_next && (is_nothing || ahead.records > 0));
        let read = ahead.as_ref().map_or(0, |ahead| ahead.consumed);
        self.make_room(block.bytes.len() - read)?;
        self.buffer.extend_from_slice(&block.bytes[read..]);
        self.eof = block.eof;
        self.blocks.give_back(block.bytes);
        if ahead.is_none() {
            self.blocks.stop_reading_ahead();
        }
        Ok(ahead)
    }

    /// Takes the records of a block. Returns how many of its bytes they are.
    fn take_ahead(&mut self, ahead: BlockResult) -> usize {
        let BlockResult { mut out, stretches, end, records, past, consumed } = ahead;
        let plan = &self.task.plan;
        let cursor = Cursor { record: self.reader.pass.cursor().record + records, ..end };
        self.out.follow_with(&mut out);
        self.blocks.give_back(out.processed);
        let pass = Pass::resume(&plan.layout, cursor, past, plan.max_record_bytes);
        self.reader.skip_to(pass, self.out.counts, &stretches);
        consumed
    }

    fn finish(self) -> Result<Rows, FailureReason> {
        let Done { counts, reasons, notes, end, past, stretches } = self.done;
        let files = self.parts.finish()?;
        let reservation = self.reservation;
        Ok(Rows { counts, reasons, notes, end, past, files, stretches, reservation })
    }
}

/// Writes the bytes in `out` and clears them.
fn write(
    out: &mut Output,
    parts: &mut Parts<'_>,
    reservation: Option<&mut Reservation>,
) -> Result<(), FailureReason> {
    if let Some(reservation) = reservation {
        reservation.take(parts.bytes_of(out))?;
    }
    parts.write(out)?;
    Ok(())
}

/// The finished records of a step, up to a boundary.
struct Done {
    counts: Counts,
    reasons: Reasons,
    notes: Notes,
    end: Cursor,
    past: Past,
    stretches: Stretches,
}

impl Done {
    fn new(end: Cursor, past: Past, file_bytes: u64) -> Self {
        let (counts, reasons, notes) = Default::default();
        Self { counts, reasons, notes, end, past, stretches: Stretches::new(file_bytes) }
    }

    fn update(&mut self, out: &Output, reader: &Reader<'_>) {
        if out.counts.failed > self.counts.failed {
            self.reasons.clone_from(&out.reasons);
        }
        self.notes.clone_from(&out.notes);
        (self.counts, self.end, self.past) = (out.counts, reader.pass.cursor(), reader.pass.past());
        self.stretches.clone_from(&reader.stretches);
    }
}
