//! One connection: what is refused before there is a request, and what no handler sees.

use std::{
    cell::Cell,
    io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use actix_http::error::DispatchError;
use actix_web::rt::net::TcpStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep, sleep_until},
};

use super::{Options, connections::Place};

/// How the answers begin that actix gives to heads that it cannot read: nothing of ours sees those.
const CLIENT_ERROR: &[u8] = b"HTTP/1.1 4";
const END_OF_HEAD: &[u8] = b"\r\n\r\n";
/// The name of a header that every answer of ours has.
const OURS: &[u8] = b"x-content-type-options";

pub struct Connection {
    stream: TcpStream,
    activity: Rc<Activity>,
    /// Ends the wait for the head of a later request; actix's own deadline is for the first one only.
    head_deadline: Option<Pin<Box<Sleep>>>,
    head_within: Duration,
    /// Ends an answer of which the client takes no byte; None while bytes go out.
    write_deadline: Option<Pin<Box<Sleep>>>,
    write_within: Duration,
    header_lines: Arc<str>,
    rewriting: Option<Rewriting>,
    _place: Place,
}

/// Whether a connection has requests at work.
#[derive(Debug, Default)]
pub struct Activity {
    in_flight: Cell<usize>,
    /// When the last one ended; None while one is at work, and before the first.
    idle_since: Cell<Option<Instant>>,
}

/// One request at work, until dropped.
#[derive(Debug)]
pub struct InFlight(Rc<Activity>);

impl Activity {
    pub fn begin(self: &Rc<Self>) -> InFlight {
        self.in_flight.set(self.in_flight.get() + 1);
        self.idle_since.set(None);
        InFlight(Rc::clone(self))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let left = self.0.in_flight.get() - 1;
        self.0.in_flight.set(left);
        if left == 0 {
            self.0.idle_since.set(Some(Instant::now()));
        }
    }
}

/// An answer on its way that is longer than the one it stands for.
struct Rewriting {
    bytes: Vec<u8>,
    written: usize,
    /// Bytes of the answer that it stands for.
    replaced: usize,
}

impl Connection {
    /// A connection over the limit of its address is closed at once.
    pub fn accept(stream: TcpStream, options: &Options) -> Result<(Self, Option<SocketAddr>), DispatchError> {
        let peer = stream.peer_addr().map_err(DispatchError::Io)?;
        let refused = || DispatchError::Io(io::ErrorKind::ConnectionRefused.into());
        let place = options.connections.place(peer.ip()).ok_or_else(refused)?;
        // Answers are written whole; to wait for more of them would only make them late.
        stream.set_nodelay(true).map_err(DispatchError::Io)?;
        let connection = Self {
            stream,
            activity: Rc::default(),
            head_deadline: None,
            head_within: options.limits.head,
            write_deadline: None,
            write_within: options.limits.write_pause,
            header_lines: Arc::clone(&options.header_lines),
            rewriting: None,
            _place: place,
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

    /// Writes to the client. Fails once it has taken no byte for `write_within`: a client that never reads
    /// would keep its connection, and the answers to it, for ever.
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
            // As if it had hung up.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
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

/// Whether `answer` is a whole one that actix gave itself: a client error without a body and without our
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
