//! Configuration: read once, contradictions refused before anything starts.

mod allowed;

use std::{env, net::SocketAddr, num::NonZero, path::PathBuf, thread, time::Duration};

use clap::{Parser, Subcommand};
use secrecy::SecretString;
use url::Url;

pub use allowed::AllowedAddresses;

/// The command line. Every setting is a flag and a variable; the flag wins. Values are kept as they
/// were written: [`Config::from_args`] checks them all, in one place and one manner.
#[derive(Clone, Parser)]
#[command(version, about, after_help = SIZES)]
pub struct Args {
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Where people reach the pages: address and port
    #[arg(long, global = true, env = "RUNBOARD_LISTEN", default_value = "127.0.0.1:8080")]
    listen: String,

    /// The http or https address people type to get here, when a proxy stands in front
    #[arg(long, global = true, env = "RUNBOARD_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,

    /// Folder of the database and the stored files; made if missing
    #[arg(long, global = true, env = "RUNBOARD_DATA_DIR", value_name = "FOLDER", default_value = "./data")]
    data_dir: String,

    /// sqlite: or postgres: address of the database [default: runboard.db in the data folder]
    #[arg(long, global = true, env = "RUNBOARD_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,

    /// Who may make an account: first (only the first one can be made), open or closed
    #[arg(long, global = true, env = "RUNBOARD_SIGN_UP", value_name = "WHO", default_value = "first")]
    sign_up: String,

    /// The largest file that can be uploaded
    #[arg(
        long,
        global = true,
        env = "RUNBOARD_MAX_UPLOAD_BYTES",
        value_name = "SIZE",
        default_value = "10GiB"
    )]
    max_upload_bytes: String,

    /// The largest record of a CSV; a larger one counts as failed
    #[arg(
        long,
        global = true,
        env = "RUNBOARD_MAX_RECORD_BYTES",
        value_name = "SIZE",
        default_value = "16MiB"
    )]
    max_record_bytes: String,

    /// Networks that an import by address may reach although they are private: CIDRs, each with a port
    /// if it is another than 80 and 443, such as 10.0.0.0/8,192.168.1.5:8080
    #[arg(long, global = true, env = "RUNBOARD_ALLOW_ADDRESSES", value_name = "CIDR,...")]
    allow_addresses: Option<String>,

    /// How many runs are worked on at once [default: the number of cores]
    #[arg(long, global = true, env = "RUNBOARD_WORKERS", value_name = "NUMBER")]
    workers: Option<String>,

    /// Pauses before a failed run's second, third, ... attempt
    #[arg(
        long,
        global = true,
        env = "RUNBOARD_ENGINE_RETRY_SECONDS",
        value_name = "SECONDS,...",
        default_value = "15,30,60"
    )]
    engine_retry_seconds: String,
}

const SIZES: &str = "A SIZE is a number of bytes, or one with a unit: 64KiB, 16MiB, 10GiB.";

/// What to do; without a word, [`Command::Serve`].
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run everything (the default)
    Serve,
    /// Look after accounts; can be used while the server runs
    #[command(subcommand)]
    Account(AccountCommand),
}

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum AccountCommand {
    /// Make an account, whoever else may: the password is the first line of the standard input
    Add { email: String },
    /// Set a new password and end all sessions: the password is the first line of the standard input
    Reset { email: String },
    /// List all accounts, oldest first
    List,
}

/// Everything that an operator can set.
#[derive(Clone, Debug)]
pub struct Config {
    /// `RUNBOARD_LISTEN`: where people reach the pages.
    pub listen: SocketAddr,
    /// `RUNBOARD_PUBLIC_URL`: the origin people type, when a proxy stands before us.
    pub public_url: Option<Url>,
    /// `RUNBOARD_DATA_DIR`: database and stored files; absolute.
    pub data_dir: PathBuf,
    /// `RUNBOARD_DATABASE_URL`: `sqlite:` or `postgres:`; default a SQLite file in the data folder.
    pub database_url: SecretString,
    /// `RUNBOARD_SIGN_UP`.
    pub sign_up: SignUp,
    /// `RUNBOARD_MAX_UPLOAD_BYTES`.
    pub max_upload_bytes: u64,
    /// `RUNBOARD_MAX_RECORD_BYTES`.
    pub max_record_bytes: usize,
    /// `RUNBOARD_ALLOW_ADDRESSES`.
    pub allow_addresses: AllowedAddresses,
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

/// Why Runboard does not start: one line for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// `value` never holds a secret.
    #[error("{variable} is {value:?}: it can be {allowed}.")]
    Invalid { variable: &'static str, value: String, allowed: &'static str },
    #[error(
        "{0} is set, but this version runs on its embedded engine only and would ignore it: unset it to start."
    )]
    InngestSelected(&'static str),
}

/// Setting one of these means that Inngest shall be used (`INNGEST_DEV` unless it is 0 or false).
const SELECT_INNGEST: [&str; 6] = [
    "INNGEST_DEV",
    "INNGEST_EVENT_KEY",
    "INNGEST_SIGNING_KEY",
    "INNGEST_BASE_URL",
    "INNGEST_API_BASE_URL",
    "INNGEST_EVENT_API_BASE_URL",
];

/// More workers than any machine has cores: a slipped digit, not a wish.
const MAX_WORKERS: usize = 1024;

/// A pause longer than a day is a slipped digit, too.
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

impl Config {
    /// Checks what the command line and the environment say.
    pub fn from_args(args: &Args) -> Result<Self, ConfigError> {
        refuse_inngest(|variable| env::var(variable).ok())?;
        let data_dir = check("RUNBOARD_DATA_DIR", &args.data_dir, "the path of a folder", |path| {
            std::path::absolute(path).ok()
        })?;
        let database_url = match set(args.database_url.as_ref()) {
            Some(url) => check_database_url(url)?,
            None => sqlite_in(&data_dir),
        };
        Ok(Self {
            listen: check(
                "RUNBOARD_LISTEN",
                &args.listen,
                "an IP address and a port, such as 127.0.0.1:8080",
                |text| text.parse().ok(),
            )?,
            public_url: set(args.public_url.as_ref()).map(check_public_url).transpose()?,
            data_dir,
            database_url,
            sign_up: check("RUNBOARD_SIGN_UP", &args.sign_up, "first, open or closed", sign_up)?,
            max_upload_bytes: check("RUNBOARD_MAX_UPLOAD_BYTES", &args.max_upload_bytes, A_SIZE, size)?,
            max_record_bytes: check("RUNBOARD_MAX_RECORD_BYTES", &args.max_record_bytes, A_SIZE, |text| {
                size(text)?.try_into().ok()
            })?,
            allow_addresses: match set(args.allow_addresses.as_ref()) {
                Some(text) => check(
                    "RUNBOARD_ALLOW_ADDRESSES",
                    text,
                    "IP networks with optional ports, separated by commas, such as 10.0.0.0/8,[fd00::]/8:8443",
                    |text| text.parse().ok(),
                )?,
                None => AllowedAddresses::default(),
            },
            workers: match set(args.workers.as_ref()) {
                Some(text) => check("RUNBOARD_WORKERS", text, "a number from 1 to 1024", workers)?,
                None => thread::available_parallelism().map_or(1, NonZero::get),
            },
            engine_retries: check(
                "RUNBOARD_ENGINE_RETRY_SECONDS",
                &args.engine_retry_seconds,
                "seconds from 0 to 86400, separated by commas, such as 15,30,60",
                retry_pauses,
            )?,
        })
    }
}

/// An optional setting; an empty one, as `.env` files like to have it, is not set.
fn set(value: Option<&String>) -> Option<&str> {
    value.map(String::as_str).filter(|text| !text.is_empty())
}

fn check<T>(
    variable: &'static str,
    value: &str,
    allowed: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, ConfigError> {
    parse(value).ok_or_else(|| ConfigError::Invalid { variable, value: value.to_owned(), allowed })
}

fn refuse_inngest(variable: impl Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
    for name in SELECT_INNGEST {
        let off = |value: &str| value.is_empty() || (name == "INNGEST_DEV" && matches!(value, "0" | "false"));
        if variable(name).is_some_and(|value| !off(&value)) {
            return Err(ConfigError::InngestSelected(name));
        }
    }
    Ok(())
}

fn check_public_url(value: &str) -> Result<Url, ConfigError> {
    origin(value).ok_or_else(|| ConfigError::Invalid {
        variable: "RUNBOARD_PUBLIC_URL",
        value: if value.contains(['@', '?']) { scheme_only(value) } else { value.to_owned() },
        allowed: "an http or https address without user, path and query, such as https://runboard.example.org",
    })
}

fn origin(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let bare = url.username().is_empty()
        && url.password().is_none()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none();
    (matches!(url.scheme(), "http" | "https") && bare).then_some(url)
}

fn check_database_url(value: &str) -> Result<SecretString, ConfigError> {
    if ["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| value.starts_with(scheme)) {
        return Ok(value.into());
    }
    Err(ConfigError::Invalid {
        variable: "RUNBOARD_DATABASE_URL",
        value: scheme_only(value),
        allowed: "a sqlite: or postgres:// address",
    })
}

/// What can be shown of an address that may hold a password somewhere.
fn scheme_only(address: &str) -> String {
    match address.split_once(':') {
        Some((scheme, _)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            format!("{scheme}:...")
        }
        _ => "...".to_owned(),
    }
}

/// The SQLite file in the data folder, made if missing. The path of a `file:` URL is escaped as
/// sqlx reads it, whatever the folder is called.
fn sqlite_in(data_dir: &std::path::Path) -> SecretString {
    let file = Url::from_file_path(data_dir.join("runboard.db")).expect("the data folder's path is absolute");
    format!("sqlite://{}?mode=rwc", file.path()).into()
}

fn sign_up(text: &str) -> Option<SignUp> {
    match text {
        "first" => Some(SignUp::First),
        "open" => Some(SignUp::Open),
        "closed" => Some(SignUp::Closed),
        _ => None,
    }
}

const A_SIZE: &str = "a number of bytes above 0, or one with a unit, such as 16MiB or 10GiB";

/// Bytes, at least one and no more than a BIGINT column holds.
fn size(text: &str) -> Option<u64> {
    let unit_at = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit: u64 = match unit.trim_start() {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    let bytes = number.parse::<u64>().ok()?.checked_mul(unit)?;
    (bytes > 0 && i64::try_from(bytes).is_ok()).then_some(bytes)
}

fn workers(text: &str) -> Option<usize> {
    text.parse().ok().filter(|number| (1..=MAX_WORKERS).contains(number))
}

fn retry_pauses(text: &str) -> Option<Vec<Duration>> {
    text.split(',')
        .map(|seconds| {
            let pause = Duration::try_from_secs_f64(seconds.trim().parse().ok()?).ok()?;
            (pause <= MAX_RETRY_PAUSE).then_some(pause)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_selects_inngest_is_named_and_refused() {
        for name in SELECT_INNGEST {
            let refusal = refuse_inngest(|variable| (variable == name).then(|| "1".to_owned()));
            assert_eq!(refusal, Err(ConfigError::InngestSelected(name)));
        }
    }

    #[test]
    fn a_dev_server_that_is_switched_off_selects_nothing() {
        for off in ["0", "false", ""] {
            let is_dev = |variable: &str| (variable == "INNGEST_DEV").then(|| off.to_owned());
            assert_eq!(refuse_inngest(is_dev), Ok(()), "INNGEST_DEV={off}");
        }
    }
}
