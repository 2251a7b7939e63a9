//! What a run found in its file: why records failed, what is odd about the header, its first rows, and how
//! fast it was read where.

use super::outputs;
use crate::{
    base::ids::RunId,
    csv::{FirstRows, Reasons, Stretches},
    store::{self, Store},
};

/// What the finished steps of a run found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// They add up to the failed records of these steps.
    pub reasons: Reasons,
    /// The names that several columns have, each with the number of its columns.
    pub repeated_names: Vec<(String, usize)>,
    /// None in what the version before has read.
    pub first_rows: Option<FirstRows>,
    /// None also if it has read but a part.
    pub stretches: Option<Stretches>,
}

/// The findings of `run`; none at all if it has no plan, because it never got that far or is not ours.
pub async fn of(store: &Store, run: &RunId) -> store::Result<Findings> {
    let steps = store.steps(run).await?;
    let Some(plan) = outputs::plan(run, &steps)? else { return Ok(Findings::default()) };
    Ok(Findings {
        reasons: store.reasons(run).await?,
        repeated_names: plan.layout.repeated_names(),
        first_rows: plan.first_rows,
        stretches: Stretches::sum(steps.into_iter().map(|step| (step.counts, step.stretches))),
    })
}
