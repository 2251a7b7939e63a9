//! Hands e-mails over to the SMTP server.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
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

/// What is logged of a server's answer, in characters.
const LONGEST_REASON: usize = 300;

/// The name of the sender beside its address.
const NAME: &str = "Runboard";

/// The connection settings; each e-mail has a connection of its own.
pub(super) struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    /// How long the server may take for one e-mail.
    pub sends_within: Duration,
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

/// What an e-mail is about. A file's name may look like an encoded word (RFC 2047), which mail programs decode, so such
/// a subject is encoded as a whole.
#[derive(Clone)]
struct Subject(String);

/// The bytes of text in an encoded word: in base64 it takes 64 characters, and the first line of the header 73 of the 76
/// that are allowed.
const WORD_BYTES: usize = 39;

impl Header for Subject {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Subject")
    }

    fn parse(text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self(text.to_owned()))
    }

    fn display(&self) -> HeaderValue {
        let text = self.0.clone();
        if !text.contains("=?") {
            return HeaderValue::new(Self::name(), text);
        }
        let encoded = encoded_words(&text);
        HeaderValue::dangerous_new_pre_encoded(Self::name(), text, encoded)
    }
}

/// `text` as encoded words, one a line.
fn encoded_words(text: &str) -> String {
    let (mut words, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let (word, more) = rest.split_at(rest.floor_char_boundary(WORD_BYTES));
        words.push(format!("=?utf-8?b?{}?=", BASE64_STANDARD.encode(word)));
        rest = more;
    }
    words.join("\r\n ")
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
            .timeout(Some(config.sends_within));
        if let Some(login) = login {
            builder = builder.credentials(Credentials::new(
                login.user.expose_secret().to_owned(),
                login.password.expose_secret().to_owned(),
            ));
        }
        if let Some(name) = origin.domain() {
            builder = builder.hello_name(ClientId::Domain(name.to_owned()));
        }
        Ok(Self { transport: builder.build(), from, sends_within: config.sends_within })
    }

    /// Sends one e-mail.
    pub async fn send(&self, id: MailId, to: &str, letter: &Letter) -> Result<(), Unsent> {
        let message = self.message(id, to, letter)?;
        match timeout(self.sends_within, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                let why = reason(&error, to);
                Err(if is_refusal(&error, to) { Unsent::Refused(why) } else { Unsent::ForNow(why) })
            }
            Err(_) => Err(Unsent::ForNow(format!("no answer within {} s", self.sends_within.as_secs()))),
        }
    }

    fn message(&self, id: MailId, to: &str, letter: &Letter) -> Result<Message, Unsent> {
        let unusable = |what: &str| Unsent::ForGood(what.to_owned());
        let to = recipient(to).ok_or_else(|| unusable("no mail can be sent to this address"))?;
        let forms = letter.text().and_then(|text| Ok((text, letter.html()?)));
        let (text, html) = forms.map_err(|error| Unsent::ForGood(error.to_string()))?;
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .header(Subject(letter.subject_line()))
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

/// An address that e-mails can be sent to; None if it is not one.
pub(super) fn recipient(address: &str) -> Option<Address> {
    in_ascii(address).parse().ok()
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
