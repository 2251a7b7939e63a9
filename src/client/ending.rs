//! How a command ends, as its exit code.

use std::process::ExitCode;

/// From the best to the worst, which counts of several imports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    Completed,
    /// It completed, rows failed, and `--fail-on-rows` asks about them.
    RowsFailed,
    Cancelled,
    Failed,
    /// Whatever else: nothing was imported, or how an import ended is not known.
    Other,
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Completed => 0,
            Ending::Failed => 1,
            Ending::Cancelled => 2,
            Ending::Other => 3,
            Ending::RowsFailed => 4,
        }
        .into()
    }
}
