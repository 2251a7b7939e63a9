//! A step of rows: reads a part of a file's records and writes the outputs.

mod ahead;
mod parts;
mod reader;

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    mem,
    num::NonZero,
    sync::Arc,
    thread,
};

use self::{
    ahead::{BlockResult, Blocks, Closing, FileBlock},
    parts::Parts,
    reader::Reader,
};
use super::{failure::FailureReason, plan::open};
use crate::{
    base::ids::RunId,
    csv::{Counts, Cursor, Notes, Output, Pass, Past, Reasons, Stretches, likely_records},
    files::{Key, Storage},
    progress::RunProgress,
    results::Plan,
    store::{quota::Reservation, steps::StepFiles},
};

/// How many bytes are read at once. Progress is reported, and a request to stop noticed, after each block.
const BLOCK: usize = 1 << 20;

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
    /// The user's reserved quota. None: there is no limit.
    pub(super) reservation: Option<Reservation>,
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
    /// finished no record, and leaves no file.
    pub(super) fn run(mut self) -> Result<Rows, FailureReason> {
        let reservation = self.reservation.take();
        let plan = &self.plan;
        let stop = self.start.byte.saturating_add(plan.step_bytes_at(self.start.byte, self.position));
        let mut file = open(&self.storage, &Key::from_stored(plan.source.clone()))?;
        file.seek(SeekFrom::Start(self.start.byte))?;
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let helpers = self.idle.min(cores - 1).min(MOST_HELPERS);
        let blocks = Blocks::new(plan, stop);
        self.progress.begin_reading(self.before, self.start.byte);
        let pass = Pass::resume(&plan.layout, self.start, self.past, plan.max_record_bytes);
        let mut step = StepReader {
            task: &self,
            file: Front { file, unread: plan.size - self.start.byte, carry: Vec::new(), next: None },
            stop,
            blocks: (helpers > 0).then_some((&blocks, helpers)),
            reader: Reader::new(pass, plan.size),
            buffer: Vec::new(),
            eof: false,
            failure: None,
            needs_more: true,
            out: Output::default(),
            parts: Parts::new(&self.storage, &self.run),
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
    file: Front,
    stop: u64,
    /// Blocks that are read ahead, and by how many threads. None: there are no idle cores.
    blocks: Option<(&'t Blocks<'t>, usize)>,
    reader: Reader<'t>,
    /// The bytes behind the cursor that were taken from the file.
    buffer: Vec<u8>,
    /// They reach the end of the file.
    eof: bool,
    /// Why the file could not be read behind the blocks.
    failure: Option<FailureReason>,
    needs_more: bool,
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
            None => self.reader.read(&self.buffer, self.eof, self.stop, &mut self.out),
        };
        self.buffer.drain(..consumed);
        if let Some(reservation) = &mut self.reservation {
            reservation.take(self.out.bytes())?;
        }
        self.parts.write(&mut self.out)?;
        self.reader.look_at_clock();
        let pass = &self.reader.pass;
        let byte = pass.cursor().byte;
        if pass.at_boundary() {
            self.done.update(&self.out, &self.reader);
            self.parts.mark();
        }
        if let Some(mut stretches) = self.task.stretches_before.clone() {
            stretches.add(&self.done.stretches);
            self.task.progress.set_stretches(stretches);
        }
        self.task.progress.advance(self.task.before.plus(self.done.counts), byte);
        self.needs_more = consumed == 0 || self.buffer.len() < BLOCK;
        Ok(!(self.eof && self.buffer.is_empty()) && (byte < self.stop || !pass.at_boundary()))
    }

    /// Appends the next bytes of the file to the buffer. Returns their records if they were read ahead.
    fn take_bytes(&mut self) -> Result<Option<Box<BlockResult>>, FailureReason> {
        let Some((blocks, helpers)) = self.blocks else {
            // An incomplete record is scanned again after each block. The blocks grow with the record, so
            // that a long record is not scanned too often.
            self.file.read(BLOCK.max(self.buffer.len() / 2), &mut self.buffer)?;
            self.eof = self.file.unread == 0;
            return Ok(None);
        };
        self.push_blocks(blocks, helpers)?;
        let Some((block, ahead)) = blocks.take() else { return Ok(None) };
        let cursor = self.reader.pass.cursor();
        let is_next = self.buffer.is_empty()
            && (block.start.byte, block.start.line) == (cursor.byte, cursor.line)
            && self.reader.pass.past().is_nothing()
            && self.reader.pass.at_boundary();
        self.buffer.extend_from_slice(&block.bytes);
        self.eof = block.eof;
        let ahead = ahead.filter(|_| is_next);
        if ahead.is_none() {
            // The blocks behind it were cut where no record ends.
            self.file.next = None;
        }
        Ok(ahead)
    }

    /// Gives the threads something to read.
    fn push_blocks(&mut self, blocks: &Blocks<'_>, helpers: usize) -> Result<(), FailureReason> {
        let pass = &self.reader.pass;
        while !self.file.is_at_end() {
            let waiting = blocks.count();
            if self.failure.is_some() {
                return if waiting > 0 { Ok(()) } else { self.failure.take().map_or(Ok(()), Err) };
            }
            if waiting == 0 && self.file.next.is_none() && pass.at_boundary() {
                self.file.give_back(&mut self.buffer, pass.cursor());
            }
            let is_ahead = self.file.next.is_some_and(|next| next.byte < self.stop) && waiting <= helpers;
            if waiting > 0 && !is_ahead {
                break;
            }
            let is_to_be_read = is_ahead && pass.past().is_nothing() && pass.at_boundary();
            match self.file.read_block(&self.task.plan) {
                Ok(block) => blocks.push(block, is_to_be_read),
                // First the blocks before it.
                Err(failure) if waiting > 0 => {
                    self.failure = Some(failure);
                    break;
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    /// Takes the records of a block. Returns their bytes.
    fn take_ahead(&mut self, ahead: BlockResult) -> usize {
        let BlockResult { out, stretches, end, past, consumed } = ahead;
        let plan = &self.task.plan;
        let cursor = Cursor { record: self.reader.pass.cursor().record + end.record, ..end };
        self.out.follow_with(out);
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

/// The part of the file that was not read yet.
struct Front {
    file: File,
    unread: u64,
    /// The bytes behind the last block.
    carry: Vec<u8>,
    /// Where the next block begins. None: it is not known which line that is.
    next: Option<Cursor>,
}

impl Front {
    fn is_at_end(&self) -> bool {
        self.unread == 0 && self.carry.is_empty()
    }

    /// Appends the next bytes, at most `length`.
    fn read(&mut self, length: usize, buffer: &mut Vec<u8>) -> Result<(), FailureReason> {
        let length = self.unread.min(length as u64);
        buffer.reserve_exact(usize::try_from(length).unwrap_or(usize::MAX));
        let read = (&mut self.file).take(length).read_to_end(buffer)?;
        self.unread -= length;
        if read as u64 == length {
            Ok(())
        } else {
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stored file is shorter than planned")
                .into())
        }
    }

    /// Takes the bytes behind the cursor back, after which the next block begins there.
    fn give_back(&mut self, buffer: &mut Vec<u8>, cursor: Cursor) {
        buffer.append(&mut self.carry);
        mem::swap(buffer, &mut self.carry);
        self.next = Some(Cursor { record: 0, ..cursor });
    }

    /// The next block, which ends where a record most likely ends.
    fn read_block(&mut self, plan: &Plan) -> Result<FileBlock, FailureReason> {
        let mut bytes = mem::take(&mut self.carry);
        self.read(BLOCK, &mut bytes)?;
        let eof = self.unread == 0;
        let Some(start) = self.next.take() else {
            return Ok(FileBlock { bytes, start: plan.layout.start, eof });
        };
        if !eof && let Some((records, line_ends)) = likely_records(&plan.layout.dialect, &bytes) {
            let length = records.len();
            self.next = Some(start.behind(length, line_ends));
            self.carry = bytes.split_off(length);
        }
        Ok(FileBlock { bytes, start, eof })
    }
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
