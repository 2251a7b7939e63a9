//! An import's life: accept the upload, send its event from the outbox, watch its runs.

mod snapshot;

pub use snapshot::{ImportState, RunSnapshot, Snapshot};
