//! Hands e-mails over to the SMTP server.

use std::time::Duration;

use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{
        Mailbox, MultiPart,
        header::{Header, HeaderName, HeaderValue},
    },
    transport::smtp::{
        self,
        authentication::Credentials,
        client::{Tls, TlsParameters},
        extension::ClientId,
    },
};
use secrecy::ExposeSecret;
use tokio::time::timeout;
use url::Url;

use super::letter::Letter;
use crate::base::{
    config::{MailConfig, SmtpEncryption, SmtpServer},
    ids::MailId,
};

/// How long the server may take for one e-mail, from the connection to its confirmation.
const SENDS_WITHIN: Duration = Duration::from_secs(30);

/// What is logged of a server's answer, in characters.
const LONGEST_REASON: usize = 300;

/// The name of the sender beside its address.
const NAME: &str = "Runboard";

/// The connection settings; each e-mail has a connection of its own.
pub(super) struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// The settings of the server cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SmtpSetupError {
    #[error("RUNBOARD_MAIL_FROM is no address that mail can be sent from: {0}")]
    From(#[from] lettre::address::AddressError),
    #[error("TLS to the server of RUNBOARD_SMTP_URL cannot be set up: {0}")]
    Tls(#[from] smtp::Error),
}

/// Why an e-mail was not sent, for the log: without addresses and links.
#[derive(Debug)]
pub(super) enum Unsent {
    /// Another attempt may succeed.
    ForNow(String),
    /// The server says that it will never take it. The answer may be to the recipient, or to the sender or the
    /// connection, which an operator can correct: the library does not tell which.
    Refused(String),
    /// No server would take it.
    ForGood(String),
}

/// Says that no person wrote it, so that no program answers (RFC 3834 section 5).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl Smtp {
    /// `origin` is our own address, which gives the name in the greeting.
    pub fn new(config: &MailConfig, origin: &Url) -> Result<Self, SmtpSetupError> {
        let from = Mailbox::new(Some(NAME.to_owned()), config.from.parse::<Address>()?);
        let SmtpServer { host, port, encryption, login } = &config.server;
        // The certificates that the system trusts, or those of SSL_CERT_FILE, as for every other connection.
        let parameters = || TlsParameters::new(host.clone());
        let tls = match encryption {
            SmtpEncryption::None => Tls::None,
            SmtpEncryption::IfOffered => Tls::Opportunistic(parameters()?),
            SmtpEncryption::StartTls => Tls::Required(parameters()?),
            SmtpEncryption::FromTheStart => Tls::Wrapper(parameters()?),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host.clone())
            .port(*port)
            .tls(tls)
            .timeout(Some(SENDS_WITHIN));
        if let Some(login) = login {
            builder = builder.credentials(Credentials::new(
                login.user.expose_secret().to_owned(),
                login.password.expose_secret().to_owned(),
            ));
        }
        if let Some(name) = origin.domain() {
            builder = builder.hello_name(ClientId::Domain(name.to_owned()));
        }
        Ok(Self { transport: builder.build(), from })
    }

    /// Sends one e-mail.
    pub async fn send(&self, id: MailId, to: &str, letter: &Letter) -> Result<(), Unsent> {
        let message = self.message(id, to, letter)?;
        match timeout(SENDS_WITHIN, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                let why = reason(&error, to);
                Err(if is_refusal(&error, to) { Unsent::Refused(why) } else { Unsent::ForNow(why) })
            }
            Err(_) => Err(Unsent::ForNow(format!("no answer within {} s", SENDS_WITHIN.as_secs()))),
        }
    }

    fn message(&self, id: MailId, to: &str, letter: &Letter) -> Result<Message, Unsent> {
        let unusable = |what: &str| Unsent::ForGood(what.to_owned());
        let to = in_ascii(to).parse().map_err(|_| unusable("no mail can be sent to this address"))?;
        let forms = letter.text().and_then(|text| Ok((text, letter.html()?)));
        let (text, html) = forms.map_err(|error| Unsent::ForGood(error.to_string()))?;
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(letter.subject_line())
            .message_id(Some(format!("<{id}@{}>", self.from.email.domain())))
            .header(AutoSubmitted)
            .multipart(MultiPart::alternative_plain_html(text, html))
            .map_err(|error| Unsent::ForGood(error.to_string()))
    }
}

/// Whether the server may refuse this recipient or this message. A refused login (530, 534, 535, 538) or command (500
/// to 504) is always a matter of the settings.
fn is_refusal(error: &smtp::Error, to: &str) -> bool {
    let code = error.status().map(u16::from);
    // Not every server takes an address with other letters than ASCII.
    let is_not_understood = error.is_client() && !in_ascii(to).is_ascii();
    matches!(code, Some(550..=559)) || is_not_understood
}

/// The error, without the recipient.
fn reason(error: &smtp::Error, to: &str) -> String {
    let text = error.to_string().replace(to, "...").replace(&in_ascii(to), "...");
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_REASON).collect()
}

/// The address that an e-mail is sent to, with its domain in ASCII, which every server understands.
fn in_ascii(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => match url::Host::parse(domain) {
            Ok(url::Host::Domain(domain)) => format!("{local}@{domain}"),
            _ => address.to_owned(),
        },
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_written_in_ascii() {
        for (address, expected) in [
            ("zoë@bücher.example", "zoë@xn--bcher-kva.example"),
            ("root@localhost", "root@localhost"),
            ("a@127.0.0.1", "a@127.0.0.1"),
        ] {
            assert_eq!(in_ascii(address), expected);
        }
    }
}
