//! A step of rows: reads a part of a file's records and writes the outputs.

use std::{
    io::{self, Read, Seek, SeekFrom},
    sync::Arc,
    time::Instant,
};

use super::{failure::FailureReason, plan::open};
use crate::{
    base::ids::RunId,
    csv::{Counts, Cursor, Notes, Output, Pass, Past, Reasons, Stretches},
    files::{Key, OutputFile, Storage},
    progress::RunProgress,
    results::Plan,
    store::{quota::Reservation, steps::StepFiles},
};

/// How many bytes are read at once. Progress is reported, and a request to stop noticed, after each block.
const BLOCK: usize = 1 << 20;

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
    pub(super) fn run(self) -> Result<Rows, FailureReason> {
        let Self { storage, progress, run, plan, position, start, past, before, stretches_before, .. } = self;
        let mut reservation = self.reservation;
        let stop = start.byte.saturating_add(plan.step_bytes_at(start.byte, position));
        let mut file = open(&storage, &Key::from_stored(plan.source))?;
        file.seek(SeekFrom::Start(start.byte))?;
        let mut unread = plan.size - start.byte;
        let mut reader =
            Reader::new(Pass::resume(&plan.layout, start, past, plan.max_record_bytes), plan.size);
        let mut buffer = Vec::new();
        let mut out = Output::default();
        let mut parts = Parts::new(&storage, &run);
        let mut done = Done {
            counts: Counts::default(),
            reasons: Reasons::default(),
            notes: Notes::default(),
            end: start,
            past,
            stretches: Stretches::new(plan.size),
        };
        progress.begin_reading(before, start.byte);
        let mut needs_more = true;
        let mut read_block = |done: &mut Done| {
            if progress.is_stopped() {
                return Err(FailureReason::Stopped);
            }
            if needs_more {
                // An incomplete record is scanned again after each block. The blocks grow with the record, so
                // that a long record is not scanned too often.
                let block = unread.min(BLOCK.max(buffer.len() / 2) as u64);
                append(&mut file, block, &mut buffer)?;
                unread -= block;
            }
            let consumed = reader.read(&buffer, unread == 0, stop, &mut out);
            buffer.drain(..consumed);
            if let Some(reservation) = &mut reservation {
                reservation.take(out.bytes())?;
            }
            parts.write(&mut out)?;
            reader.look_at_clock();
            let byte = reader.pass.cursor().byte;
            if reader.pass.at_boundary() {
                if out.counts.failed > done.counts.failed {
                    done.reasons.clone_from(&out.reasons);
                }
                done.notes.clone_from(&out.notes);
                (done.counts, done.end, done.past) = (out.counts, reader.pass.cursor(), reader.pass.past());
                done.stretches.clone_from(&reader.stretches);
                parts.mark();
            }
            if let Some(mut stretches) = stretches_before.clone() {
                stretches.add(&done.stretches);
                progress.set_stretches(stretches);
            }
            progress.advance(before.plus(done.counts), byte);
            needs_more = consumed == 0 || buffer.len() < BLOCK;
            Ok((unread > 0 || !buffer.is_empty()) && (byte < stop || !reader.pass.at_boundary()))
        };
        loop {
            match read_block(&mut done) {
                Ok(true) => {}
                Ok(false) => break,
                Err(failure) if done.end == start => return Err(failure),
                Err(failure) => {
                    tracing::warn!(%run, line = done.end.line, ?failure, "a step ends early: {failure}");
                    break;
                }
            }
        }
        let Done { counts, reasons, notes, end, past, stretches } = done;
        let files = parts.finish()?;
        Ok(Rows { counts, reasons, notes, end, past, files, stretches, reservation })
    }
}

/// Reads records, and measures where in the file they are and how long they took.
struct Reader<'l> {
    pass: Pass<'l>,
    stretches: Stretches,
    /// The last record boundary, and the records before it.
    boundary: (u64, Counts),
    /// When the time was last taken, and the boundary at that time.
    clock: (Instant, u64),
}

impl<'l> Reader<'l> {
    fn new(pass: Pass<'l>, file_bytes: u64) -> Self {
        let start = pass.cursor().byte;
        Self {
            pass,
            stretches: Stretches::new(file_bytes),
            boundary: (start, Counts::default()),
            clock: (Instant::now(), start),
        }
    }

    /// As [`Pass::read`], one stretch at a time.
    fn read(&mut self, input: &[u8], eof: bool, stop: u64, out: &mut Output) -> usize {
        let mut consumed = 0;
        loop {
            let (from, counts) = self.boundary;
            let until = self.stretches.end_of(from).min(stop);
            let taken = self.pass.read(&input[consumed..], eof, until, out);
            consumed += taken;
            let byte = self.pass.cursor().byte;
            if self.pass.at_boundary() {
                // All of them begin in the stretch of `from`, even if the last one ends far behind it.
                let processed = out.counts.processed - counts.processed;
                let failed = out.counts.failed - counts.failed;
                self.stretches.count(from, Counts { processed, failed });
                self.boundary = (byte, out.counts);
            }
            let is_stretch_over = self.pass.at_boundary() && byte >= until;
            if !is_stretch_over || byte >= stop || taken == 0 || out.is_full() {
                return consumed;
            }
        }
    }

    /// Adds the time since the last call to the stretches that were read in between.
    fn look_at_clock(&mut self) {
        let ((since, from), (to, _)) = (self.clock, self.boundary);
        if to > from {
            let now = Instant::now();
            let micros = now.duration_since(since).as_micros();
            self.stretches.spend(from, to, u64::try_from(micros).unwrap_or(u64::MAX));
            self.clock = (now, to);
        }
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

/// Appends the next `length` bytes of `file`.
fn append(file: &mut impl Read, length: u64, buffer: &mut Vec<u8>) -> Result<(), FailureReason> {
    buffer.reserve_exact(usize::try_from(length).unwrap_or(usize::MAX));
    let read = file.take(length).read_to_end(buffer)?;
    if read as u64 == length {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stored file is shorter than planned").into())
    }
}

/// The outputs of a step. Each file is created with its first byte, because most steps have no failed record.
struct Parts<'s> {
    storage: &'s Storage,
    run: &'s RunId,
    processed: Option<Part>,
    failed: Option<Part>,
    raw: Option<Part>,
}

struct Part {
    file: OutputFile,
    /// How many bytes of it belong to finished records.
    finished: u64,
}

impl<'s> Parts<'s> {
    fn new(storage: &'s Storage, run: &'s RunId) -> Self {
        Self { storage, run, processed: None, failed: None, raw: None }
    }

    /// Writes the bytes in `out` and clears them. Fails if the disk would not keep the reserve that the
    /// database needs.
    fn write(&mut self, out: &mut Output) -> io::Result<()> {
        self.storage.ensure_room()?;
        let parts = [
            (&mut self.processed, &mut out.processed),
            (&mut self.failed, &mut out.failed),
            (&mut self.raw, &mut out.raw),
        ];
        for (part, bytes) in parts {
            if bytes.is_empty() {
                continue;
            }
            let part = match part {
                Some(part) => part,
                None => part.insert(Part { file: self.storage.create_output(self.run)?, finished: 0 }),
            };
            part.file.write(bytes)?;
            bytes.clear();
        }
        Ok(())
    }

    /// Marks everything written as belonging to finished records.
    fn mark(&mut self) {
        for part in [&mut self.processed, &mut self.failed, &mut self.raw].into_iter().flatten() {
            part.finished = part.file.written();
        }
    }

    /// Keeps the bytes of finished records; removes the file if there are none.
    fn finish(mut self) -> io::Result<StepFiles> {
        for part in [&mut self.processed, &mut self.failed, &mut self.raw] {
            drop(part.take_if(|part| part.finished == 0));
            if let Some(part) = part {
                part.file.truncate(part.finished)?;
                part.file.sync()?;
            }
        }
        let parts = [&self.processed, &self.failed, &self.raw];
        let bytes = parts.into_iter().flatten().map(|part| part.finished).sum();
        let keep = |part: Part| part.file.keep().as_str().to_owned();
        Ok(StepFiles {
            source: None,
            processed: self.processed.map(keep),
            failed: self.failed.map(keep),
            raw: self.raw.map(keep),
            bytes,
        })
    }
}
