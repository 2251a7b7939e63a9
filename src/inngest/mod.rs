//! Inngest on the wire, both ways. Knows nothing of this application.
//!
//! [`client`] asks an engine (send an event, list its runs, get or cancel one, register functions);
//! [`call`] is what an engine asks of a function and how a function answers; [`signature`] signs both.

pub mod call;
pub mod client;
pub mod error;
pub mod event;
pub mod run;
pub mod signature;

pub use client::{Client, Server};
pub use error::Error;
pub use event::{Event, EventSeed};
pub use run::{Run, RunStatus};
