//! Selects the engine that runs the functions: Inngest if a variable is set that selects it, else the embedded
//! engine.

use std::net::SocketAddr;

use secrecy::SecretString;
use url::Url;

use super::{
    Args, ConfigError,
    check::{self, check, optional},
};

/// The addresses of Inngest's cloud: its REST API, and the API that takes events.
const CLOUD_API: &str = "https://api.inngest.com";
const CLOUD_EVENT_API: &str = "https://inn.gs";

/// The default address of a dev server.
const DEV_SERVER: &str = "http://localhost:8288";

/// The default path at which the engine calls our functions.
const SERVE_PATH: &str = "/api/inngest";

/// The prefix of every API key.
const API_KEY_PREFIX: &str = "sk-inn-api-";

/// A dev server accepts any event key, but the path must contain one.
const ANY_EVENT_KEY: &str = "dev";

/// The engine that runs the functions.
#[derive(Clone, Debug)]
pub enum EngineConfig {
    /// The embedded engine. `Exposed` is set if others may reach its API.
    Embedded(Option<Exposed>),
    Inngest(Box<Inngest>),
}

/// How others reach the embedded engine's API.
#[derive(Clone, Debug)]
pub struct Exposed {
    /// `RUNBOARD_ENGINE_LISTEN`.
    pub listen: SocketAddr,
    /// `RUNBOARD_ENGINE_EVENT_KEY`.
    pub event_key: SecretString,
    /// `RUNBOARD_ENGINE_SIGNING_KEY`.
    pub signing_key: SecretString,
}

/// An Inngest server, and how it reaches Runboard.
#[derive(Clone, Debug)]
pub struct Inngest {
    /// A dev server has no keys and signs nothing.
    pub is_dev: bool,
    /// The address of all APIs except the event API. May have a path.
    pub api: Url,
    /// The address that takes events. May have a path.
    pub event_api: Url,
    /// `INNGEST_EVENT_KEY`.
    pub event_key: SecretString,
    /// `INNGEST_SIGNING_KEY`, then `INNGEST_SIGNING_KEY_FALLBACK`. Empty only for a dev server.
    pub signing_keys: Vec<SecretString>,
    /// `INNGEST_API_KEY`: for the v2 API.
    pub api_key: Option<SecretString>,
    /// `INNGEST_ENV`.
    pub env: Option<String>,
    /// `INNGEST_SERVE_ORIGIN`, else the public URL. None, only for a dev server: our own listen address.
    pub serve_origin: Option<Url>,
    /// `INNGEST_SERVE_PATH`.
    pub serve_path: String,
}

impl EngineConfig {
    pub(super) fn from_args(
        args: &Args,
        listen: SocketAddr,
        public_url: Option<&Url>,
    ) -> Result<Self, ConfigError> {
        match (Inngest::from_args(args, listen, public_url)?, Exposed::from_args(args)?) {
            (None, exposed) => Ok(Self::Embedded(exposed)),
            (Some(inngest), None) => Ok(Self::Inngest(Box::new(inngest))),
            (Some(_), Some(_)) => Err(ConfigError::Contradiction {
                one: "RUNBOARD_ENGINE_LISTEN",
                other: selecting(args).unwrap_or("INNGEST_DEV"),
                why: "the first shows the embedded engine to others, the second selects Inngest instead of it",
            }),
        }
    }
}

/// The variable that selects Inngest, if one is set.
fn selecting(args: &Args) -> Option<&'static str> {
    let inngest = &args.inngest;
    let dev = optional(inngest.inngest_dev.as_ref()).filter(|dev| !is_off(dev));
    [
        ("INNGEST_DEV", dev),
        ("INNGEST_EVENT_KEY", optional(inngest.inngest_event_key.as_ref())),
        ("INNGEST_SIGNING_KEY", optional(inngest.inngest_signing_key.as_ref())),
        ("INNGEST_API_KEY", optional(inngest.inngest_api_key.as_ref())),
        ("INNGEST_BASE_URL", optional(inngest.inngest_base_url.as_ref())),
        ("INNGEST_API_BASE_URL", optional(inngest.inngest_api_base_url.as_ref())),
        ("INNGEST_EVENT_API_BASE_URL", optional(inngest.inngest_event_api_base_url.as_ref())),
    ]
    .into_iter()
    .find_map(|(variable, value)| value.map(|_| variable))
}

fn is_off(dev: &str) -> bool {
    matches!(dev, "0" | "false")
}

impl Inngest {
    /// None: no variable selects Inngest.
    fn from_args(
        args: &Args,
        listen: SocketAddr,
        public_url: Option<&Url>,
    ) -> Result<Option<Self>, ConfigError> {
        if selecting(args).is_none() {
            return Ok(None);
        }
        let args = &args.inngest;
        let dev = dev_server(optional(args.inngest_dev.as_ref()))?;
        let is_dev = dev.is_some();
        if is_dev && !listen.ip().is_loopback() {
            return Err(ConfigError::Contradiction {
                one: "INNGEST_DEV",
                other: "RUNBOARD_LISTEN",
                why: "a dev server signs nothing, so anyone who can connect could call the function; \
                      listen on 127.0.0.1, or use a server with keys",
            });
        }
        let base = check::base_url("INNGEST_BASE_URL", args.inngest_base_url.as_ref())?;
        let api = check::base_url("INNGEST_API_BASE_URL", args.inngest_api_base_url.as_ref())?;
        let event_api =
            check::base_url("INNGEST_EVENT_API_BASE_URL", args.inngest_event_api_base_url.as_ref())?;
        let server = base.or(dev);
        let or_cloud = |address: Option<Url>, cloud: &str| {
            address.or_else(|| server.clone()).unwrap_or_else(|| known(cloud))
        };
        let event_key = match optional(args.inngest_event_key.as_ref()) {
            Some(key) => printable("INNGEST_EVENT_KEY", key)?,
            None if is_dev => ANY_EVENT_KEY.into(),
            None => return Err(missing("INNGEST_EVENT_KEY", "events are sent with it")),
        };
        let mut signing_keys = Vec::new();
        if let Some(key) = optional(args.inngest_signing_key.as_ref()) {
            signing_keys.push(signing_key("INNGEST_SIGNING_KEY", key)?);
        } else if !is_dev {
            return Err(missing("INNGEST_SIGNING_KEY", "it is the key that proves each side to the other"));
        }
        if let Some(key) = optional(args.inngest_signing_key_fallback.as_ref()) {
            signing_keys.push(signing_key("INNGEST_SIGNING_KEY_FALLBACK", key)?);
        }
        let serve_origin = check::origin("INNGEST_SERVE_ORIGIN", args.inngest_serve_origin.as_ref())?
            .or_else(|| public_url.cloned());
        if serve_origin.is_none() && !is_dev {
            return Err(missing(
                "RUNBOARD_PUBLIC_URL",
                "Inngest calls us there; INNGEST_SERVE_ORIGIN will do, if Inngest reaches us elsewhere",
            ));
        }
        Ok(Some(Self {
            is_dev,
            api: or_cloud(api, CLOUD_API),
            event_api: or_cloud(event_api, CLOUD_EVENT_API),
            event_key,
            signing_keys,
            api_key: optional(args.inngest_api_key.as_ref()).map(api_key).transpose()?,
            env: optional(args.inngest_env.as_ref()).map(environment).transpose()?,
            serve_origin,
            serve_path: check(
                "INNGEST_SERVE_PATH",
                optional(args.inngest_serve_path.as_ref()).unwrap_or(SERVE_PATH),
                "a path such as /api/inngest",
                path,
            )?,
        }))
    }
}

impl Exposed {
    fn from_args(args: &Args) -> Result<Option<Self>, ConfigError> {
        let Some(listen) = optional(args.engine_listen.as_ref()) else { return Ok(None) };
        let listen = check(
            "RUNBOARD_ENGINE_LISTEN",
            listen,
            "an IP address and a port, such as 127.0.0.1:8288",
            |text| text.parse().ok(),
        )?;
        let key = |variable, value: Option<&String>| match optional(value) {
            Some(key) => printable(variable, key),
            None => Err(missing(
                variable,
                "RUNBOARD_ENGINE_LISTEN exposes the engine to others, who need this key",
            )),
        };
        let signing_key = key("RUNBOARD_ENGINE_SIGNING_KEY", args.engine_signing_key.as_ref())?;
        if !is_hexadecimal(args.engine_signing_key.as_deref().unwrap_or_default()) {
            return Err(ConfigError::InvalidSecret {
                variable: "RUNBOARD_ENGINE_SIGNING_KEY",
                // SDKs hash the decoded bytes, and disagree about text that is not hexadecimal.
                allowed: "an even number of hexadecimal digits, with or without signkey-...- in front, \
                          such as openssl rand -hex 32 makes",
            });
        }
        Ok(Some(Self {
            listen,
            event_key: key("RUNBOARD_ENGINE_EVENT_KEY", args.engine_event_key.as_ref())?,
            signing_key,
        }))
    }
}

/// The dev server that `INNGEST_DEV` names.
fn dev_server(value: Option<&str>) -> Result<Option<Url>, ConfigError> {
    match value {
        None => Ok(None),
        Some(off) if is_off(off) => Ok(None),
        Some("1" | "true") => Ok(Some(known(DEV_SERVER))),
        Some(address) => match check::plain_address(address) {
            Some(url) => Ok(Some(url)),
            None => Err(ConfigError::Invalid {
                variable: "INNGEST_DEV",
                value: check::scheme_only(address),
                allowed: "1, 0, or the http or https address of a dev server, such as http://127.0.0.1:8288",
            }),
        },
    }
}

fn known(address: &str) -> Url {
    Url::parse(address).expect("one of the addresses above")
}

fn missing(variable: &'static str, why: &'static str) -> ConfigError {
    ConfigError::Missing { variable, why }
}

/// A key that is valid in a header and in a path.
fn printable(variable: &'static str, key: &str) -> Result<SecretString, ConfigError> {
    if key.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(key.into())
    } else {
        Err(ConfigError::InvalidSecret { variable, allowed: "printable ASCII without spaces" })
    }
}

/// A signing key with text after its prefix. An empty key would let anybody sign.
fn signing_key(variable: &'static str, key: &str) -> Result<SecretString, ConfigError> {
    if without_prefix(key).is_empty() {
        return Err(ConfigError::InvalidSecret {
            variable,
            allowed: "a key, not only what stands in front of it",
        });
    }
    printable(variable, key)
}

/// An API key. The prefix check finds a signing key or an event key that was set here by mistake.
fn api_key(key: &str) -> Result<SecretString, ConfigError> {
    let is_one = key.strip_prefix(API_KEY_PREFIX).is_some_and(|rest| !rest.is_empty());
    if !is_one || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ConfigError::InvalidSecret {
            variable: "INNGEST_API_KEY",
            allowed: "an API key of Inngest, which begins with sk-inn-api-",
        });
    }
    Ok(key.into())
}

/// Returns `12ab` for `signkey-prod-12ab`.
fn without_prefix(key: &str) -> &str {
    let rest = key.strip_prefix("signkey-").and_then(|rest| rest.split_once('-'));
    rest.map_or(key, |(_, digits)| digits)
}

fn is_hexadecimal(key: &str) -> bool {
    let digits = without_prefix(key);
    !digits.is_empty()
        && digits.len().is_multiple_of(2)
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn environment(name: &str) -> Result<String, ConfigError> {
    check("INNGEST_ENV", name, "the name of an environment, printable ASCII", |name| {
        name.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ').then(|| name.to_owned())
    })
}

/// An absolute path without characters that a route would read as a pattern.
fn path(text: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let is_one = text.len() > 1 && text.starts_with('/') && !text.ends_with('/');
    (is_one && text.bytes().all(allowed)).then(|| text.to_owned())
}
