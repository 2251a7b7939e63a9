//! Validates values: one function for each kind of value, and one form of refusal.

use std::{path::Path, time::Duration};

use secrecy::SecretString;
use url::Url;

use super::{ConfigError, LONGEST_ACQUIRE, SignUp};

/// More workers than any machine has cores: a typing error.
const MAX_WORKERS: usize = 1024;

/// A longer pause is a typing error as well.
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

/// Requests per second. A lower rate cannot keep a page live; no server needs a higher one.
const POLL_BUDGETS: std::ops::RangeInclusive<f64> = 0.1..=1000.0;

/// Requests per minute. A higher rate is no limit for one machine.
const API_RATES: std::ops::RangeInclusive<u32> = 1..=1_000_000;

/// An optional setting. An empty value, which is common in `.env` files, counts as not set.
pub(super) fn optional(value: Option<&String>) -> Option<&str> {
    value.map(String::as_str).filter(|text| !text.is_empty())
}

pub(super) fn check<T>(
    variable: &'static str,
    value: &str,
    allowed: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, ConfigError> {
    parse(value).ok_or_else(|| ConfigError::Invalid { variable, value: value.to_owned(), allowed })
}

/// An optional address that must be an origin.
pub(super) fn origin(variable: &'static str, value: Option<&String>) -> Result<Option<Url>, ConfigError> {
    address(
        variable,
        value,
        "an http or https address without user, path and query, such as https://runboard.example.org",
        |url| url.path() == "/",
    )
}

/// An optional address that may have a path.
pub(super) fn base_url(variable: &'static str, value: Option<&String>) -> Result<Option<Url>, ConfigError> {
    let allowed = "an http or https address without user and query, such as https://inngest.example.org";
    address(variable, value, allowed, |_| true)
}

fn address(
    variable: &'static str,
    value: Option<&String>,
    allowed: &'static str,
    may_be: impl FnOnce(&Url) -> bool,
) -> Result<Option<Url>, ConfigError> {
    let Some(value) = optional(value) else { return Ok(None) };
    let url = plain_address(value).filter(may_be);
    url.map(Some).ok_or_else(|| ConfigError::Invalid {
        variable,
        value: if value.contains(['@', '?']) { scheme_only(value) } else { value.to_owned() },
        allowed,
    })
}

/// An http(s) address that has no part which could be a secret.
pub(super) fn plain_address(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let bare = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    (matches!(url.scheme(), "http" | "https") && bare).then_some(url)
}

pub(super) fn database_url(value: &str) -> Result<SecretString, ConfigError> {
    if ["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| value.starts_with(scheme)) {
        return Ok(value.into());
    }
    Err(ConfigError::Invalid {
        variable: "RUNBOARD_DATABASE_URL",
        value: scheme_only(value),
        allowed: "a sqlite: or postgres:// address",
    })
}

pub(super) fn postgres_url(name: &'static str, value: &str) -> Result<SecretString, ConfigError> {
    let is_postgres = ["postgres://", "postgresql://"].iter().any(|scheme| value.starts_with(scheme));
    if is_postgres {
        return Ok(value.into());
    }
    Err(ConfigError::InvalidSecret { variable: name, allowed: "a postgres:// address" })
}

/// The part of an address that can be shown even if the address holds a password.
pub(super) fn scheme_only(address: &str) -> String {
    match address.split_once(':') {
        Some((scheme, _)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            format!("{scheme}:...")
        }
        _ => "...".to_owned(),
    }
}

/// The URL of the SQLite file in the data folder, which is created if missing. The path is escaped as sqlx
/// expects it in a `file:` URL, so that every folder name works.
pub(super) fn sqlite_in(data_dir: &Path) -> SecretString {
    let file = Url::from_file_path(data_dir.join("runboard.db")).expect("the data folder's path is absolute");
    format!("sqlite://{}?mode=rwc", file.path()).into()
}

pub(super) fn sign_up(text: &str) -> Option<SignUp> {
    match text {
        "first" => Some(SignUp::First),
        "open" => Some(SignUp::Open),
        "closed" => Some(SignUp::Closed),
        _ => None,
    }
}

pub(super) const A_SIZE: &str = "a number of bytes above 0, or one with a unit, such as 16MiB or 10GiB";

/// Bytes: at least one, and at most what a BIGINT column can hold.
pub(super) fn size(text: &str) -> Option<u64> {
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

pub(super) fn workers(text: &str) -> Option<usize> {
    text.parse().ok().filter(|number| (1..=MAX_WORKERS).contains(number))
}

pub(super) fn api_rate(text: &str) -> Option<u32> {
    text.parse().ok().filter(|rate| API_RATES.contains(rate))
}

pub(super) fn connections(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| (2..=1000).contains(number))
}

pub(super) fn acquire_seconds(text: &str) -> Option<u64> {
    text.parse().ok().filter(|seconds| (1..=LONGEST_ACQUIRE.as_secs()).contains(seconds))
}

pub(super) fn retry_pauses(text: &str) -> Option<Vec<Duration>> {
    text.split(',')
        .map(|seconds| {
            let pause = Duration::try_from_secs_f64(seconds.trim().parse().ok()?).ok()?;
            (pause <= MAX_RETRY_PAUSE).then_some(pause)
        })
        .collect()
}

pub(super) fn poll_budget(text: &str) -> Option<f64> {
    text.parse().ok().filter(|budget| POLL_BUDGETS.contains(budget))
}

pub(super) fn on_or_off(text: &str) -> Option<bool> {
    match text {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}
