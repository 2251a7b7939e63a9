//! What the engine calls: the function `process-csv-upload`, a plan and a chain of steps.
//!
//! [`serve`] is the door, `/api/inngest` in the SDK protocol. [`Processor::process_csv_upload`] does what
//! a call asks for next: `plan` looks at the front of the file and fixes how it is read, `rows-1`,
//! `rows-2`, ... each read a stretch of its records, and a last call answers with the counts. A file that
//! lies elsewhere is copied first, by the step `fetch`, so that all of them read the same bytes.
//!
//! A step waits for its turn inside its call, however many calls the engine makes at once: rows are read
//! by as many steps as there are workers, addresses have slots of their own, and both are shared fairly
//! between the users (`slots`).
//!
//! Calls are at least once and may overlap, and a process may die at any moment. So the table `step` is
//! the truth about what a run has done, not what the engine remembers of it: an execution writes its
//! files under random names and then commits counts, cursor and file names in one row. The
//! execution that commits second deletes its files and answers with the first one's result, and a step that is in the table is
//! answered from there.

mod chain;
mod copy;
mod failed_rows;
mod failure;
mod fetch;
mod orphaned_runs;
mod plan;
mod process_csv_upload;
mod rows;
pub mod serve;
mod slots;
mod system_functions;

use std::{collections::BTreeMap, ops::RangeInclusive};

use tokio_util::sync::CancellationToken;
use url::Url;

pub use process_csv_upload::{CallResult, Summary};
pub use serve::{EngineLocation, ServeHandler, ServeLimits};
pub use slots::{Share, Slot, Slots};

use crate::{
    base::{ids::EVENT_NAME, tasks::Tasks},
    files::{Fetcher, LinkKey, Storage},
    inngest::{
        Client, Error,
        call::{Call, FunctionSpec, Registration, Retries, Runtime, SDK, StepSpec, TriggerSpec},
    },
    progress::ProgressRegistry,
    store::{Store, quota::Quota},
};

/// The app that our function belongs to.
pub const APP_ID: &str = "runboard";
/// The function's id as the engine has it: `app-function`.
pub const FUNCTION_ID: &str = "runboard-process-csv-upload";
/// The function's name.
pub const FUNCTION_NAME: &str = "process-csv-upload";

/// The function that is told of every run that has ended, ours or another's, of the event that we send.
pub const RUN_ENDED_ID: &str = "runboard-run-ended";
const RUN_ENDED_NAME: &str = "run-ended";
/// A function that imports in place of ours reports its progress by this event.
pub const PROGRESS_EVENT: &str = "imports/csv.progress";
pub const PROGRESS_ID: &str = "runboard-csv-progress";
const PROGRESS_NAME: &str = "csv-progress";

/// How often a failed call is repeated: four attempts in all.
const RETRIES: u32 = 3;

/// How many bytes of a file one step reads, at least and at most. A call costs about 0.2 s on Inngest, so
/// a step should be worth it; and what a crash undoes, or a retry repeats, should stay small.
pub const STEP_BYTES: RangeInclusive<u64> = 16 << 20..=256 << 20;

/// All that the function works with.
pub struct Processor {
    pub store: Store,
    pub storage: Storage,
    /// What each user may store.
    pub quota: Quota,
    pub links: LinkKey,
    /// Gets the files that lie elsewhere.
    pub fetcher: Fetcher,
    pub live: ProgressRegistry,
    pub engine: Client,
    pub door: ServeHandler,
    /// Where the engine reaches [`serve`].
    pub serve_url: Url,
    /// For steps that read rows, or the front of a file: as many as there are cores to do it.
    pub work: Slots,
    /// For files that are fetched by their address, which may last.
    pub fetches: Slots,
    /// A record longer than this fails.
    pub max_record_bytes: usize,
    /// [`STEP_BYTES`], other than in a test that wants many steps of a small file.
    pub step_bytes: RangeInclusive<u64>,
    /// Where steps run: one goes on when the engine hangs up.
    pub tasks: Tasks,
    /// Cancelled when the server begins to stop: no step begins any more.
    pub stopping: CancellationToken,
}

/// What the engine has to know of us to call us at `url`. Without `imports` our function leaves the event
/// to others, and we are only told what becomes of it. Without `push` ends are found by asking alone, and
/// no run has to be paid for being told.
#[must_use]
pub fn registration(url: &Url, imports: bool, push: bool) -> Registration {
    let event = |name: &str, expression: Option<String>| TriggerSpec {
        event: Some(name.to_owned()),
        expression,
        cron: None,
    };
    // So that nobody pays for being told of all the other functions there are.
    let ours = || Some(format!("event.data.event.name == '{EVENT_NAME}'"));
    let mut functions = Vec::new();
    if imports {
        functions.push(function(url, FUNCTION_ID, FUNCTION_NAME, vec![event(EVENT_NAME, None)], RETRIES));
    }
    if push {
        let ended = ["inngest/function.finished", "inngest/function.cancelled"];
        let ended = ended.map(|name| event(name, ours())).to_vec();
        // What is lost is found by asking, so it is not repeated.
        functions.push(function(url, RUN_ENDED_ID, RUN_ENDED_NAME, ended, 0));
    }
    functions.push(function(url, PROGRESS_ID, PROGRESS_NAME, vec![event(PROGRESS_EVENT, None)], 0));
    Registration {
        url: url.to_string(),
        deploy_type: "ping".to_owned(),
        app_name: APP_ID.to_owned(),
        sdk: SDK.to_owned(),
        v: "0.1".to_owned(),
        framework: serve::FRAMEWORK.to_owned(),
        functions,
    }
}

fn function(url: &Url, id: &str, name: &str, triggers: Vec<TriggerSpec>, retries: u32) -> FunctionSpec {
    let mut step_url = url.clone();
    step_url.set_query(Some(&format!("fnId={id}&stepId=step")));
    let step = StepSpec {
        id: "step".to_owned(),
        name: "step".to_owned(),
        runtime: Runtime { kind: "http".to_owned(), url: step_url.into() },
        retries: Some(Retries { attempts: retries }),
    };
    FunctionSpec {
        id: id.to_owned(),
        name: name.to_owned(),
        triggers,
        steps: BTreeMap::from([("step".to_owned(), step)]),
    }
}

impl Processor {
    /// Fetches what a call had no room for.
    async fn complete(&self, call: &mut Call) -> Result<(), Error> {
        let run = &call.ctx.run_id;
        call.steps = self.engine.call_steps(run).await?;
        call.events = self.engine.call_events(run).await?;
        if let Some(event) = call.events.first() {
            call.event = event.clone();
        }
        Ok(())
    }
}
