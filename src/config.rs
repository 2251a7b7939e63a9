//! Configuration: read once, contradictions refused before anything starts.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use url::Url;

/// Everything that an operator can set.
#[derive(Clone, Debug)]
pub struct Config {
    /// `RUNBOARD_LISTEN`: where people reach the pages.
    pub listen: SocketAddr,
    /// `RUNBOARD_PUBLIC_URL`: the origin people type, when a proxy stands before us.
    pub public_url: Option<Url>,
    /// `RUNBOARD_DATA_DIR`: database and stored files.
    pub data_dir: PathBuf,
    /// `RUNBOARD_DATABASE_URL`: `sqlite:` or `postgres:`; default a SQLite file in the data folder.
    pub database_url: Option<String>,
    /// `RUNBOARD_SIGN_UP`.
    pub sign_up: SignUp,
    /// `RUNBOARD_MAX_UPLOAD_BYTES`.
    pub max_upload_bytes: u64,
    /// `RUNBOARD_MAX_RECORD_BYTES`.
    pub max_record_bytes: usize,
    /// `RUNBOARD_WORKERS`: how many runs the embedded engine works on at once.
    pub workers: usize,
    /// `RUNBOARD_ENGINE_RETRY_SECONDS`: the pauses before the second, third, ... attempt.
    pub engine_retries: Vec<Duration>,
}

/// Who may make an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignUp {
    /// Only the first one.
    First,
    Open,
    Closed,
}
