//! The failed records of a run, page by page.

use std::{
    io::{self, BufReader, Seek, SeekFrom},
    mem,
};

use tokio::task::spawn_blocking;

use super::{Plan, outputs, outputs::FailedRecords};
use crate::{
    base::ids::RunId,
    csv::{CutRecord, FailedLine, FailedLines, Reasons},
    files::{Key, Storage, StoredFile},
    store::{self, Store},
};

/// A page ends after this many bytes of its records, because one of them may be as long as a record may be.
const PAGE_BYTES: u64 = 1 << 20;

/// How many bytes are read at once.
const BLOCK: usize = 64 << 10;

/// Where a page of failed records begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FailuresPlace {
    /// The number of the part, from 0.
    pub part: usize,
    /// The bytes of records before it in both files of the part: that of `failed.csv`, and that of the original bytes.
    pub failed_bytes: u64,
    pub raw_bytes: u64,
}

/// Consecutive failed records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailuresPage {
    pub records: Vec<FailedLine>,
    /// None if these are the last.
    pub next: Option<FailuresPlace>,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum FailuresError {
    /// No page begins there.
    #[error("no failed record is there")]
    NoSuchPlace,
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Storage(#[from] io::Error),
}

/// The files that a step has written about its failed records.
struct FailuresPart {
    failed: Key,
    raw: Key,
    /// The bytes of `failed` in front of the first record.
    header_bytes: u64,
}

/// At most `most` failed records of the finished steps of `run`, in the order of the file. None if it has no plan,
/// because it did not get that far or is not ours.
pub async fn page(
    store: &Store,
    storage: &Storage,
    run: &RunId,
    from: FailuresPlace,
    most: usize,
) -> Result<Option<FailuresPage>, FailuresError> {
    let steps = store.steps(run).await?;
    let Some(plan) = outputs::plan(run, &steps)? else { return Ok(None) };
    // A step writes both or neither.
    let parts = steps.into_iter().filter_map(|step| step.files.failed.zip(step.files.raw));
    let mut parts: Vec<FailuresPart> = parts
        .map(|(failed, raw)| {
            let [failed, raw] = [failed, raw].map(Key::from_stored);
            FailuresPart { failed, raw, header_bytes: 0 }
        })
        .collect();
    if let Some(first) = parts.first_mut() {
        first.header_bytes = plan.failed_header_bytes();
    }
    if parts.is_empty() && from == FailuresPlace::default() {
        return Ok(Some(FailuresPage::default()));
    }
    let storage = storage.clone();
    let reading = spawn_blocking(move || read(&storage, &plan, &parts, from, most));
    reading.await.map_err(io::Error::other)?.map(Some)
}

fn read(
    storage: &Storage,
    plan: &Plan,
    parts: &[FailuresPart],
    from: FailuresPlace,
    most: usize,
) -> Result<FailuresPage, FailuresError> {
    let (mut page, mut place, mut bytes) = (FailuresPage::default(), from, 0);
    let mut part = parts.get(place.part).ok_or(FailuresError::NoSuchPlace)?;
    loop {
        let (failed, length) =
            open(storage, &part.failed, place.failed_bytes.saturating_add(part.header_bytes))?;
        let (raw, _) = open(storage, &part.raw, place.raw_bytes)?;
        let mut lines = FailedLines::new(failed, raw, &plan.layout, plan.max_record_bytes);
        let (begins, bytes_before) = (place, bytes);
        while page.records.len() < most && bytes < PAGE_BYTES {
            let Some(line) = lines.next_line()? else { break };
            page.records.push(line);
            let (failed, raw) = lines.taken();
            bytes = bytes_before + failed + raw;
            (place.failed_bytes, place.raw_bytes) = (begins.failed_bytes + failed, begins.raw_bytes + raw);
        }
        if place.failed_bytes + part.header_bytes < length {
            page.next = Some(place);
            return Ok(page);
        }
        place = FailuresPlace { part: place.part + 1, ..FailuresPlace::default() };
        let Some(next) = parts.get(place.part) else { return Ok(page) };
        if page.records.len() >= most || bytes >= PAGE_BYTES {
            page.next = Some(place);
            return Ok(page);
        }
        part = next;
    }
}

/// The most records that a layout keeps: every step reads it.
const MOST_CUT: usize = 50_000;

impl FailedRecords {
    /// [`Layout::cut`](crate::csv::Layout::cut) of the CSV file that they form with the front; they failed for
    /// `reasons`. None once `is_stopped`. Blocks.
    pub fn cut(
        &self,
        storage: &Storage,
        reasons: &Reasons,
        is_stopped: impl Fn() -> bool,
    ) -> Result<Option<Vec<CutRecord>>, FailuresError> {
        let (mut cut, mut part_at) = (Vec::new(), self.layout.start.byte);
        if !self.layout.may_cut() || !reasons.may_leave_quotes_open() {
            return Ok(Some(cut));
        }
        let mut header_bytes = self.header_bytes;
        for (lines, raw) in self.lines.iter().zip(&self.parts) {
            let (lines, _) = open(storage, lines, mem::take(&mut header_bytes))?;
            let (raw, length) = open(storage, raw, 0)?;
            let mut lines = FailedLines::new(lines, raw, &self.layout, self.max_record_bytes);
            while cut.len() < MOST_CUT {
                if is_stopped() {
                    return Ok(None);
                }
                let (found, is_record) = lines.next_cut()?;
                if !is_record {
                    break;
                }
                cut.extend(found.map(|found| CutRecord {
                    start: part_at + found.start,
                    end: part_at + found.end,
                    ..found
                }));
            }
            part_at += length;
        }
        Ok(Some(cut))
    }
}

/// A stored file from the byte `from` on, and its length.
fn open(storage: &Storage, key: &Key, from: u64) -> Result<(BufReader<StoredFile>, u64), FailuresError> {
    let mut file = storage.file(key)?;
    let length = file.length();
    if from > length {
        return Err(FailuresError::NoSuchPlace);
    }
    file.seek(SeekFrom::Start(from))?;
    Ok((BufReader::with_capacity(BLOCK, file), length))
}
