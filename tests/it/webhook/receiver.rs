//! A receiver of webhooks on loopback, which verifies each message with the reference library.

use std::sync::{Arc, Mutex};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::support::until;

/// What was posted.
#[derive(Clone, Debug)]
pub struct Message {
    /// `POST /path HTTP/1.1`
    pub line: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Message {
    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn is_signed_with(&self, secret: &str) -> bool {
        Webhook::new(secret).unwrap().verify(self.body.as_bytes(), &self.headers).is_ok()
    }
}

/// How a receiver answers.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A status with its reason, more header lines, and a body.
    Status(&'static str, &'static str, &'static str),
    /// Nothing, on an open connection.
    Silence,
}

pub const OK: Reply = Reply::Status("204 No Content", "", "");

pub struct Receiver {
    port: u16,
    received: Arc<Mutex<Vec<Message>>>,
}

impl Receiver {
    /// `answer` gets the number of earlier messages.
    pub async fn start(answer: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let received = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&received), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(take(stream, Arc::clone(&log), Arc::clone(&answer)));
            }
        });
        Self { port, received }
    }

    pub async fn that_takes_all() -> Self {
        Self::start(|_| OK).await
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook?key=hidden", self.port)
    }

    /// The value of `RUNBOARD_ALLOW_ADDRESSES` for this receiver.
    pub fn allowed(&self) -> String {
        format!("127.0.0.1/32:{}", self.port)
    }

    pub fn received(&self) -> Vec<Message> {
        self.received.lock().unwrap().clone()
    }

    /// Waits for so many messages.
    pub async fn wait_for(&self, count: usize) -> Vec<Message> {
        until(&format!("{count} messages"), || self.received().len() >= count).await;
        self.received()
    }
}

async fn take(mut stream: TcpStream, log: Arc<Mutex<Vec<Message>>>, answer: Arc<impl Fn(usize) -> Reply>) {
    let mut reader = BufReader::new(&mut stream);
    let (mut line, mut headers) = (String::new(), HeaderMap::new());
    loop {
        let mut next = String::new();
        if reader.read_line(&mut next).await.unwrap_or(0) == 0 {
            return;
        }
        let next = next.trim_end();
        if next.is_empty() {
            break;
        }
        match next.split_once(": ") {
            Some((name, value)) if !line.is_empty() => {
                let name: HeaderName = name.parse().unwrap();
                headers.append(name, HeaderValue::from_str(value).unwrap());
            }
            _ => line = next.to_owned(),
        }
    }
    let length: usize = headers["content-length"].to_str().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).await.is_err() {
        return;
    }
    let before = {
        let mut log = log.lock().unwrap();
        log.push(Message { line, headers, body: String::from_utf8(body).unwrap() });
        log.len() - 1
    };
    match answer(before) {
        Reply::Status(status, more, body) => {
            let answer = format!(
                "HTTP/1.1 {status}\r\n{more}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
        Reply::Silence => std::future::pending().await,
    }
}
