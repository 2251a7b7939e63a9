//! One import from one source, however often its request has to be sent.

use std::{
    cell::Cell,
    io,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::stream;
use reqwest::{
    Body, Method, RequestBuilder, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use serde_json::{Map, Value, json};
use tokio::{
    sync::{Notify, mpsc},
    time::timeout,
};

use super::{
    error::ClientError,
    screen::Screen,
    server::{Answer, RemoteServer},
    source::{OpenSource, Source},
    told::ToldImport,
};
use crate::base::config::ReadingArgs;

/// The header with which a request that is sent again makes nothing more.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A new key, which nobody else has.
pub fn new_key() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}

/// How a file is read, as the API takes it in JSON. None if nothing is said.
pub fn reading_json(reading: &ReadingArgs) -> Option<Value> {
    let members: Map<String, Value> =
        reading.said().map(|(_, member, value)| (member.to_owned(), value.into())).collect();
    (!members.is_empty()).then_some(Value::Object(members))
}

/// What is imported, and how.
#[derive(Debug)]
pub struct Wanted<'w> {
    pub source: &'w Source,
    pub name: Option<&'w str>,
    pub reading: &'w ReadingArgs,
    pub look: bool,
    /// Whether all bytes are sent, so that the import may exist although no answer has come.
    pub is_sent: Cell<bool>,
}

impl Wanted<'_> {
    /// Makes the import. A connection that breaks off leads to no second one.
    pub async fn import(&self, server: &RemoteServer, screen: &Screen) -> Result<ToldImport, ClientError> {
        let key = new_key();
        match self.source {
            Source::Address(url) => {
                let body = json!({
                    "url": url.as_str(), "name": self.name, "reading": reading_json(self.reading),
                });
                let request =
                    || server.request(Method::POST, "imports").header(IDEMPOTENCY_KEY, &key).json(&body);
                server.told(&server.make(screen, request).await?)
            }
            Source::File(_) | Source::Input => self.upload(&key, server, screen).await,
        }
    }

    async fn upload(
        &self,
        key: &str,
        server: &RemoteServer,
        screen: &Screen,
    ) -> Result<ToldImport, ClientError> {
        let mut source = self.source.open().await?;
        let (mut failed, mut may_exist) = (0, false);
        loop {
            self.is_sent.set(false);
            let sent = self.send_once(key, &mut source, server, screen).await;
            let error = match sent.and_then(|answer| server.told(&answer)) {
                Ok(import) => return Ok(import),
                Err(error) => error,
            };
            // The server's own refusals say what was made. A proxy that has lost the answer does not know.
            let (is_lost, is_key_used) = match &error {
                ClientError::Broken(_) => (true, false),
                ClientError::Refused { status, .. } => {
                    (matches!(status.as_u16(), 502 | 504), *status == StatusCode::CONFLICT)
                }
                _ => (false, false),
            };
            may_exist |= is_lost && self.is_sent.get();
            failed += 1;
            let error = if failed > 1 && is_key_used {
                ClientError::Other(format!("{} has changed since it was sent first.", self.source.shown()))
            } else if error.is_passing() && !source.can_begin_again() {
                ClientError::Other(format!(
                    "{error} What comes from a pipe cannot be sent again; a file can."
                ))
            } else {
                error
            };
            if error.is_final(failed) {
                return Err(if may_exist { in_doubt(&error) } else { error });
            }
            screen.lost(&error);
            server.rest(error.pause(failed)).await;
        }
    }

    fn shown_name(&self) -> String {
        self.name.map_or_else(|| self.source.name(), str::to_owned)
    }

    fn request(&self, key: &str, server: &RemoteServer) -> RequestBuilder {
        let name = self.shown_name();
        let mut query = vec![("name", name.as_str())];
        query.extend(self.reading.said().map(|(field, _, value)| (field, value)));
        if self.look {
            query.push(("look", "1"));
        }
        let request = server.request_with(Method::POST, "imports", &query);
        request.header(IDEMPOTENCY_KEY, key).header(CONTENT_TYPE, "text/csv")
    }

    /// Sends the request once, with the source as its body.
    async fn send_once(
        &self,
        key: &str,
        source: &mut OpenSource,
        server: &RemoteServer,
        screen: &Screen,
    ) -> Result<Answer, ClientError> {
        source.begin_again().await?;
        screen.uploading(&self.shown_name(), source.length);
        let mut request = self.request(key, server);
        if let Some(length) = source.length {
            request = request.header(CONTENT_LENGTH, length);
        }
        let (body, feed) = body();
        let mut answer = Box::pin(server.answer(request.body(body), Duration::MAX));
        let feeding = feed.all_of(source, &self.is_sent, screen, server);
        tokio::select! {
            // Also a refusal of an upload that has not arrived whole.
            answer = &mut answer => return answer,
            fed = feeding => fed?,
        }
        timeout(server.times.after_upload, answer).await.map_err(|_| server.silent())?
    }
}

/// The end of an upload of which all bytes were sent, and no answer came.
fn in_doubt(error: &ClientError) -> ClientError {
    ClientError::Other(format!("{error} What was sent may have been imported: runboard imports shows it."))
}

/// A part of a body. Only `End` ends it: if the command stops, the server must not take half a file for a whole one.
enum Piece {
    Bytes(Vec<u8>),
    End,
}

struct Feed {
    pieces: mpsc::Sender<Piece>,
    /// Told when the connection wants the first byte.
    is_wanted: Arc<Notify>,
}

/// A body, and what feeds it.
fn body() -> (Body, Feed) {
    let (pieces, mut taken) = mpsc::channel(1);
    let is_wanted = Arc::new(Notify::new());
    let (wanted, mut has_ended) = (Arc::clone(&is_wanted), false);
    let next = move |context: &mut Context<'_>| {
        if has_ended {
            return Poll::Ready(None);
        }
        wanted.notify_one();
        taken.poll_recv(context).map(|piece| match piece {
            Some(Piece::Bytes(bytes)) => Some(Ok(bytes)),
            Some(Piece::End) => {
                has_ended = true;
                None
            }
            None => {
                has_ended = true;
                Some(Err(io::Error::other("the upload was stopped")))
            }
        })
    };
    (Body::wrap_stream(stream::poll_fn(next)), Feed { pieces, is_wanted })
}

impl Feed {
    /// Sends all of the source. It is not read before the server wants it, because a stream can be read only once.
    async fn all_of(
        self,
        source: &mut OpenSource,
        is_sent: &Cell<bool>,
        screen: &Screen,
        server: &RemoteServer,
    ) -> Result<(), ClientError> {
        self.is_wanted.notified().await;
        loop {
            let bytes = source.piece().await?;
            let (length, is_end) = (bytes.len() as u64, bytes.is_empty());
            let piece = if is_end { Piece::End } else { Piece::Bytes(bytes) };
            match timeout(server.times.silence, self.pieces.send(piece)).await {
                Err(_) => return Err(server.silent()),
                // The body was taken whole, or the connection has ended: the answer says which.
                Ok(Err(_)) => return Ok(()),
                Ok(Ok(())) if is_end => {
                    is_sent.set(true);
                    return Ok(());
                }
                Ok(Ok(())) => {
                    // Of a file, the server knows that nothing follows.
                    is_sent.set(source.length == Some(source.read));
                    screen.sent(length);
                }
            }
        }
    }
}
