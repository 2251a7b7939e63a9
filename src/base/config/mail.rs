//! E-mail: `RUNBOARD_SMTP_URL` and `RUNBOARD_MAIL_FROM`.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use url::Url;

use super::{
    ConfigError,
    args::Args,
    check::{check, optional, scheme_only},
};

/// Where e-mails are handed over, and who they are from.
#[derive(Clone, Debug)]
pub struct MailConfig {
    /// `RUNBOARD_SMTP_URL`.
    pub server: SmtpServer,
    /// `RUNBOARD_MAIL_FROM`: an address in ASCII.
    pub from: String,
    /// How long the server may take for one e-mail, from the connection to its confirmation. Not a setting.
    pub sends_within: Duration,
}

/// An SMTP server. As text its host and port, which are no secret.
#[derive(Clone, Debug)]
pub struct SmtpServer {
    /// A name or an IP address, without brackets.
    pub host: String,
    pub port: u16,
    pub encryption: SmtpEncryption,
    pub login: Option<SmtpLogin>,
}

/// How the connection to an SMTP server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpEncryption {
    /// Not at all: `smtp:`.
    None,
    /// If the server offers it: `?tls=opportunistic`.
    IfOffered,
    /// By STARTTLS, without which nothing is sent: `?tls=required`.
    StartTls,
    /// From the first byte: `smtps:`.
    FromTheStart,
}

/// What the server asks for. Some providers use one secret as both.
#[derive(Clone, Debug)]
pub struct SmtpLogin {
    pub user: SecretString,
    pub password: SecretString,
}

/// The ports of plain SMTP (RFC 5321), of submission, and of submission over TLS (RFC 8314).
const SMTP_PORT: u16 = 25;
const SUBMISSION_PORT: u16 = 587;
const SUBMISSIONS_PORT: u16 = 465;

/// Some servers greet late on purpose.
const SENDS_WITHIN: Duration = Duration::from_secs(30);

/// The longest address that mail can be sent from (RFC 5321 section 4.5.3.1.3, without the brackets).
const LONGEST_ADDRESS: usize = 254;

impl MailConfig {
    /// None unless `RUNBOARD_SMTP_URL` is set.
    pub(super) fn from_args(
        args: &Args,
        listen: SocketAddr,
        public_url: Option<&Url>,
    ) -> Result<Option<Self>, ConfigError> {
        let from = match optional(args.mail_from.as_ref()) {
            Some(text) => Some(check(
                "RUNBOARD_MAIL_FROM",
                text,
                "an e-mail address in ASCII, without a name, such as runboard@example.org",
                sender,
            )?),
            None => None,
        };
        let Some(url) = optional(args.smtp_url.as_ref()) else { return Ok(None) };
        let server = smtp_server(url)?;
        let why = "e-mails need a sender, such as runboard@example.org";
        let from = from.ok_or(ConfigError::Missing { variable: "RUNBOARD_MAIL_FROM", why })?;
        if public_url.is_none() && listen.ip().is_unspecified() {
            return Err(ConfigError::Missing {
                variable: "RUNBOARD_PUBLIC_URL",
                why: "the links in e-mails need the address that people type, and RUNBOARD_LISTEN is none",
            });
        }
        Ok(Some(Self { server, from, sends_within: SENDS_WITHIN }))
    }
}

impl SmtpServer {
    /// Whether nothing that is sent there leaves this machine.
    fn is_here(&self) -> bool {
        self.host.parse::<IpAddr>().map_or(self.host == "localhost", |ip| ip.is_loopback())
    }
}

impl fmt::Display for SmtpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

fn smtp_server(text: &str) -> Result<SmtpServer, ConfigError> {
    let refused =
        |allowed| ConfigError::Invalid { variable: "RUNBOARD_SMTP_URL", value: scheme_only(text), allowed };
    let server = parse_smtp_url(text).ok_or_else(|| {
        refused(
            "smtps://user:password@host:port, or smtp:// with ?tls=required, ?tls=opportunistic or neither; a \
             special character in the user or password is written as in a URL, such as %40 for @",
        )
    })?;
    let is_private = matches!(server.encryption, SmtpEncryption::StartTls | SmtpEncryption::FromTheStart);
    if server.login.is_some() && !is_private && !server.is_here() {
        return Err(refused(
            "smtps://, or smtp:// with ?tls=required: a password is sent to another machine only encrypted",
        ));
    }
    Ok(server)
}

fn parse_smtp_url(text: &str) -> Option<SmtpServer> {
    let url = Url::parse(text).ok()?;
    let (encryption, default_port) = match (url.scheme(), url.query()) {
        ("smtp", None) => (SmtpEncryption::None, SMTP_PORT),
        ("smtp", Some("tls=opportunistic")) => (SmtpEncryption::IfOffered, SUBMISSION_PORT),
        ("smtp", Some("tls=required")) => (SmtpEncryption::StartTls, SUBMISSION_PORT),
        ("smtps", None | Some("tls=required")) => (SmtpEncryption::FromTheStart, SUBMISSIONS_PORT),
        _ => return None,
    };
    if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
        return None;
    }
    let host = url.host_str()?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_name = |host: &str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    if host.parse::<IpAddr>().is_err() && !is_name(host) {
        return None;
    }
    let login = match (url.username(), url.password()) {
        ("", None) => None,
        ("", Some(_)) | (_, None) => return None,
        (user, Some(password)) => Some(SmtpLogin { user: decoded(user)?, password: decoded(password)? }),
    };
    Some(SmtpServer { host: host.to_owned(), port: url.port().unwrap_or(default_port), encryption, login })
        .filter(|server| server.port > 0)
}

fn decoded(part: &str) -> Option<SecretString> {
    percent_decode_str(part).decode_utf8().ok().map(|text| SecretString::from(text.into_owned()))
}

/// The address of a sender. Stricter than the addresses of accounts, because every server must take it.
fn sender(text: &str) -> Option<String> {
    let (local, domain) = text.rsplit_once('@')?;
    let is_local = !local.is_empty()
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && local.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte));
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    (text.len() <= LONGEST_ADDRESS && is_local && domain.split('.').all(is_label)).then(|| text.to_owned())
}
