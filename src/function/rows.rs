//! A step of rows: reads a part of a file's records and writes the outputs.

mod ahead;
mod front;
mod parts;
mod reader;

use std::{
    io::{Seek, SeekFrom},
    mem,
    ops::ControlFlow,
    sync::Arc,
};

use self::{
    ahead::{BlockRecords, FileBlock},
    front::UnreadPart,
    parts::{PartHeaders, Parts},
    reader::Reader,
};
use super::{
    Slot, Slots,
    failure::FailureReason,
    in_order::{BLOCK, Taker, helpers, in_order},
    plan::open,
    step_slot::StepSlot,
};
use crate::{
    base::ids::RunId,
    csv::{Counts, Cursor, Notes, Output, Pass, Past, Reasons, Stretches},
    files::{Key, Storage},
    progress::RunProgress,
    results::Plan,
    store::{quota::Reservation, steps::StepFiles},
};

/// How much of a record a step may have in memory without large memory. A longer record takes up to four times its
/// bytes.
const LONG: usize = 4 * BLOCK;

/// The most bytes that are reserved for a long record, whatever the limit of records is.
const MOST_RESERVED: usize = 64 << 20;

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
        let helpers = helpers(self.idle);
        let front = UnreadPart::new(plan, stop, file, self.start.byte);
        self.progress.begin_reading(self.before, self.start.byte);
        let pass = Pass::resume(&plan.layout, self.start, self.past, plan.max_record_bytes);
        let step = StepReader {
            task: self,
            stop,
            has_helpers: helpers > 0,
            reader: Reader::new(pass, plan.size),
            buffer: Vec::new(),
            eof: false,
            incomplete: 0,
            was_cut_wrong: false,
            slot,
            memory: None,
            out: Output::default(),
            parts: Parts::new(&self.storage, &self.run, PartHeaders::due(plan, self.before)),
            done: Done::new(self.start, self.past, plan.size),
            reservation,
            failure: None,
        };
        in_order(helpers, front, |block: &mut FileBlock| block.read(plan, stop), step).finish()
    }
}

/// A step while it is read.
struct StepReader<'t> {
    task: &'t Task,
    stop: u64,
    has_helpers: bool,
    reader: Reader<'t>,
    /// The bytes behind the cursor that were taken from the file.
    buffer: Vec<u8>,
    /// They reach the end of the file.
    eof: bool,
    /// How long the buffer was when it ended inside its first record; 0 if that was not seen.
    incomplete: usize,
    /// The last block did not begin where the records before it end.
    was_cut_wrong: bool,
    slot: &'t mut StepSlot,
    /// Large memory, from the first long record to the end of the step.
    memory: Option<Slot>,
    out: Output,
    parts: Parts<'t>,
    done: Done,
    reservation: Option<Reservation>,
    /// Why nothing was read from the start on.
    failure: Option<FailureReason>,
}

impl Taker<UnreadPart<'_>> for StepReader<'_> {
    fn take(&mut self, block: &mut FileBlock) -> ControlFlow<()> {
        let read = self.read_block(block);
        self.flow(read)
    }

    fn go_on(&mut self, front: &mut UnreadPart<'_>, are_others_out: bool) -> ControlFlow<()> {
        if mem::take(&mut self.was_cut_wrong) {
            front.forget_next();
        }
        let read = if are_others_out || front.has_next() { Ok(true) } else { self.read_from(front) };
        self.flow(read)
    }
}

impl StepReader<'_> {
    /// Ends the step where it is over, or cannot continue.
    fn flow(&mut self, has_more: Result<bool, FailureReason>) -> ControlFlow<()> {
        match has_more {
            Ok(true) => return ControlFlow::Continue(()),
            Ok(false) => {}
            Err(failure) if self.done.end == self.task.start => self.failure = Some(failure),
            Err(failure) => {
                let (run, line) = (&self.task.run, self.done.end.line);
                tracing::warn!(%run, line, ?failure, "a step ends early: {failure}");
            }
        }
        ControlFlow::Break(())
    }

    /// Takes the records of a block, or reads them. Returns whether there are more.
    fn read_block(&mut self, block: &mut FileBlock) -> Result<bool, FailureReason> {
        if let Some(failure) = block.failure.take() {
            return Err(failure);
        }
        self.check_stopped()?;
        let cursor = self.reader.pass.cursor();
        let is_next = self.buffer.is_empty()
            && (block.start.byte, block.start.line) == (cursor.byte, cursor.line)
            && (block.start.record > 0) == (cursor.record > 0)
            && self.is_at_clean_boundary();
        let is_nothing = self.reader.pass.past().is_nothing();
        let records = block.records.as_mut().filter(|block| is_next && (is_nothing || block.records > 0));
        self.was_cut_wrong = records.is_none();
        let consumed = match records {
            Some(records) => self.take_records(records)?,
            None => 0,
        };
        if self.buffer.is_empty() {
            self.incomplete = 0;
        }
        self.eof = block.eof;
        let rest = &block.bytes[consumed..];
        self.make_room(rest.len())?;
        self.buffer.extend_from_slice(rest);
        Ok(self.advance() && self.read_all_buffered()?)
    }

    /// Reads on until the front can give blocks.
    fn read_from(&mut self, front: &mut UnreadPart<'_>) -> Result<bool, FailureReason> {
        loop {
            // The front of a long record stays here, where its output is written in pieces.
            let is_long = self.buffer.len() >= BLOCK;
            if self.has_helpers && self.is_at_clean_boundary() && !is_long {
                front.give_back(&mut self.buffer, self.reader.pass.cursor());
                self.incomplete = 0;
                return Ok(true);
            }
            // The blocks grow with the record, so that a long one is not scanned too often.
            let most = self.longest().saturating_sub(self.buffer.len());
            let length = (self.buffer.len() / 2).min(most).max(BLOCK);
            self.make_room(length)?;
            self.eof = front.read(length, &mut self.buffer)?;
            if !self.read_all_buffered()? {
                return Ok(false);
            }
        }
    }

    /// Reads the records in the buffer until it ends inside one, and writes the results. Returns whether there are more.
    fn read_all_buffered(&mut self) -> Result<bool, FailureReason> {
        if !self.eof && (self.buffer.is_empty() || self.is_much_the_same()) {
            return Ok(true);
        }
        loop {
            self.check_stopped()?;
            let consumed = self.read_buffer()?;
            let is_full = self.out.is_full();
            write(&mut self.out, &mut self.parts, self.reservation.as_mut())?;
            if !self.advance() {
                return Ok(false);
            }
            if consumed == 0 || !(is_full || self.eof) {
                return Ok(true);
            }
        }
    }

    fn check_stopped(&self) -> Result<(), FailureReason> {
        if self.task.progress.is_stopped() { Err(FailureReason::Stopped) } else { Ok(()) }
    }

    /// Publishes how far the step has come. Returns whether there are more records.
    fn advance(&mut self) -> bool {
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
        !(self.eof && self.buffer.is_empty()) && (byte < self.stop || !pass.at_boundary())
    }

    /// Whether another pass can go on from here.
    fn is_at_clean_boundary(&self) -> bool {
        let pass = &self.reader.pass;
        pass.at_boundary() && pass.past().ends_with_record()
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

    /// Writes the records of a block. Returns how many of its bytes they are.
    fn take_records(&mut self, block: &mut BlockRecords) -> Result<usize, FailureReason> {
        write(&mut block.out, &mut self.parts, self.reservation.as_mut())?;
        self.out.count(&mut block.out);
        let plan = &self.task.plan;
        let cursor = Cursor { record: self.reader.pass.cursor().record + block.records, ..block.end };
        let pass = Pass::resume(&plan.layout, cursor, block.past, plan.max_record_bytes);
        self.reader.skip_to(pass, self.out.counts, &block.stretches);
        Ok(block.consumed)
    }

    fn finish(self) -> Result<Rows, FailureReason> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
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
