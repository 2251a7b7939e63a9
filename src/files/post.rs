//! Posts a body to an address: through the guard, within limits, without following redirects.

use std::time::Duration;

use reqwest::{Response, header};
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    Address,
    connect::{self, TargetError},
};
use crate::base::{characters::misleads, config::AllowedAddresses};

/// From resolving the name to the last byte of the answer.
const WHOLE: Duration = Duration::from_secs(15);

/// How long a name may take to resolve while somebody waits for the page.
const LOOKUP: Duration = Duration::from_secs(5);

/// The bytes of an answer that are read.
const MOST_ANSWER_BYTES: usize = 4 << 10;

/// The characters of an answer that are kept.
const MOST_KEPT: usize = 500;

/// Posts to other servers.
#[derive(Clone, Debug)]
pub struct Poster {
    allowed: AllowedAddresses,
}

/// What a server has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostAnswer {
    pub status: u16,
    /// Whole seconds. Dates are ignored.
    pub retry_after: Option<Duration>,
    /// The beginning of the body. Characters that control, reorder or hide others are escaped.
    pub excerpt: String,
}

/// Why there is no answer. The text is part of a sentence for people.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    #[error(transparent)]
    TargetError(#[from] TargetError),
    #[error("the address could not be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("the address did not answer within {} s", WHOLE.as_secs())]
    NoAnswer,
    #[error("this machine cannot make secure connections")]
    NoTls(#[source] reqwest::Error),
}

impl Poster {
    #[must_use]
    pub fn new(allowed: AllowedAddresses) -> Self {
        Self { allowed }
    }

    /// Whether something may be posted to `address`, as far as that is known without connecting to it.
    pub async fn check(&self, address: &Address) -> Result<(), PostError> {
        let addresses = timeout(LOOKUP, connect::resolve(address.url(), &self.allowed)).await;
        addresses.map_err(|_| TargetError::NameNotFound(address.host().to_owned()))??;
        Ok(())
    }

    /// Posts JSON with these headers.
    pub async fn post(
        &self,
        address: &Address,
        headers: &[(&'static str, String)],
        body: String,
    ) -> Result<PostAnswer, PostError> {
        let until = Instant::now() + WHOLE;
        let answer = timeout_at(until, self.ask(address, headers, body)).await;
        let mut response = answer.map_err(|_| PostError::NoAnswer)??;
        let seconds =
            response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let (status, retry_after) = (response.status().as_u16(), seconds.map(Duration::from_secs));
        let mut start = Vec::new();
        // The status is the answer. A body that breaks off changes nothing.
        let _ = timeout_at(until, read_start(&mut response, &mut start)).await;
        Ok(PostAnswer { status, retry_after, excerpt: escaped(&start) })
    }

    async fn ask(
        &self,
        address: &Address,
        headers: &[(&'static str, String)],
        body: String,
    ) -> Result<Response, PostError> {
        let url = address.url();
        let addresses = connect::resolve(url, &self.allowed).await?;
        let client = connect::client(url, addresses).map_err(PostError::NoTls)?;
        let mut request = client.post(url.clone()).header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        request.body(body).send().await.map_err(|error| PostError::Unreachable(error.without_url()))
    }
}

/// Reads at most [`MOST_ANSWER_BYTES`] of the body into `start`.
async fn read_start(response: &mut Response, start: &mut Vec<u8>) {
    while let Ok(Some(bytes)) = response.chunk().await {
        let room = MOST_ANSWER_BYTES - start.len();
        start.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() >= room {
            return;
        }
    }
}

/// A part of an answer as one line of text.
fn escaped(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let shown = text.trim().chars().map(|c| match c {
        '\n' | '\t' | '\r' => ' '.to_string(),
        c if misleads(c) => c.escape_default().to_string(),
        c => c.to_string(),
    });
    shown.take(MOST_KEPT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_answers_is_kept_as_one_short_line() {
        assert_eq!(escaped(b" no\r\nthanks\x1b[31m\0 "), "no  thanks\\u{1b}[31m\\u{0}");
        assert_eq!(escaped("a\u{202e}b\u{2066}\u{200b}".as_bytes()), "a\\u{202e}b\\u{2066}\\u{200b}");
        assert_eq!(escaped(b"\xff"), "\u{fffd}");
        assert_eq!(escaped(&[b'a'; 4096]).chars().count(), MOST_KEPT);
    }
}
