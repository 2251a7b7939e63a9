//! What a run wrote: the files that its steps committed, in the order of the uploaded file.

use super::{Plan, chain::PLAN};
use crate::{
    ids::RunId,
    source::Key,
    store::{self, Store},
};

/// Which of a run's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Processed,
    Failed,
}

/// One output: its header line, then the parts one after the other.
#[derive(Clone, Debug)]
pub struct Outputs {
    pub header: Vec<u8>,
    pub parts: Vec<Key>,
}

/// The output of `run`; None if it has no plan, because it never got that far or is not ours.
pub async fn of(store: &Store, run: &RunId, which: Which) -> store::Result<Option<Outputs>> {
    let steps = store.steps(run).await?;
    let Some(plan) = steps.iter().find(|step| step.name == PLAN) else { return Ok(None) };
    let plan: Plan = serde_json::from_str(&plan.result)
        .map_err(|why| store::Error::Corrupt { table: "step", why: format!("plan of {run}: {why}") })?;
    let header = match which {
        Which::Processed => plan.layout.processed_header(),
        Which::Failed => plan.layout.failed_header(),
    };
    let files = steps.into_iter().filter_map(|step| match which {
        Which::Processed => step.files.processed,
        Which::Failed => step.files.failed,
    });
    Ok(Some(Outputs { header, parts: files.map(Key::from_stored).collect() }))
}
