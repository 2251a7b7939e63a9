//! What a run has written: its plan, its outputs, its failed records, and what they say about the file.

pub mod findings;
pub mod outputs;
mod plan;

pub use plan::{PLAN, Plan};
