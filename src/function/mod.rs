//! The function that the engine calls: `process-csv-upload`, a plan and a chain of steps.
//!
//! [`serve`] is its endpoint, `/api/inngest` in the SDK protocol. [`Processor::process_csv_upload`] does the
//! next step of a call: `plan` examines the front of the file and determines how it is read, `rows-1`,
//! `rows-2`, ... each read a part of its records, and a last call answers with the counts. A file on another
//! server is first copied by the step `fetch`, so that all steps read the same bytes.
//!
//! A step waits for its turn inside its call, however many calls the engine makes at once. Rows are read by
//! as many steps as there are workers, fetches have their own slots, and both are shared fairly between users
//! (`slots`). A step that needs large memory waits for it without a slot (`step_slot`).
//!
//! Calls are made at least once and may overlap, and a process may die at any time. So the table `step`, not
//! the engine's state, is the authoritative record of what a run has done. An execution writes its files
//! under random names and then commits counts, cursor and file names in one row. The execution that commits
//! second deletes its files and answers with the first one's result, and a step that is in the table is
//! answered from there.

mod chain;
mod copy;
mod decode;
mod failed_rows;
mod failure;
mod fetch;
mod in_order;
mod large_memory;
mod orphaned_runs;
mod plan;
mod prepare;
mod preview;
mod process_csv_upload;
mod rows;
pub mod serve;
mod slots;
mod step_slot;
mod system_functions;
mod unpack;

use std::{collections::BTreeMap, ops::RangeInclusive};

use tokio_util::sync::CancellationToken;
use url::Url;

pub use crate::base::config::STEP_BYTES;
pub use large_memory::LargeMemory;
pub use preview::{Preview, PreviewError, Previewer};
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

/// The id of the app that our functions belong to.
pub const APP_ID: &str = "runboard";
/// The function's id on the engine: `app-function`.
pub const FUNCTION_ID: &str = "runboard-process-csv-upload";
/// The function's name.
pub const FUNCTION_NAME: &str = "process-csv-upload";

/// The function that is called when a run of the event that we send ends, whether the run is ours or not.
pub const RUN_ENDED_ID: &str = "runboard-run-ended";
const RUN_ENDED_NAME: &str = "run-ended";
/// The event by which another function that imports instead of ours reports its progress.
pub const PROGRESS_EVENT: &str = "imports/csv.progress";
pub const PROGRESS_ID: &str = "runboard-csv-progress";
const PROGRESS_NAME: &str = "csv-progress";

/// How often a failed call is repeated: four attempts in all.
const RETRIES: u32 = 3;

/// Everything that the function needs.
pub struct Processor {
    pub store: Store,
    pub storage: Storage,
    /// What each user may store.
    pub quota: Quota,
    pub links: LinkKey,
    /// Fetches files from other servers.
    pub fetcher: Fetcher,
    pub progress: ProgressRegistry,
    pub engine: Client,
    pub handler: ServeHandler,
    /// The URL at which the engine reaches [`serve`].
    pub serve_url: Url,
    /// For steps that read rows or the front of a file: one slot per core.
    pub work: Slots,
    /// For fetches, which may take long.
    pub fetches: Slots,
    pub large_memory: LargeMemory,
    /// A record longer than this fails.
    pub max_record_bytes: usize,
    /// The least and the most bytes of a file that one step reads.
    pub step_bytes: RangeInclusive<u64>,
    /// Where steps run, so that a step continues if the engine hangs up.
    pub tasks: Tasks,
    /// Cancelled when the server begins to stop: no further step begins.
    pub stopping: CancellationToken,
}

/// The registration of our functions at `url`. Without `imports` our function leaves the event to others, and
/// we only receive reports about it. Without `push` ends are found only by polling, and no run is billed for
/// a report.
#[must_use]
pub fn registration(url: &Url, imports: bool, push: bool) -> Registration {
    let event = |name: &str, expression: Option<String>| TriggerSpec {
        event: Some(name.to_owned()),
        expression,
        cron: None,
    };
    // Limits the calls, which are billed, to runs of our event.
    let ours = || Some(format!("event.data.event.name == '{EVENT_NAME}'"));
    let mut functions = Vec::new();
    if imports {
        functions.push(function(url, FUNCTION_ID, FUNCTION_NAME, vec![event(EVENT_NAME, None)], RETRIES));
    }
    if push {
        let ended = ["inngest/function.finished", "inngest/function.cancelled"];
        let ended = ended.map(|name| event(name, ours())).to_vec();
        // Not retried, because polling finds a lost report.
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
    /// Fetches the parts of a call that it had no room for.
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
