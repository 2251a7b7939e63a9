//! Determines the next step of a run.

use serde::{Deserialize, Serialize};

use super::failure::FailureReason;
use crate::{
    csv::{Counts, Cursor},
    files::Key,
    inngest::call::{Call, Op, step_id},
    results::{PLAN, Plan},
    store::steps::Step,
};

/// The name of the first step for a file on another server.
pub(super) const FETCH: &str = "fetch";

/// The name of the first step for an import of failed records.
pub(super) const FAILED_ROWS: &str = "failed-rows";

/// The name of a step of rows; `number` is 1, 2, ...
fn rows(number: u32) -> String {
    format!("rows-{number}")
}

/// The result of a step that copies a file to storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CopyResult {
    pub(super) bytes: u64,
}

/// The result of a step of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RowsResult {
    #[serde(flatten)]
    pub(super) counts: Counts,
    /// The position after the step's last record.
    pub(super) cursor: Cursor,
}

/// What a call must do.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// Report a committed step that the engine does not know about.
    Tell(Step),
    /// Do the very first step: copy a file or plan, depending on the event.
    First,
    /// Plan after the file was copied.
    Plan {
        source: Key,
        position: u32,
    },
    Rows {
        name: String,
        plan: Plan,
        position: u32,
        start: Cursor,
    },
    /// The end of the file is reached, and the engine knows about all steps.
    Done,
}

/// What `call` must do after the committed steps `done`, given in order.
pub(super) fn next(done: &[Step], call: &Call) -> Result<Next, FailureReason> {
    let is_told = |name: &str| call.steps.contains_key(&step_id(name));
    if let Some(step) = done.iter().find(|step| !is_told(&step.name)) {
        return Ok(Next::Tell(step.clone()));
    }
    let (copied, planned) = match done {
        [copied, planned @ ..] if [FETCH, FAILED_ROWS].contains(&copied.name.as_str()) => {
            (Some(copied), planned)
        }
        planned => (None, planned),
    };
    let next = match (copied, planned) {
        (None, []) => Next::First,
        (Some(copied), []) => {
            let source = copied.files.source.clone().ok_or(FailureReason::WorkGone)?;
            Next::Plan { source: Key::from_stored(source), position: copied.position + 1 }
        }
        (_, [planned, others @ ..]) => {
            let plan = Plan::from_result(&planned.result)?;
            let (last, start) = match others.last() {
                Some(rows) => (rows, serde_json::from_str::<RowsResult>(&rows.result)?.cursor),
                None => (planned, plan.layout.start),
            };
            if start.byte >= plan.size {
                return Ok(Next::Done);
            }
            let position = last.position + 1;
            Next::Rows { name: rows(position - planned.position), plan, position, start }
        }
    };
    // The engine knows about a step that we do not: the database was replaced or restored.
    let names = match &next {
        Next::First => vec![FETCH, FAILED_ROWS, PLAN],
        Next::Plan { .. } => vec![PLAN],
        Next::Rows { name, .. } => vec![name.as_str()],
        Next::Tell(_) | Next::Done => vec![],
    };
    let is_gone = names.into_iter().any(|name| call.steps.contains_key(&step_id(name)));
    if is_gone { Err(FailureReason::WorkGone) } else { Ok(next) }
}

/// The op that reports a finished step.
pub(super) fn op(step: &Step) -> Result<Op, FailureReason> {
    let data = match step.name.as_str() {
        PLAN => Plan::from_result(&step.result)?.answer(),
        _ => serde_json::from_str(&step.result)?,
    };
    Ok(Op::step_run(&step.name, data))
}
