//! The names of functions from the engine's lists. Reports about a run contain only the function's id.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::inngest::Run;

/// The most names that are kept, and the longest name in bytes.
const MOST: usize = 1_000;
const LONGEST: usize = 200;

/// Names by the engine's id of the function.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<HashMap<String, String>>);

impl Names {
    /// Stores the name of the function of `run`, or sets it from the stored names.
    pub(super) fn complete(&self, run: &mut Run) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(name) = &run.function_name else {
            run.function_name = names.get(&run.function_id).cloned();
            return;
        };
        let has_room = names.len() < MOST || names.contains_key(&run.function_id);
        if has_room && run.function_id.len() <= LONGEST && name.len() <= LONGEST {
            names.insert(run.function_id.clone(), name.clone());
        }
    }
}
