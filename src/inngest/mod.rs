//! Inngest on the wire, both ways. Knows nothing of this application.
//!
//! [`client`] asks an engine (send an event, list its runs, get or cancel one, register functions, ...), inside
//! a `budget`, and repeats what failed in passing; `registrar` keeps our functions known to it;
//! [`call`] is what an engine asks of a function and how a function answers; [`signature`] signs both.

mod budget;
pub mod call;
pub mod client;
pub mod error;
pub mod event;
mod output;
mod registrar;
mod retry;
pub mod run;
pub mod signature;

pub use budget::{Budget, Priority};
pub use client::{Client, Fresh, Limits, Registered, Server, SyncRequest};
pub use error::Error;
pub use event::{Event, EventSeed, tenant};
pub use output::{RunFailure, RunOutput};
pub use registrar::Registrar;
pub use retry::Backoff;
pub use run::{Job, JobKind, Run, RunStatus};
pub use signature::SigningKeys;
