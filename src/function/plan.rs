//! The first step: determines how the file is read by all later steps.

use std::{
    io::{self, Seek, SeekFrom},
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::{Value, json};

use super::failure::FailureReason;
use crate::{
    base::time::UnixMillis,
    csv::{
        Choices, Encoding, FirstRows, Layout, LayoutError, Output, Part, Pass, ReadBefore, Reading,
        SheetRead, ToUtf8, detect, detect_cells,
    },
    files::{Address, Key, Storage, StoredFile, TextKind},
    results::Plan,
    store::steps::Step,
};

/// The version of the reader that a plan was made for. Must be incremented when the same bytes would give
/// other records for the same layout.
const READER_VERSION: u32 = 4;

/// The reader of version 1 read every file as the plain reading, and those of versions 2 and 3 knew fewer rules. The
/// layouts of their plans say so (`repairs`, `reader_3`, `reader_4`).
const OLDEST_READER_VERSION: u32 = 1;

/// How long a run waits for a replica with the reader that planned it, during a rolling restart.
const NEWER_READER_WITHIN: Duration = Duration::from_secs(15 * 60);

/// How many bytes of a file are examined first. A longer header needs more.
const SAMPLE: u64 = 512 << 10;

/// How many bytes are decoded at once.
const DECODED_AT_ONCE: u64 = 64 << 10;

/// The longest header in bytes: its names are stored in the plan, which every step reads.
const MOST_HEADER: usize = 1 << 20;

/// A run has fewer than 500 steps, whatever the file's size: Inngest allows 1,000, and each step costs a
/// call.
const MOST_STEPS: u64 = 400;

/// What the plans of all readers have.
#[derive(Deserialize)]
struct OfReader {
    reader_version: u32,
}

impl Plan {
    /// Plans from the front of the stored file `source`. Blocks.
    pub(super) fn make(
        storage: &Storage,
        source: &Key,
        file: ToPlan,
        max_record_bytes: usize,
        step_bytes: &RangeInclusive<u64>,
    ) -> Result<Self, FailureReason> {
        let front = Front::read(open(storage, source)?, file, max_record_bytes)?;
        let Front { size, layout, reading, sheet, first_rows, sample, is_whole } = front;
        let rate = bytes_per_second(&layout, &sample, is_whole, max_record_bytes);
        Ok(Self {
            source: source.as_str().to_owned(),
            size,
            reading,
            sheet,
            layout,
            max_record_bytes,
            step_bytes: step_size(rate, size, step_bytes),
            reader_version: READER_VERSION,
            first_rows: Some(first_rows),
            has_headers_in_parts: storage.has_direct_links(),
        })
    }

    /// The plan that a step has committed.
    pub(super) fn from_step(step: &Step) -> Result<Self, FailureReason> {
        let parsed = serde_json::from_str::<Self>(&step.result);
        let version = match &parsed {
            Ok(plan) => plan.reader_version,
            // That of a newer reader may have another form.
            Err(_) => serde_json::from_str::<OfReader>(&step.result).map_or(0, |plan| plan.reader_version),
        };
        if version > READER_VERSION && UnixMillis::now().since(step.committed_at) < NEWER_READER_WITHIN {
            return Err(FailureReason::NewerReader);
        }
        if version > READER_VERSION {
            return Err(FailureReason::OtherReader);
        }
        let plan = parsed?;
        if version < OLDEST_READER_VERSION { Err(FailureReason::OtherReader) } else { Ok(plan) }
    }

    /// How many bytes the step at `position` (0, 1, ...) that begins at `byte` reads. If earlier steps ended
    /// early, for example on a full disk, later ones become larger, which bounds the number of steps.
    pub(super) fn step_bytes_at(&self, byte: u64, position: u32) -> u64 {
        let steps_left = MOST_STEPS.saturating_sub(u64::from(position)).max(1);
        self.step_bytes.max(self.size.saturating_sub(byte).div_ceil(steps_left))
    }

    /// The result for the engine: without the header, which may be megabytes, and without rows, which the
    /// engine has no need to know.
    pub(super) fn answer(&self) -> Value {
        json!({ "bytes": self.size, "columns": self.layout.header.len(), "stepBytes": self.step_bytes })
    }
}

/// What is known of a file to plan, or of which the front is looked at.
pub(super) struct ToPlan {
    /// The address that it was fetched from.
    pub(super) from: Option<Address>,
    /// The encoding of the file that came in.
    pub(super) encoding: Part<Encoding>,
    /// Its copy in UTF-8 is stored. Otherwise its front is decoded here.
    pub(super) is_decoded: bool,
    /// The file holds the cells of this sheet.
    pub(super) sheet: Option<SheetRead>,
    /// They are obeyed.
    pub(super) choices: Choices,
    /// The file holds failed records of another run, which are read as that run has read them.
    pub(super) read_before: Option<ReadBefore>,
}

/// The front of a stored file, and how it is read.
pub(super) struct Front {
    /// Of the whole file, in bytes.
    pub(super) size: u64,
    pub(super) layout: Layout,
    /// None if an earlier version determined it.
    pub(super) reading: Option<Reading>,
    /// Of a workbook.
    pub(super) sheet: Option<SheetRead>,
    pub(super) first_rows: FirstRows,
    sample: Vec<u8>,
    /// The sample is the whole file.
    is_whole: bool,
}

impl Front {
    /// Blocks.
    pub(super) fn read(
        mut file: StoredFile,
        known: ToPlan,
        max_record_bytes: usize,
    ) -> Result<Self, FailureReason> {
        let ToPlan { from, encoding, is_decoded, sheet, choices, read_before } = known;
        let size = file.length();
        let mut decoder = (!is_decoded).then(|| ToUtf8::new(encoding.value));
        let mut wanted = SAMPLE;
        let mut sample = Vec::new();
        let mut is_whole = read_up_to(wanted, &mut file, decoder.as_mut(), &mut sample)?;
        let max_header_bytes = max_record_bytes.min(MOST_HEADER);
        let (layout, reading, sheet) = if let Some(ReadBefore { layout, reading, sheet }) = read_before {
            let wanted = layout.start.byte.saturating_add(SAMPLE);
            is_whole = read_up_to(wanted, &mut file, decoder.as_mut(), &mut sample)?;
            (layout, reading, sheet)
        } else {
            // Before the header is searched for, because a file that is not a CSV may have endless lines.
            let end = if is_decoded && !is_whole { Some(end_of(&mut file, size)?) } else { None };
            // A cell may hold any text.
            if sheet.is_none()
                && let Some(kind) = TextKind::sniff_binary(&sample)
            {
                return Err(FailureReason::NotCsv { kind, from });
            }
            if sheet.is_none()
                && (is_whole || end.is_some())
                && let Some(kind) = TextKind::sniff(&sample, end.as_deref())
            {
                return Err(FailureReason::NotCsv { kind, from });
            }
            loop {
                let detected = match &sheet {
                    Some(_) => detect_cells(&sample, is_whole, &choices, max_header_bytes),
                    None => detect(&sample, is_whole, encoding, &choices, max_header_bytes),
                };
                match detected {
                    Ok((layout, reading)) => break (layout, Some(reading), sheet),
                    Err(LayoutError::NeedMore) if !is_whole => wanted *= 2,
                    Err(error) => return Err(FailureReason::of_header(error, &sample)),
                }
                is_whole = read_up_to(wanted, &mut file, decoder.as_mut(), &mut sample)?;
            }
        };
        if layout.header.is_empty() {
            return Err(FailureReason::NoText);
        }
        let first_rows = FirstRows::read(&layout, &sample, is_whole, max_record_bytes);
        Ok(Self { size, layout, reading, sheet, first_rows, sample, is_whole })
    }
}

/// Extends `sample` until it has `wanted` bytes or the whole file; returns whether it is the whole file.
fn read_up_to(
    wanted: u64,
    file: &mut StoredFile,
    decoder: Option<&mut ToUtf8>,
    sample: &mut Vec<u8>,
) -> io::Result<bool> {
    let Some(decoder) = decoder else {
        let missing = wanted.saturating_sub(sample.len() as u64);
        file.append_to(sample, missing)?;
        return Ok((sample.len() as u64) < wanted);
    };
    let mut block = Vec::new();
    while (sample.len() as u64) < wanted {
        block.clear();
        let read = file.append_to(&mut block, DECODED_AT_ONCE)?;
        decoder.decode(&block, read == 0, sample);
        if read == 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The last bytes of a file of `size` bytes. Leaves it positioned where it was.
fn end_of(file: &mut StoredFile, size: u64) -> io::Result<Vec<u8>> {
    let position = file.stream_position()?;
    let mut end = Vec::new();
    file.seek(SeekFrom::Start(size.saturating_sub(TextKind::END_BYTES)))?;
    file.append_to(&mut end, TextKind::END_BYTES)?;
    file.seek(SeekFrom::Start(position))?;
    Ok(end)
}

/// Opens a stored file that an import needs.
pub(super) fn open(storage: &Storage, source: &Key) -> Result<StoredFile, FailureReason> {
    storage.file(source).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => FailureReason::FileGone,
        _ => error.into(),
    })
}

/// How fast this machine reads such a file.
fn bytes_per_second(layout: &Layout, sample: &[u8], is_whole: bool, max_record_bytes: usize) -> u64 {
    let start = usize::try_from(layout.start.byte).unwrap_or(usize::MAX);
    let records = sample.get(start..).unwrap_or_default();
    let mut pass = Pass::new(layout, layout.start, max_record_bytes);
    let begun = Instant::now();
    let read = pass.read(records, is_whole, u64::MAX, &mut Output::default());
    let nanos = begun.elapsed().as_nanos().max(1);
    u64::try_from(read as u128 * 1_000_000_000 / nanos).unwrap_or(u64::MAX)
}

/// The bytes of about a second of work, within `bounds`; more if there would be too many steps.
fn step_size(rate: u64, size: u64, bounds: &RangeInclusive<u64>) -> u64 {
    rate.clamp(*bounds.start(), *bounds.end()).max(size.div_ceil(MOST_STEPS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        csv::{Counts, Cursor, Past},
        function::{STEP_BYTES, chain::RowsResult},
    };

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    #[test]
    fn a_step_is_a_second_of_work_within_its_bounds() {
        assert_eq!(step_size(100 * MIB, GIB, &STEP_BYTES), 100 * MIB);
        assert_eq!(step_size(MIB, GIB, &STEP_BYTES), 16 * MIB);
        assert_eq!(step_size(GIB, GIB, &STEP_BYTES), 512 * MIB);
    }

    #[test]
    fn a_hundred_gigabytes_stay_far_below_inngests_limits() {
        let size = 100_000_000_000;
        let step = step_size(MIB, size, &STEP_BYTES);
        // Together with a fetch and a plan.
        assert!(size.div_ceil(step) + 2 < 500, "{step}");
        // Inngest's limits: 1,000 steps, 4 MB for the output of one, 32 MB for all. A call's state above 4 MB
        // must be fetched.
        let counts = Counts { processed: u64::MAX, failed: u64::MAX };
        let cursor = Cursor { byte: u64::MAX, line: u64::MAX, record: u64::MAX };
        let output = serde_json::to_string(&RowsResult { counts, cursor, past: Past::default() }).unwrap();
        assert!(output.len() * 1_000 < 4_000_000, "{output}");
    }

    #[test]
    fn steps_that_ended_early_are_made_up_for() {
        let mut plan = Plan {
            source: String::new(),
            size: 400 * GIB,
            reading: None,
            sheet: None,
            layout: Layout::read(b"a\n", true, 10).unwrap(),
            max_record_bytes: 10,
            step_bytes: GIB,
            reader_version: READER_VERSION,
            first_rows: None,
            has_headers_in_parts: false,
        };
        assert_eq!(plan.step_bytes_at(0, 0), GIB);
        assert_eq!(plan.step_bytes_at(0, 200), 2 * GIB);
        assert_eq!(plan.step_bytes_at(399 * GIB, 1_000), GIB);
        plan.size = 10;
        assert_eq!(plan.step_bytes_at(10, 0), GIB);
    }

    #[test]
    fn a_slow_machine_reads_a_big_file_in_few_steps_too() {
        let step = step_size(MIB, 1000 * GIB, &STEP_BYTES);
        assert!((1000 * GIB).div_ceil(step) <= MOST_STEPS, "{step}");
    }
}
