//! What a run found in its file: why records failed, problems of the header, its first rows, and the reading
//! speed by position.

use super::{Plan, outputs};
use crate::{
    base::ids::RunId,
    csv::{FirstRows, HeaderAt, Notes, ReadAs, Reasons, Stretches},
    store::{self, Store, last_choices::HeaderHash, steps::Remarks},
};

/// The findings of the finished steps of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// They add up to the failed records of these steps.
    pub reasons: Reasons,
    /// How the file is read. None if an earlier version planned that.
    pub read_as: Option<ReadAs>,
    /// What was left out of the file, repaired in it or noticed about it: in its front and in all records.
    pub notes: Notes,
    /// The header; None if the file has none, or an earlier version planned the run.
    pub header: Option<HeaderHash>,
    /// The names that several columns have, each with the number of its columns.
    pub repeated_names: Vec<(String, usize)>,
    /// None if an earlier version read the file.
    pub first_rows: Option<FirstRows>,
    /// None if an earlier version read any part of the file.
    pub stretches: Option<Stretches>,
    /// The size of the file as it was copied from elsewhere; None for an upload that was read as it came.
    pub copied_bytes: Option<u64>,
}

/// The findings of `run`. Empty if it has no plan, because it did not get that far or is not ours.
pub async fn of(store: &Store, run: &RunId) -> store::Result<Findings> {
    let steps = store.steps(run).await?;
    let Some(plan) = outputs::plan(run, &steps)? else { return Ok(Findings::default()) };
    let Remarks { reasons, notes: of_records } = store.remarks(run).await?;
    let mut notes = plan.reading.as_ref().map(|reading| reading.notes.clone()).unwrap_or_default();
    notes.append(&of_records);
    Ok(Findings {
        reasons,
        read_as: plan.read_as(),
        notes,
        header: header_of(&plan),
        repeated_names: plan.layout.repeated_names(),
        first_rows: plan.first_rows,
        copied_bytes: steps.iter().find(|step| step.files.source.is_some()).map(|step| step.files.bytes),
        stretches: Stretches::sum(steps.into_iter().map(|step| (step.counts, step.stretches))),
    })
}

/// The header of the file that `run` reads. None if it has none, or is not planned.
pub async fn header(store: &Store, run: &RunId) -> store::Result<Option<HeaderHash>> {
    let steps = store.steps(run).await?;
    Ok(outputs::plan(run, &steps)?.as_ref().and_then(header_of))
}

fn header_of(plan: &Plan) -> Option<HeaderHash> {
    let reading = plan.reading.as_ref()?;
    (reading.header.value != HeaderAt::None).then(|| HeaderHash::of(&plan.layout.header))
}
