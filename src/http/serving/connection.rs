//! One connection: refusals before there is a request, and answers that no handler sees.

use std::{
    cell::{Cell, OnceCell, RefCell},
    io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use actix_http::error::DispatchError;
use actix_web::rt::net::TcpStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{ServeOptions, connections::ConnectionSlot};

/// The beginning of actix's own answers to malformed heads, which bypass our handlers.
const CLIENT_ERROR: &[u8] = b"HTTP/1.1 4";
const END_OF_HEAD: &[u8] = b"\r\n\r\n";
/// A header that every answer of ours has.
const OURS: &[u8] = b"x-content-type-options";

/// The most bytes that are read in one turn while they may contain the head of a request. actix decodes all
/// heads in its buffer and keeps some KB for each: 128 KiB of short heads would take 34 MB per connection.
const HEAD_BYTES: usize = 1024;

/// The most body bytes that actix may have read but no handler has taken: 128 KiB raw, and as many decoded.
const READ_AHEAD: u64 = 256 << 10;

pub struct Connection {
    stream: TcpStream,
    activity: Rc<Activity>,
    /// Ends the wait for the head of a later request; actix's own deadline covers only the first.
    head_deadline: Option<Pin<Box<Sleep>>>,
    head_within: Duration,
    /// The bytes read in this turn, which may belong to heads.
    read_in_turn: usize,
    /// Aborts an answer of which the client takes no byte. None while bytes are sent.
    write_deadline: Option<Pin<Box<Sleep>>>,
    write_within: Duration,
    header_lines: Arc<str>,
    rewriting: Option<Rewriting>,
    _slot: ConnectionSlot,
}

/// Whether a connection has active requests.
#[derive(Debug, Default)]
pub struct Activity {
    in_flight: Cell<usize>,
    /// When the last request ended. None during a request, and before the first.
    idle_since: Cell<Option<Instant>>,
    to_come: Cell<ToCome>,
    /// Woken when no request is active.
    reader: RefCell<Option<Waker>>,
    /// Whether the client has closed its side.
    has_hung_up: Cell<bool>,
    /// Cancelled when it does. None until a request waits so long that it wants to know.
    hang_up: OnceCell<CancellationToken>,
}

/// The rest of the active request's body that no handler has taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ToCome {
    #[default]
    Nothing,
    Bytes(u64),
    /// A body without a length.
    Unknown,
}

/// An active request, until it is dropped.
#[derive(Debug)]
pub struct InFlight(Rc<Activity>);

impl Activity {
    pub fn begin(self: &Rc<Self>) -> InFlight {
        self.in_flight.set(self.in_flight.get() + 1);
        self.idle_since.set(None);
        InFlight(Rc::clone(self))
    }

    pub fn expect(&self, to_come: ToCome) {
        self.to_come.set(to_come);
    }

    /// A handler has taken `bytes` bytes of the body.
    pub fn body_was_read(&self, bytes: u64) {
        if let ToCome::Bytes(left) = self.to_come.get() {
            self.to_come.set(ToCome::Bytes(left.saturating_sub(bytes)));
        }
    }

    /// Is cancelled once the client has closed its side. Bytes behind the request hide that.
    pub fn hang_up(&self) -> CancellationToken {
        let hang_up = self.hang_up.get_or_init(CancellationToken::new);
        if self.has_hung_up.get() {
            hang_up.cancel();
        }
        // It looks for the end of the stream from now on.
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        hang_up.clone()
    }

    fn client_hung_up(&self) {
        self.has_hung_up.set(true);
        if let Some(hang_up) = self.hang_up.get() {
            hang_up.cancel();
        }
    }

    /// Whether a request waits for the end of the stream, which has not come yet.
    fn looks_for_the_end(&self) -> bool {
        self.hang_up.get().is_some() && !self.has_hung_up.get()
    }

    /// Whether bytes that arrive now can only belong to later requests.
    fn is_busy(&self) -> bool {
        self.in_flight.get() > 0 && matches!(self.to_come.get(), ToCome::Nothing | ToCome::Bytes(0))
    }

    /// Whether the next `bytes` certainly belong to the active body, whatever actix has read of it already.
    fn is_body(&self, bytes: usize) -> bool {
        let certain = READ_AHEAD.saturating_add(bytes as u64);
        matches!(self.to_come.get(), ToCome::Bytes(left) if left >= certain)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let left = self.0.in_flight.get() - 1;
        self.0.in_flight.set(left);
        if left == 0 {
            self.0.idle_since.set(Some(Instant::now()));
            self.0.to_come.set(ToCome::Nothing);
            if let Some(reader) = self.0.reader.take() {
                reader.wake();
            }
        }
    }
}

/// An answer that is being sent in place of a shorter one.
struct Rewriting {
    bytes: Vec<u8>,
    written: usize,
    /// The length of the answer that it replaces.
    replaced: usize,
}

impl Connection {
    /// Accepts a connection. One above the limit of its address is closed at once.
    pub fn accept(
        stream: TcpStream,
        options: &ServeOptions,
    ) -> Result<(Self, Option<SocketAddr>), DispatchError> {
        let peer = stream.peer_addr().map_err(DispatchError::Io)?;
        let refused = || DispatchError::Io(io::ErrorKind::ConnectionRefused.into());
        let slot = options.connections.slot(peer.ip()).ok_or_else(refused)?;
        // Answers are written whole, so waiting for more bytes would only delay them.
        stream.set_nodelay(true).map_err(DispatchError::Io)?;
        let connection = Self {
            stream,
            activity: Rc::default(),
            head_deadline: None,
            head_within: options.limits.head,
            read_in_turn: 0,
            write_deadline: None,
            write_within: options.limits.write_pause,
            header_lines: Arc::clone(&options.header_lines),
            rewriting: None,
            _slot: slot,
        };
        Ok((connection, Some(peer)))
    }

    pub fn activity(&self) -> Rc<Activity> {
        Rc::clone(&self.activity)
    }

    /// Whether the next head has taken too long.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(since) = self.activity.idle_since.get() else { return false };
        let deadline = since + self.head_within;
        let sleep = self.head_deadline.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx).is_ready()
    }

    /// Reads a few heads at most, then lets actix handle them before it reads more.
    fn poll_heads(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read_in_turn >= HEAD_BYTES {
            self.read_in_turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut bytes = [0; HEAD_BYTES];
        let most = (HEAD_BYTES - self.read_in_turn).min(buf.remaining());
        let mut heads = ReadBuf::new(&mut bytes[..most]);
        if Pin::new(&mut self.stream).poll_read(cx, &mut heads)?.is_pending() {
            self.read_in_turn = 0;
            return Poll::Pending;
        }
        if most > 0 && heads.filled().is_empty() {
            self.activity.client_hung_up();
        }
        self.read_in_turn += heads.filled().len();
        buf.put_slice(heads.filled());
        Poll::Ready(Ok(()))
    }

    /// Writes to the client. Fails once the client has taken no byte for `write_within`. A client that never
    /// reads would otherwise keep its connection, and the answers to it, forever.
    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(cx, bytes) {
            self.write_deadline = None;
            return Poll::Ready(written);
        }
        let within = self.write_within;
        let deadline = self.write_deadline.get_or_insert_with(|| Box::pin(sleep(within)));
        deadline.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_late(cx) {
            // As if the client had hung up.
            return Poll::Ready(Ok(()));
        }
        let activity = &self.activity;
        if activity.is_busy() {
            // Later requests are not read now: they would wait in memory.
            activity.reader.replace(Some(cx.waker().clone()));
            let mut byte = [0];
            if activity.looks_for_the_end()
                && let Poll::Ready(Ok(0) | Err(_)) = self.stream.poll_peek(cx, &mut ReadBuf::new(&mut byte))
            {
                activity.client_hung_up();
            }
            return Poll::Pending;
        }
        if activity.is_body(buf.remaining()) {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        self.poll_heads(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.rewriting.is_none() && this.activity.in_flight.get() == 0 && is_bare(buf) {
            this.rewriting = Some(Rewriting {
                bytes: with_lines(buf, &this.header_lines),
                written: 0,
                replaced: buf.len(),
            });
        }
        let Some(mut rewriting) = this.rewriting.take() else { return this.poll_send(cx, buf) };
        while rewriting.written < rewriting.bytes.len() {
            match this.poll_send(cx, &rewriting.bytes[rewriting.written..]) {
                Poll::Pending => {
                    this.rewriting = Some(rewriting);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => rewriting.written += written,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(rewriting.replaced))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Whether `answer` is a complete answer of actix itself: a client error without a body and without our
/// headers.
fn is_bare(answer: &[u8]) -> bool {
    answer.starts_with(CLIENT_ERROR)
        && memchr::memmem::find(answer, END_OF_HEAD) == answer.len().checked_sub(END_OF_HEAD.len())
        && memchr::memmem::find(answer, OURS).is_none()
}

fn with_lines(answer: &[u8], lines: &str) -> Vec<u8> {
    let (head, end) = answer.split_at(answer.len() - END_OF_HEAD.len() + 2);
    [head, lines.as_bytes(), end].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_client_error_without_a_body_and_our_headers_is_bare() {
        let bare = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\ndate: now\r\n\r\n";
        assert!(is_bare(bare));
        for answer in [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"[..],
            b"HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\nabc",
            b"HTTP/1.1 401 Unauthorized\r\nx-content-type-options: nosniff\r\n\r\n",
            b"HTTP/1.1 400 Bad",
            b"",
        ] {
            assert!(!is_bare(answer), "{}", String::from_utf8_lossy(answer));
        }
        let with = with_lines(bare, "x-content-type-options: nosniff\r\n");
        assert!(with.ends_with(b"date: now\r\nx-content-type-options: nosniff\r\n\r\n"));
    }
}
