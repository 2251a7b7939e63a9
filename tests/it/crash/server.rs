//! The real program, configured for the crash test.

use std::{fs::OpenOptions, path::Path};

use crate::support::binary::{Binary, runboard};

/// The pauses between attempts, in seconds: three attempts follow quickly, and the last one after every
/// disturbance is certainly over.
const RETRY_SECONDS: &str = "0.3,0.6,5";

/// Starts it on `data`. Appends its log to `log`.
pub fn start(data: &Path, log: &Path) -> Binary {
    let log = OpenOptions::new().create(true).append(true).open(log).unwrap();
    let mut command = runboard(data);
    command.env("RUNBOARD_WORKERS", "2").env("RUNBOARD_ENGINE_RETRY_SECONDS", RETRY_SECONDS).stderr(log);
    Binary::start(&mut command)
}
