//! Which step comes next.

use serde::{Deserialize, Serialize};

use super::{failure::Failure, plan::Plan};
use crate::{
    csv::{Counts, Cursor},
    inngest::call::{Call, Op, step_id},
    store::steps::Step,
};

/// The name of the first step.
pub(super) const PLAN: &str = "plan";

/// The name of the step of rows at `position`; the plan is at 0.
pub(super) fn rows(position: u32) -> String {
    format!("rows-{position}")
}

/// The result of a step of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RowsResult {
    #[serde(flatten)]
    pub(super) counts: Counts,
    /// Behind the step's last record.
    pub(super) cursor: Cursor,
}

/// What a call is for.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// A step that is done, and that the engine does not know of.
    Tell(Step),
    Plan,
    Rows {
        plan: Plan,
        position: u32,
        start: Cursor,
    },
    /// The end of the file is reached, and the engine knows all steps.
    Done,
}

/// What `call` is for, after the steps that are done, in order.
pub(super) fn next(done: &[Step], call: &Call) -> Result<Next, Failure> {
    // Of a state over 4 MB the engine sends no steps. Ours stay far below, so that it was the event, and
    // then the steps that are done are taken to be known.
    let is_told = |name: &str| call.use_api || call.steps.contains_key(&step_id(name));
    if let Some(step) = done.iter().find(|step| !is_told(&step.name)) {
        return Ok(Next::Tell(step.clone()));
    }
    let (name, next) = match done {
        [] => (PLAN.to_owned(), Next::Plan),
        [first, others @ ..] => {
            let plan = Plan::from_result(&first.result)?;
            let (last, start) = match others.last() {
                Some(rows) => (rows, serde_json::from_str::<RowsResult>(&rows.result)?.cursor),
                None => (first, plan.layout.start),
            };
            if start.byte >= plan.size {
                return Ok(Next::Done);
            }
            let position = last.position + 1;
            (rows(position), Next::Rows { plan, position, start })
        }
    };
    // The engine knows of a step that we do not: the database is another one, or an older one.
    if call.steps.contains_key(&step_id(&name)) { Err(Failure::WorkGone) } else { Ok(next) }
}

/// What the engine is told of a step that is done.
pub(super) fn op(step: &Step) -> Result<Op, Failure> {
    let data = match step.name.as_str() {
        PLAN => Plan::from_result(&step.result)?.answer(),
        _ => serde_json::from_str(&step.result)?,
    };
    Ok(Op::step_run(&step.name, data))
}
