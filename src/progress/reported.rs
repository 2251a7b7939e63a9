//! Reported runs, within a common memory limit.

use std::{ops::Deref, sync::Arc};

use serde_json::Value;

use crate::{
    base::limits::{ByteBudget, HeldBytes},
    inngest::Run,
};

/// The most bytes of all reported runs that are not recorded yet.
const MOST_BYTES: usize = 32 << 20;
/// The memory of an entry of a JSON object besides its key and value.
const ENTRY_BYTES: usize = 48;

/// A reported run. Its memory is released when the last reader drops it.
#[derive(Debug)]
pub struct ReportedRun {
    run: Run,
    bytes: usize,
    _held: HeldBytes,
}

impl ReportedRun {
    /// Its size in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Deref for ReportedRun {
    type Target = Run;

    fn deref(&self) -> &Run {
        &self.run
    }
}

impl PartialEq for ReportedRun {
    fn eq(&self, other: &Self) -> bool {
        self.run == other.run
    }
}

/// The memory for reported runs.
#[derive(Clone, Debug)]
pub(super) struct ReportBudget(ByteBudget);

impl Default for ReportBudget {
    fn default() -> Self {
        Self(ByteBudget::new(MOST_BYTES, MOST_BYTES))
    }
}

impl ReportBudget {
    /// Keeps `run`. None if it does not fit.
    pub(super) fn keep(&self, run: Run) -> Option<Arc<ReportedRun>> {
        let words = [run.run_id.as_str(), &run.function_id, run.event_id.as_str(), run.status.as_str()];
        let words = words.into_iter().chain(run.function_name.as_deref()).map(str::len).sum::<usize>();
        let bytes = size_of::<ReportedRun>() + words + run.output.as_ref().map_or(0, heap_bytes);
        let mut held = self.0.hold(None);
        held.grow(bytes).ok()?;
        Some(Arc::new(ReportedRun { run, bytes, _held: held }))
    }
}

/// The memory of a value beyond its own size.
fn heap_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(|value| size_of::<Value>() + heap_bytes(value)).sum(),
        Value::Object(entries) => entries
            .iter()
            .map(|(key, value)| ENTRY_BYTES + size_of::<Value>() + key.len() + heap_bytes(value))
            .sum(),
    }
}
