//! Inngest on the wire, both ways. Knows nothing of this application.
//!
//! [`client`] asks an engine (send an event, list its runs, get or cancel one, ask for its next attempt, register functions)
//! and repeats what failed in passing;
//! [`call`] is what an engine asks of a function and how a function answers; [`signature`] signs both.

pub mod call;
pub mod client;
pub mod error;
pub mod event;
mod retry;
pub mod run;
pub mod signature;

pub use client::{Client, Limits, Server};
pub use error::Error;
pub use event::{Event, EventSeed};
pub use retry::Backoff;
pub use run::{Job, Run, RunStatus};
