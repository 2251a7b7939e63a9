//! An SMTP server for the test: aiosmtpd in a process of its own (`tests/mail/server.py`).

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use runboard::base::config::{MailConfig, SmtpEncryption, SmtpServer};
use serde::Deserialize;

use super::reserved_port::ReservedPort;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// How long an e-mail may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// How long the server may take for one e-mail.
const SENDS_WITHIN: Duration = Duration::from_secs(30);

pub const FROM: &str = "runboard@example.org";

pub struct MailServer {
    process: Child,
    pub port: u16,
    taken: Arc<Mutex<Vec<Mail>>>,
}

/// A message as the server took it.
#[derive(Clone, Debug, Deserialize)]
pub struct Mail {
    /// The sender and the recipients of the envelope.
    pub from: String,
    pub to: Vec<String>,
    /// Decoded.
    pub headers: Vec<(String, String)>,
    /// The two forms of the body.
    pub text: String,
    pub html: String,
    /// As it came.
    pub raw: String,
    pub encrypted: bool,
    /// Who has signed in to the server.
    pub user: Option<String>,
}

impl MailServer {
    pub fn start() -> Self {
        Self::start_with(0, |_| {})
    }

    /// A server on a port to which e-mails were sent before.
    pub fn start_on(reserved: &ReservedPort) -> Self {
        Self::start_with(reserved.port, |_| {})
    }

    /// A server on a [`ReservedPort`], or on a free one if `port` is 0.
    pub fn start_with(port: u16, prepare: impl FnOnce(&mut Command)) -> Self {
        let python = Path::new(ROOT).join("target/mail/bin/python");
        assert!(python.is_file(), "aiosmtpd is missing. `make setup` installs it.");
        let mut command = Command::new(python);
        command.arg(Path::new(ROOT).join("tests/mail/server.py")).args(["--port", &port.to_string()]);
        prepare(&mut command);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.next().expect("the SMTP server prints its port").parse().unwrap();
        let taken = Arc::<Mutex<Vec<Mail>>>::default();
        let told = Arc::clone(&taken);
        thread::spawn(move || {
            for line in lines {
                told.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        Self { process, port, taken }
    }

    /// Settings that send to it.
    pub fn config(&self) -> MailConfig {
        config_for(self.port)
    }

    pub fn taken(&self) -> Vec<Mail> {
        self.taken.lock().unwrap().clone()
    }

    /// Waits until it has taken so many messages.
    pub async fn wait_for(&self, count: usize) -> Vec<Mail> {
        let start = Instant::now();
        loop {
            let taken = self.taken();
            if taken.len() >= count {
                return taken;
            }
            assert!(start.elapsed() < DEADLINE, "waited for {count} e-mails, got {taken:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for its only message.
    pub async fn only(&self) -> Mail {
        let [mail] = self.wait_for(1).await.try_into().expect("one e-mail");
        mail
    }
}

/// Settings that send to this port of this machine.
pub fn config_for(port: u16) -> MailConfig {
    let server =
        SmtpServer { host: "127.0.0.1".to_owned(), port, encryption: SmtpEncryption::None, login: None };
    MailConfig { server, from: FROM.to_owned(), sends_within: SENDS_WITHIN }
}

impl Mail {
    /// The only header of this name.
    pub fn header(&self, name: &str) -> &str {
        let mut found = self.headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case(name));
        let (_, value) = found.next().unwrap_or_else(|| panic!("no {name}: {:?}", self.headers));
        assert!(found.next().is_none(), "{name} stands there once: {:?}", self.headers);
        value
    }

    /// The first address in the text whose path begins with `path`.
    pub fn link(&self, path: &str) -> &str {
        let found = self.text.split_whitespace().find(|word| {
            word.split_once("://")
                .and_then(|(_, rest)| rest.split_once('/'))
                .is_some_and(|(_, rest)| rest.starts_with(path.trim_start_matches('/')))
        });
        found.unwrap_or_else(|| panic!("no link to {path}: {}", self.text))
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
