//! The outputs of a run: the files that its steps committed, in the order of the uploaded file.

use std::io;

use crate::{
    base::{ids::RunId, time::UnixMillis},
    csv::{Dialect, Encoding, Layout, Reading, SheetRead},
    files::{Key, Storage},
    results::{PLAN, Plan},
    store::{self, Store, steps::Step},
};

/// The output to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Processed,
    Failed,
}

/// One output: its header line, then its parts in order. A part never changes.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// Empty if the first part begins with it.
    pub header: Vec<u8>,
    pub parts: Vec<Key>,
    /// The original bytes of the failed records, if this is about them.
    pub(super) raw: Option<Vec<Key>>,
    /// Of the file that came in.
    pub(super) dialect: Dialect,
    pub encoding: Encoding,
    /// When the last step was committed.
    pub committed_at: UnixMillis,
}

/// The original failed records of a run. After the front of their file they form a CSV file.
#[derive(Clone, Debug)]
pub struct FailedRecords {
    /// The file that the run read.
    pub source: Key,
    /// How the run read it. The records follow its front, which ends where the search for the first record begins.
    pub layout: Layout,
    /// None if an earlier version read it.
    pub reading: Option<Reading>,
    /// Of a workbook.
    pub sheet: Option<SheetRead>,
    /// The records' original bytes. Each record ends with its line end; the last may have none.
    pub parts: Vec<Key>,
    /// The same records as lines of `failed.csv`.
    pub(super) lines: Vec<Key>,
    /// The bytes in front of them in the first of these files.
    pub(super) header_bytes: u64,
    pub(super) max_record_bytes: usize,
}

impl FailedRecords {
    /// The size of the CSV file that they form with the front. An error means that a stored file is missing.
    pub async fn size(&self, storage: &Storage) -> io::Result<u64> {
        storage.size(&self.source).await?;
        Ok(self.layout.start.byte + storage.segments(&self.parts).await?.length())
    }
}

/// The output of `run`. None if it has no plan, because it did not get that far or is not ours.
pub async fn of(store: &Store, run: &RunId, which: Which) -> store::Result<Option<Outputs>> {
    let steps = store.steps(run).await?;
    let Some(plan) = plan(run, &steps)? else { return Ok(None) };
    let committed_at = steps.iter().map(|step| step.committed_at).max().unwrap_or(UnixMillis(0));
    let encoding = plan.reading.map_or(Encoding::UTF_8, |reading| reading.encoding.value);
    let (mut parts, mut raw) = (Vec::new(), Vec::new());
    for files in steps.into_iter().map(|step| step.files) {
        parts.extend(match which {
            Which::Processed => files.processed,
            Which::Failed => files.failed,
        });
        raw.extend(files.raw);
    }
    let header = match which {
        _ if plan.has_headers_in_parts && !parts.is_empty() => Vec::new(),
        Which::Processed => plan.layout.processed_header(),
        Which::Failed => plan.layout.failed_header(),
    };
    let keys = |names: Vec<String>| names.into_iter().map(Key::from_stored).collect();
    Ok(Some(Outputs {
        header,
        parts: keys(parts),
        raw: (which == Which::Failed).then(|| keys(raw)),
        dialect: plan.layout.dialect_as_read(),
        encoding,
        committed_at,
    }))
}

/// The failed records of the finished steps of `run`. None if there are none, or the run is not ours.
pub async fn failed_records(store: &Store, run: &RunId) -> store::Result<Option<FailedRecords>> {
    let steps = store.steps(run).await?;
    let Some(plan) = plan(run, &steps)? else { return Ok(None) };
    // A step writes both or neither.
    let files = steps.into_iter().filter_map(|step| step.files.raw.zip(step.files.failed));
    let (parts, lines): (Vec<Key>, Vec<Key>) =
        files.map(|(raw, failed)| (Key::from_stored(raw), Key::from_stored(failed))).unzip();
    let header_bytes = plan.failed_header_bytes();
    let Plan { source, layout, reading, sheet, max_record_bytes, .. } = plan;
    let source = Key::from_stored(source);
    let records =
        FailedRecords { source, layout, reading, sheet, parts, lines, header_bytes, max_record_bytes };
    Ok((!records.parts.is_empty()).then_some(records))
}

/// The plan of a run, once that step is finished.
pub(super) fn plan(run: &RunId, steps: &[Step]) -> store::Result<Option<Plan>> {
    let Some(step) = steps.iter().find(|step| step.name == PLAN) else { return Ok(None) };
    let plan = serde_json::from_str(&step.result)
        .map_err(|why| store::Error::Corrupt { table: "step", why: format!("plan of {run}: {why}") })?;
    Ok(Some(plan))
}
