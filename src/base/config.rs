//! Configuration, read once. Contradictions are refused before anything starts.

mod allowed;
mod args;
mod check;
mod client_args;
mod engine;
mod hidden;
mod http;
mod mail;
mod misread;
mod move_args;
mod move_to;
mod pointers;
mod proxies;
mod storage;
mod unknown;

use std::{net::SocketAddr, num::NonZero, ops::RangeInclusive, path::PathBuf, thread, time::Duration};

use secrecy::SecretString;
use url::Url;

use self::check::{check, optional};
pub use self::{
    allowed::AllowedAddresses,
    args::{AccountCommand, AnyCommand, Args, Command, CommandLine, OnOff, described},
    client_args::{
        ClientCommand, DeleteArgs, GivenAddress, ImportArgs, ImportsArgs, LoginArgs, OneImportArgs,
        ReadingArgs, RetryArgs, ServerArgs, ShowArgs, StartArgs, WaitArgs,
    },
    engine::{EngineConfig, Exposed, Inngest},
    http::HttpLimits,
    mail::{MailConfig, SmtpEncryption, SmtpLogin, SmtpServer},
    move_args::MoveArgs,
    move_to::MoveTo,
    pointers::OutputPointers,
    proxies::{NotProxies, TrustedProxies},
    storage::{BucketConfig, StorageLinks},
    unknown::unknown_variables,
};

/// A call costs about 0.2 s on Inngest, so a step must be large enough to be worth it, and small enough that a crash or
/// a retry repeats little.
pub const STEP_BYTES: RangeInclusive<u64> = 16 << 20..=512 << 20;

/// A run of a second function may appear after the first has ended.
pub const LATE_RUNS: Duration = Duration::from_secs(10);

/// Longer than the longest `?wait=` and than the longest pause between two polls of an open page, so that neither is
/// forgotten in between.
pub const FOLLOWED_FOR: Duration = Duration::from_secs(2 * 60);

/// How many connections to the database there are, and how long work waits for one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabasePool {
    /// `RUNBOARD_DATABASE_CONNECTIONS`: the most that are open at once.
    pub connections: u32,
    /// `RUNBOARD_DATABASE_ACQUIRE_SECONDS`. A request to a Postgres waits 3 s at most.
    pub acquire_within: Duration,
}

impl Default for DatabasePool {
    /// SQLite has one writer at a time, so more connections only help readers; a Postgres server shares about a
    /// hundred between all its clients.
    fn default() -> Self {
        Self { connections: 6, acquire_within: LONGEST_ACQUIRE }
    }
}

/// As long as background work waits for an answer.
const LONGEST_ACQUIRE: Duration = Duration::from_secs(30);

/// All settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// `RUNBOARD_LISTEN`: the address of the pages.
    pub listen: SocketAddr,
    /// `RUNBOARD_PUBLIC_URL`: the origin that people type when a proxy is in front.
    pub public_url: Option<Url>,
    /// `RUNBOARD_DATA_DIR`: the folder of the database and the stored files, unless they are elsewhere, as an
    /// absolute path.
    pub data_dir: PathBuf,
    /// `RUNBOARD_DATABASE_URL`: `sqlite:` or `postgres:`. The default is a SQLite file in the data folder.
    pub database_url: SecretString,
    pub database_pool: DatabasePool,
    /// `RUNBOARD_STORAGE_URL`: the bucket of the stored files. None: they are in the data folder.
    pub bucket: Option<BucketConfig>,
    /// `RUNBOARD_SIGN_UP`.
    pub sign_up: SignUp,
    /// `RUNBOARD_MAX_UPLOAD_BYTES`.
    pub max_upload_bytes: u64,
    /// `RUNBOARD_QUOTA_BYTES`: the most bytes that each user may store. None: no limit but the disk.
    pub quota_bytes: Option<u64>,
    /// `RUNBOARD_MAX_RECORD_BYTES`.
    pub max_record_bytes: usize,
    /// `RUNBOARD_ALLOW_ADDRESSES`.
    pub allow_addresses: AllowedAddresses,
    /// `RUNBOARD_TRUSTED_PROXIES`.
    pub trusted_proxies: TrustedProxies,
    /// `RUNBOARD_CONNECTIONS_PER_ADDRESS`. None: no limit.
    pub connections_per_address: Option<usize>,
    /// `RUNBOARD_API_RATE`: requests to the API per minute, of one token or of one signed-in user.
    pub api_rate: u32,
    /// How long requests may take to arrive. Not a setting.
    pub http: HttpLimits,
    /// The least and the most bytes of a file that one step reads. Not a setting.
    pub step_bytes: RangeInclusive<u64>,
    /// Which engine runs the functions: `INNGEST_...` and `RUNBOARD_ENGINE_...`.
    pub engine: EngineConfig,
    /// `RUNBOARD_WORKERS`: how many files are read at once.
    pub workers: usize,
    /// `RUNBOARD_FETCHES`: how many addresses are fetched at once.
    pub fetches: usize,
    /// `RUNBOARD_ENGINE_RETRY_SECONDS`: the embedded engine's pauses before the second, third, ... attempt.
    pub engine_retries: Vec<Duration>,
    /// `RUNBOARD_POLL_BUDGET`: requests to the engine per second.
    pub poll_budget: f64,
    /// `RUNBOARD_PROCESSOR`: whether Runboard's own function imports the files.
    pub processor: bool,
    /// `RUNBOARD_PUSH`: whether the engine calls one of Runboard's functions for every run that ends.
    pub push: bool,
    /// How long an import is watched for further runs after its last one has ended. Not a setting.
    pub late_runs: Duration,
    /// How long one of several replicas follows the imports of a user whom nobody asks it for any more. Not a setting.
    pub followed_for: Duration,
    /// `RUNBOARD_OUTPUT_POINTERS`.
    pub output_pointers: OutputPointers,
    /// `RUNBOARD_SMTP_URL` and `RUNBOARD_MAIL_FROM`. None: no e-mail is sent, and no page offers any.
    pub mail: Option<MailConfig>,
}

/// Who may create an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignUp {
    /// Only the first user.
    First,
    Open,
    Closed,
}

/// Why Runboard does not start, as one line for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// `value` never holds a secret.
    #[error("{variable} is {value:?}: it can be {allowed}.")]
    Invalid { variable: &'static str, value: String, allowed: &'static str },
    /// The same for a secret value, which is not shown.
    #[error("{variable} must be {allowed}.")]
    InvalidSecret { variable: &'static str, allowed: &'static str },
    #[error("{variable} is not set: {why}.")]
    Missing { variable: &'static str, why: &'static str },
    #[error("{one} and {other} contradict each other: {why}.")]
    Contradiction { one: &'static str, other: &'static str, why: &'static str },
}

impl Config {
    /// Validates the settings of the command line and the environment.
    pub fn from_args(args: &Args) -> Result<Self, ConfigError> {
        let data_dir = check("RUNBOARD_DATA_DIR", &args.data_dir, "the path of a folder", |path| {
            std::path::absolute(path).ok()
        })?;
        let database_url = match optional(args.database_url.as_ref()) {
            Some(url) => check::database_url(url)?,
            None => check::sqlite_in(&data_dir),
        };
        let listen = check(
            "RUNBOARD_LISTEN",
            &args.listen,
            "an IP address and a port, such as 127.0.0.1:8080",
            |text| text.parse().ok(),
        )?;
        let public_url = check::origin("RUNBOARD_PUBLIC_URL", args.public_url.as_ref())?;
        Ok(Self {
            listen,
            engine: EngineConfig::from_args(args, listen, public_url.as_ref())?,
            mail: MailConfig::from_args(args, listen, public_url.as_ref())?,
            public_url,
            data_dir,
            database_url,
            database_pool: database_pool(args)?,
            bucket: BucketConfig::from_args(args)?,
            sign_up: check("RUNBOARD_SIGN_UP", &args.sign_up, "first, open or closed", check::sign_up)?,
            max_upload_bytes: check(
                "RUNBOARD_MAX_UPLOAD_BYTES",
                &args.max_upload_bytes,
                check::A_SIZE,
                check::size,
            )?,
            quota_bytes: match optional(args.quota_bytes.as_ref()) {
                Some(text) => Some(check("RUNBOARD_QUOTA_BYTES", text, check::A_SIZE, check::size)?),
                None => None,
            },
            max_record_bytes: check(
                "RUNBOARD_MAX_RECORD_BYTES",
                &args.max_record_bytes,
                check::A_SIZE,
                |text| check::size(text)?.try_into().ok(),
            )?,
            allow_addresses: match optional(args.allow_addresses.as_ref()) {
                Some(text) => check(
                    "RUNBOARD_ALLOW_ADDRESSES",
                    text,
                    "IP networks with optional ports, separated by commas, such as 10.0.0.0/8,[fd00::]/8:8443",
                    |text| text.parse().ok(),
                )?,
                None => AllowedAddresses::default(),
            },
            trusted_proxies: match optional(args.trusted_proxies.as_ref()) {
                Some(text) => check(
                    "RUNBOARD_TRUSTED_PROXIES",
                    text,
                    "IP networks or addresses, separated by commas, such as 127.0.0.1,10.0.5.0/28",
                    |text| text.parse().ok(),
                )?,
                None => TrustedProxies::default(),
            },
            connections_per_address: check(
                "RUNBOARD_CONNECTIONS_PER_ADDRESS",
                &args.connections_per_address,
                "a number such as 256, or 0 for no limit",
                |text| text.parse().ok(),
            )
            .map(|most: usize| (most > 0).then_some(most))?,
            api_rate: check(
                "RUNBOARD_API_RATE",
                &args.api_rate,
                "requests a minute from 1 to 1000000, such as 600",
                check::api_rate,
            )?,
            http: HttpLimits::default(),
            step_bytes: STEP_BYTES,
            late_runs: LATE_RUNS,
            followed_for: FOLLOWED_FOR,
            workers: match optional(args.workers.as_ref()) {
                Some(text) => check("RUNBOARD_WORKERS", text, "a number from 1 to 1024", check::workers)?,
                None => thread::available_parallelism().map_or(1, NonZero::get),
            },
            fetches: check("RUNBOARD_FETCHES", &args.fetches, "a number from 1 to 1024", check::workers)?,
            engine_retries: check(
                "RUNBOARD_ENGINE_RETRY_SECONDS",
                &args.engine_retry_seconds,
                "seconds from 0 to 86400, separated by commas, such as 15,30,60",
                check::retry_pauses,
            )?,
            poll_budget: check(
                "RUNBOARD_POLL_BUDGET",
                &args.poll_budget,
                "requests a second from 0.1 to 1000, such as 10",
                check::poll_budget,
            )?,
            processor: check("RUNBOARD_PROCESSOR", &args.processor, "on or off", check::on_or_off)?,
            push: check("RUNBOARD_PUSH", &args.push, "on or off", check::on_or_off)?,
            output_pointers: match optional(args.output_pointers.as_ref()) {
                Some(text) => check(
                    "RUNBOARD_OUTPUT_POINTERS",
                    text,
                    "pairs of JSON pointers, such as /stats/ok,/stats/bad;/imported,/rejected",
                    |text| text.parse().ok(),
                )?,
                None => OutputPointers::default(),
            },
        })
    }
}

fn database_pool(args: &Args) -> Result<DatabasePool, ConfigError> {
    let mut pool = DatabasePool::default();
    if let Some(text) = optional(args.database_connections.as_ref()) {
        let allowed = "a number from 2 to 1000";
        pool.connections = check("RUNBOARD_DATABASE_CONNECTIONS", text, allowed, check::connections)?;
    }
    if let Some(text) = optional(args.database_acquire_seconds.as_ref()) {
        let allowed = "seconds from 1 to 30";
        let seconds = check("RUNBOARD_DATABASE_ACQUIRE_SECONDS", text, allowed, check::acquire_seconds)?;
        pool.acquire_within = Duration::from_secs(seconds);
    }
    Ok(pool)
}
