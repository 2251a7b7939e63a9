//! What the engine calls: the function `process-csv-upload`, a plan and a chain of steps.
//!
//! [`serve`] is the door, `/api/inngest` in the SDK protocol. [`Processor::process_csv_upload`] does what
//! a call asks for next: `plan` looks at the front of the file and fixes how it is read, `rows-1`,
//! `rows-2`, ... each read a stretch of its records, and a last call answers with the counts. A file that
//! lies elsewhere is copied first, by the step `fetch`, so that all of them read the same bytes.
//!
//! Calls are at least once and may overlap, and a process may die at any moment. So the table `step` is
//! the truth about what a run has done, not what the engine remembers of it: an execution writes its
//! files under random names and then commits counts, cursor and file names in one row. Whoever comes
//! second deletes its files and answers with the first one's result, and a step that is in the table is
//! answered from there.

mod chain;
mod failure;
mod fetch;
pub mod findings;
pub mod outputs;
mod plan;
mod process_csv_upload;
mod rows;
pub mod serve;

use std::{collections::BTreeMap, ops::RangeInclusive};

use secrecy::SecretString;
use url::Url;

pub use plan::Plan;
pub use process_csv_upload::{Answer, Summary};

use crate::{
    ids::EVENT_NAME,
    inngest::{
        Client,
        call::{FunctionSpec, Registration, Retries, Runtime, SDK, StepSpec, Trigger},
    },
    source::{Fetcher, LinkKey, Storage},
    store::{Live, Store},
};

/// The app that our function belongs to.
pub const APP_ID: &str = "runboard";
/// The function's id as the engine has it: `app-function`.
pub const FUNCTION_ID: &str = "runboard-process-csv-upload";
/// The function's name.
pub const FUNCTION_NAME: &str = "process-csv-upload";

/// How often a failed call is repeated: four attempts in all.
const RETRIES: u32 = 3;

/// How many bytes of a file one step reads, at least and at most. A call costs about 0.2 s on Inngest, so
/// a step should be worth it; and what a crash undoes, or a retry repeats, should stay small.
pub const STEP_BYTES: RangeInclusive<u64> = 16 << 20..=256 << 20;

/// All that the function works with.
pub struct Processor {
    pub store: Store,
    pub storage: Storage,
    pub links: LinkKey,
    /// Gets the files that lie elsewhere.
    pub fetcher: Fetcher,
    pub live: Live,
    /// Where the function registers when it is asked to.
    pub engine: Client,
    /// Verifies what is asked of us, and signs our answers.
    pub signing_key: SecretString,
    /// Verifies as well, while keys are being changed.
    pub signing_key_fallback: Option<SecretString>,
    /// Where the engine reaches [`serve`].
    pub serve_url: Url,
    /// A record longer than this fails.
    pub max_record_bytes: usize,
    /// [`STEP_BYTES`], other than in a test that wants many steps of a small file.
    pub step_bytes: RangeInclusive<u64>,
}

/// What the engine has to know of us to call us at `url`.
#[must_use]
pub fn registration(url: &Url) -> Registration {
    let mut step_url = url.clone();
    step_url.set_query(Some(&format!("fnId={FUNCTION_ID}&stepId=step")));
    let step = StepSpec {
        id: "step".to_owned(),
        name: "step".to_owned(),
        runtime: Runtime { kind: "http".to_owned(), url: step_url.into() },
        retries: Some(Retries { attempts: RETRIES }),
    };
    let function = FunctionSpec {
        id: FUNCTION_ID.to_owned(),
        name: FUNCTION_NAME.to_owned(),
        triggers: vec![Trigger { event: Some(EVENT_NAME.to_owned()), expression: None, cron: None }],
        steps: BTreeMap::from([("step".to_owned(), step)]),
    };
    Registration {
        url: url.to_string(),
        deploy_type: "ping".to_owned(),
        app_name: APP_ID.to_owned(),
        sdk: SDK.to_owned(),
        v: "0.1".to_owned(),
        framework: serve::FRAMEWORK.to_owned(),
        functions: vec![function],
    }
}
