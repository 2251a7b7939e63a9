//! The deadline of request bodies.

use std::{
    cell::{Cell, RefCell},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_web::{
    Error, HttpMessage,
    body::{BodySize, BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    error::PayloadError,
    http::{ConnectionType, StatusCode, header},
    middleware::Next,
    web::{self, Bytes},
};
use futures_util::Stream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::connection::{Activity, InFlight, ToCome};
use crate::base::config::HttpLimits;

/// Middleware (for `middleware::from_fn`), which must be the outermost: a body that stalls or trickles ends
/// with an error of kind `TimedOut`, the answer is 408, and the connection closes. Needs
/// `web::Data<HttpLimits>`.
pub async fn within(
    limits: web::Data<HttpLimits>,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let activity = request.conn_data::<Rc<Activity>>().map(Rc::clone);
    let in_flight = activity.as_ref().map(Activity::begin);
    let body = match request.take_payload() {
        Payload::None => None,
        payload => {
            if let Some(activity) = &activity {
                activity.expect(announced(&request));
            }
            let body = Rc::new(Timed::new(payload, *limits.get_ref(), activity));
            request.set_payload(Payload::Stream { payload: Box::pin(Shared(Rc::clone(&body))) });
            Some(body)
        }
    };
    let mut response = next.call(request).await?;
    if body.as_ref().is_some_and(|body| body.arrival.get() == Arrival::Stalled) {
        if response.status().is_client_error() || response.status().is_server_error() {
            *response.response_mut().status_mut() = StatusCode::REQUEST_TIMEOUT;
        }
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    // A body that has not arrived is held until the answer is sent: actix then closes the connection. If it
    // were dropped earlier, actix would read a chunked body to its end, without a time limit.
    let body = body.filter(|body| body.arrival.get() != Arrival::Whole);
    Ok(response.map_body(|_, answer| Held {
        answer: BoxBody::new(answer),
        _in_flight: in_flight,
        _body: body,
    }))
}

fn announced(request: &ServiceRequest) -> ToCome {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    length.and_then(|length| length.parse().ok()).map_or(ToCome::Unknown, ToCome::Bytes)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrival {
    Arriving,
    Whole,
    Stalled,
}

/// A body with a minimum speed. Only the time in which its reader waits counts.
struct Timed {
    arrival: Cell<Arrival>,
    activity: Option<Rc<Activity>>,
    inner: RefCell<Inner>,
}

struct Inner {
    payload: Payload,
    limits: HttpLimits,
    /// The bytes of the current window, and the rest of its time.
    bytes: u64,
    left: Duration,
    /// Set while the reader waits.
    wait: Option<Wait>,
}

struct Wait {
    since: Instant,
    window_ends: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Timed {
    fn new(payload: Payload, limits: HttpLimits, activity: Option<Rc<Activity>>) -> Self {
        let inner = Inner { payload, limits, bytes: 0, left: limits.body_window, wait: None };
        Self { arrival: Cell::new(Arrival::Arriving), activity, inner: RefCell::new(inner) }
    }

    /// Ends the body: nothing more of it is read.
    fn ends_as(&self, arrival: Arrival) {
        self.arrival.set(arrival);
        if let Some(activity) = &self.activity {
            activity.expect(ToCome::Nothing);
        }
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        if self.arrival.get() == Arrival::Stalled {
            return Poll::Ready(None);
        }
        let mut inner = self.inner.borrow_mut();
        match Pin::new(&mut inner.payload).poll_next(cx) {
            Poll::Ready(Some(Ok(bytes))) => {
                inner.arrived(bytes.len() as u64);
                if let Some(activity) = &self.activity {
                    activity.body_was_read(bytes.len() as u64);
                }
                Poll::Ready(Some(Ok(bytes)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
            Poll::Ready(None) => {
                self.ends_as(Arrival::Whole);
                Poll::Ready(None)
            }
            Poll::Pending => {
                ready!(inner.poll_stalled(cx));
                self.ends_as(Arrival::Stalled);
                Poll::Ready(Some(Err(PayloadError::Io(io::ErrorKind::TimedOut.into()))))
            }
        }
    }
}

impl Inner {
    fn arrived(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        if let Some(wait) = self.wait.take() {
            self.left = wait.window_ends.saturating_duration_since(Instant::now());
        }
    }

    /// Ready when nothing has arrived for too long, or too little in a window.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limits = self.limits;
        let left = self.left;
        let wait = self.wait.get_or_insert_with(|| {
            let since = Instant::now();
            let timer = Box::pin(sleep_until(since + left.min(limits.body_pause)));
            Wait { since, window_ends: since + left, timer }
        });
        loop {
            ready!(wait.timer.as_mut().poll(cx));
            let now = Instant::now();
            let silent_until = wait.since + limits.body_pause;
            if now >= silent_until || self.bytes < limits.bytes_per_window() {
                return Poll::Ready(());
            }
            self.bytes = 0;
            wait.window_ends = now + limits.body_window;
            wait.timer.as_mut().reset(wait.window_ends.min(silent_until));
        }
    }
}

/// The body that the handler reads.
struct Shared(Rc<Timed>);

impl Stream for Shared {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll(cx)
    }
}

/// An answer, and the values that live until it is sent.
struct Held {
    answer: BoxBody,
    _in_flight: Option<InFlight>,
    _body: Option<Rc<Timed>>,
}

impl MessageBody for Held {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.answer.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.answer).poll_next(cx)
    }
}
