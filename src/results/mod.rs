//! The results of a run: its plan, its outputs, its failed records, and its findings about the file.

pub mod failures;
pub mod findings;
pub mod outputs;
mod plan;
mod source_form;

pub use plan::{PLAN, Plan};
