//! Determines the next step of a run.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::failure::FailureReason;
use crate::{
    csv::{AboutFile, Counts, Cursor, Past},
    files::Key,
    inngest::call::{Call, Op, step_id},
    results::{PLAN, Plan},
    store::steps::Step,
};

/// The name of the first step for a file on another server.
pub(super) const FETCH: &str = "fetch";

/// The name of the first step for an import of failed records.
pub(super) const FAILED_ROWS: &str = "failed-rows";

/// The name of the step that unpacks a packed file.
pub(super) const UNPACK: &str = "unpack";

/// The name of the step that decodes a file that is not UTF-8.
pub(super) const DECODE: &str = "decode";

/// The steps that copy the file before it is planned, in their order.
const COPIES: [&str; 4] = [FETCH, FAILED_ROWS, UNPACK, DECODE];

/// The name of a step of rows; `number` is 1, 2, ...
fn rows(number: u32) -> String {
    format!("rows-{number}")
}

/// The result of a step that copies a file to storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CopyResult {
    pub(super) bytes: u64,
    #[serde(flatten)]
    pub(super) about: AboutFile,
}

/// The result of a step of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RowsResult {
    #[serde(flatten)]
    pub(super) counts: Counts,
    /// The position after the step's last record.
    pub(super) cursor: Cursor,
    /// What the next step must know of the records before it.
    #[serde(default, skip_serializing_if = "Past::is_nothing")]
    pub(super) past: Past,
}

/// What a call must do.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// Report a committed step that the engine does not know about.
    Tell(Step),
    /// Do the very first step: copy a file or plan, depending on the event and the file.
    First,
    /// Copy the file again or plan, depending on the file.
    AfterCopy(Copied),
    Rows {
        name: String,
        plan: Plan,
        position: u32,
        start: Cursor,
        past: Past,
    },
    /// The end of the file is reached, and the engine knows about all steps.
    Done,
}

/// The newest copy of a file.
#[derive(Debug, PartialEq)]
pub(super) struct Copied {
    pub(super) source: Key,
    /// The steps that made it and the copies before it.
    pub(super) by: Vec<String>,
    /// Of the newest.
    pub(super) about: AboutFile,
    /// The position of the step after it.
    pub(super) position: u32,
}

impl Copied {
    /// Whether the step `name` was done.
    pub(super) fn is_by(&self, name: &str) -> bool {
        self.by.iter().any(|by| by == name)
    }
}

/// What `call` must do after the committed steps `done`, given in order.
pub(super) fn next(done: &[Step], call: &Call) -> Result<Next, FailureReason> {
    let is_told = |name: &str| call.steps.contains_key(&step_id(name));
    if let Some(step) = done.iter().find(|step| !is_told(&step.name)) {
        return Ok(Next::Tell(step.clone()));
    }
    let copies = done.iter().take_while(|step| COPIES.contains(&step.name.as_str())).count();
    let (copies, planned) = done.split_at(copies);
    let next = match (copies.last(), planned) {
        (None, []) => Next::First,
        (Some(newest), []) => {
            let source = newest.files.source.clone().ok_or(FailureReason::WorkGone)?;
            let about = serde_json::from_str::<CopyResult>(&newest.result)?.about;
            let by = copies.iter().map(|step| step.name.clone()).collect();
            let position = newest.position + 1;
            Next::AfterCopy(Copied { source: Key::from_stored(source), by, about, position })
        }
        (_, [planned, others @ ..]) => {
            let plan = Plan::from_step(planned)?;
            let (last, start, past) = match others.last() {
                Some(rows) => {
                    let result: RowsResult = serde_json::from_str(&rows.result)?;
                    (rows, result.cursor, result.past)
                }
                None => (planned, plan.layout.start, Past::default()),
            };
            if start.byte >= plan.size {
                return Ok(Next::Done);
            }
            let position = last.position + 1;
            Next::Rows { name: rows(position - planned.position), plan, position, start, past }
        }
    };
    // The engine knows about a step that we do not: the database was replaced or restored.
    let names = match &next {
        Next::First => [&COPIES[..], &[PLAN]].concat(),
        Next::AfterCopy(copied) => {
            let others = COPIES.into_iter().filter(|name| !copied.is_by(name));
            others.chain([PLAN]).collect()
        }
        Next::Rows { name, .. } => vec![name.as_str()],
        Next::Tell(_) | Next::Done => vec![],
    };
    let is_gone = names.into_iter().any(|name| call.steps.contains_key(&step_id(name)));
    if is_gone { Err(FailureReason::WorkGone) } else { Ok(next) }
}

/// The op that reports a finished step.
pub(super) fn op(step: &Step) -> Result<Op, FailureReason> {
    let data = match step.name.as_str() {
        PLAN => Plan::from_step(step)?.answer(),
        name if COPIES.contains(&name) => {
            json!({ "bytes": serde_json::from_str::<CopyResult>(&step.result)?.bytes })
        }
        _ => serde_json::from_str(&step.result)?,
    };
    Ok(Op::step_run(&step.name, data))
}
