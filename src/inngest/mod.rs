//! Inngest on the wire, both ways. Independent of this application.
//!
//! [`client`] sends requests to an engine (send an event, list its runs, get or cancel one, register
//! functions, ...), within a `budget`, and repeats those that failed temporarily. `registrar` keeps our
//! functions registered. [`call`] is how an engine calls a function and how the function answers.
//! [`signature`] signs both.

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
