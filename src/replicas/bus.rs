//! What the replicas tell each other, over Postgres's NOTIFY.
//!
//! A message may be lost: with the connection, or when too many arrive at once. Its receivers are then told that they
//! have missed something, and read again what they know from the database. So a message only makes a replica know
//! sooner what it would find out by itself.
//!
//! While one process has the database, nobody listens: nothing is sent, and nothing ever arrives.

use std::{
    collections::HashMap,
    marker::PhantomData,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tokio::{
    sync::{Notify, broadcast, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::outgoing::Outgoing;
use crate::store::{self, Notifications, ReplicaConnection};

/// Postgres refuses payloads of 8,000 bytes.
const PAYLOAD_BYTES: usize = 7_900;
/// The most bytes of one message.
const MESSAGE_BYTES: usize = 7_500;
/// The most messages of a topic that wait for their receiver here.
const UNHEARD: usize = 4_096;
/// A connection that broke silently brings nothing. So each replica sends at least every [`BEAT`], and hears itself, or
/// connects again.
const BEAT: Duration = Duration::from_secs(1);
const HEARS_ITSELF_WITHIN: Duration = Duration::from_secs(4);
/// The pause after a failure.
const PAUSE: Duration = Duration::from_millis(250);
/// How long a request waits until the others are told what it did.
const FLUSHED_WITHIN: Duration = Duration::from_secs(1);

/// A kind of message. A version of Runboard that does not know its name or its form ignores it.
pub trait Message: Serialize + DeserializeOwned {
    /// Names the kind. Not to be reused for another form.
    const TOPIC: &'static str;
}

/// What a receiver hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard<M> {
    Told(M),
    /// Messages may have been lost: whatever they said must be read from the database.
    Missed,
}

/// What a listener hears that must know how current it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeardOrCurrent<M> {
    Heard(Heard<M>),
    /// All that was told before this moment is heard.
    Current(Instant),
}

/// The way to the other replicas. Clones share it.
#[derive(Clone, Debug)]
pub struct Bus(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Names this process, so that it does not hear itself. None: it is alone.
    name: Option<String>,
    outgoing: Mutex<Outgoing>,
    /// Something waits to be sent.
    to_send: Notify,
    /// How many messages were sent, counted from the start.
    sent: watch::Sender<u64>,
    began: Instant,
    topics: Mutex<HashMap<&'static str, broadcast::Sender<Item>>>,
    is_connected: watch::Sender<bool>,
}

#[derive(Clone, Debug)]
enum Item {
    Told(Arc<RawValue>),
    Missed,
    /// A notification of this process that was sent then.
    Own(Instant),
}

/// One notification: several messages of one process.
#[derive(Debug, Serialize, Deserialize)]
struct Payload<'p> {
    from: &'p str,
    /// When it was sent, by the sender's clock: milliseconds since it began.
    #[serde(default)]
    at: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    missed: bool,
    #[serde(borrow)]
    told: Vec<&'p RawValue>,
}

#[derive(Serialize)]
struct Sent<'m, M>(&'static str, &'m M);

#[derive(Deserialize)]
struct Received<'m>(&'m str, #[serde(borrow)] &'m RawValue);

/// The messages of one topic.
#[derive(Debug)]
pub struct Listener<M> {
    items: broadcast::Receiver<Item>,
    message: PhantomData<fn() -> M>,
}

impl Bus {
    /// The bus of a process that has the database for itself.
    #[must_use]
    pub fn alone() -> Self {
        Self::new(None)
    }

    pub(super) fn of(name: String) -> Self {
        Self::new(Some(name))
    }

    fn new(name: Option<String>) -> Self {
        Self(Arc::new(Shared {
            name,
            outgoing: Mutex::default(),
            to_send: Notify::new(),
            sent: watch::Sender::new(0),
            began: Instant::now(),
            topics: Mutex::default(),
            is_connected: watch::Sender::new(false),
        }))
    }

    /// Whether no other process can use the database.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.0.name.is_none()
    }

    /// Whether messages arrive.
    #[must_use]
    pub fn is_connected(&self) -> watch::Receiver<bool> {
        self.0.is_connected.subscribe()
    }

    /// Tells the other replicas, soon. Returns false if the message is too large for that.
    pub fn tell<M: Message>(&self, message: &M) -> bool {
        if self.is_alone() {
            return true;
        }
        let Ok(message) = serde_json::value::to_raw_value(&Sent(M::TOPIC, message)) else { return false };
        if message.get().len() > MESSAGE_BYTES {
            return false;
        }
        self.outgoing().add(message);
        self.0.to_send.notify_one();
        true
    }

    /// Tells the other replicas, soon, and the listeners of this process, at once. Returns false if the message is too
    /// large for the others.
    pub fn tell_all<M: Message>(&self, message: &M) -> bool {
        if self.is_alone() {
            return true;
        }
        let Ok(body) = serde_json::value::to_raw_value(message) else { return false };
        if let Some(topic) = self.topics().get(M::TOPIC) {
            // Fails if nobody listens.
            let _ = topic.send(Item::Told(Arc::from(body)));
        }
        self.tell(message)
    }

    /// Waits until the others are told what this replica has told so far: after an answer, its sender may ask another
    /// one. Does not wait long for a database that does not answer.
    pub async fn flush(&self) {
        if self.is_alone() {
            return;
        }
        let total = self.outgoing().total();
        let mut sent = self.0.sent.subscribe();
        // The others hear it later, or that they have missed something.
        let _ = timeout(FLUSHED_WITHIN, sent.wait_for(|sent| *sent >= total)).await;
    }

    /// The messages of this kind from now on. Several listeners each hear all.
    #[must_use]
    pub fn listen<M: Message>(&self) -> Listener<M> {
        let mut topics = self.topics();
        let topic = topics.entry(M::TOPIC).or_insert_with(|| broadcast::Sender::new(UNHEARD));
        Listener { items: topic.subscribe(), message: PhantomData }
    }

    /// Sends what waits until `stopping`, and then once more.
    pub(super) async fn send(
        self,
        mut connection: ReplicaConnection,
        channel: String,
        stopping: CancellationToken,
    ) {
        while !stopping.is_cancelled() {
            if let Err(error) = self.send_waiting(&mut connection, &channel).await {
                tracing::warn!(%error, "the other replicas could not be told yet");
                let _ = stopping.run_until_cancelled(sleep(PAUSE)).await;
                continue;
            }
            tokio::select! {
                () = stopping.cancelled() => {}
                _ = timeout(BEAT, self.0.to_send.notified()) => {}
            }
        }
        let _ = timeout(FLUSHED_WITHIN, self.send_waiting(&mut connection, &channel)).await;
    }

    /// Sends at least one notification, by which this replica hears that its connection works.
    async fn send_waiting(&self, connection: &mut ReplicaConnection, channel: &str) -> store::Result<()> {
        let Some(from) = self.0.name.as_deref() else { return Ok(()) };
        loop {
            let (told, missed) = self.outgoing().take(PAYLOAD_BYTES - from.len() - 96);
            let at = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let payload = Payload { from, at, missed, told: told.iter().map(|told| &**told).collect() };
            let payload = serde_json::to_string(&payload).unwrap_or_default();
            let count = told.len() as u64;
            if let Err(error) = connection.notify(channel, &payload).await {
                self.outgoing().put_back(told, missed);
                return Err(error);
            }
            self.0.sent.send_modify(|sent| *sent += count);
            let is_empty = self.outgoing().is_empty();
            if is_empty {
                return Ok(());
            }
        }
    }

    /// Passes on what the others tell, until `stopping`.
    pub(super) async fn receive(self, url: String, channel: String, stopping: CancellationToken) {
        let receive = async {
            loop {
                match timeout(HEARS_ITSELF_WITHIN, Notifications::listen(&url, &channel)).await {
                    Ok(Ok(mut notifications)) => self.pass_on(&mut notifications).await,
                    Ok(Err(error)) => tracing::warn!(%error, "no notifications of the database"),
                    Err(_) => tracing::warn!("no notifications of the database: no answer"),
                }
                self.0.is_connected.send_replace(false);
                sleep(PAUSE).await;
            }
        };
        stopping.run_until_cancelled(receive).await;
    }

    /// Passes on what arrives until the connection is lost.
    async fn pass_on(&self, notifications: &mut Notifications) {
        self.0.is_connected.send_replace(true);
        self.to_all_topics(&Item::Missed);
        let mut heard_itself = Instant::now();
        loop {
            let deadline = (heard_itself + HEARS_ITSELF_WITHIN).saturating_duration_since(Instant::now());
            match timeout(deadline, notifications.next()).await {
                Ok(Some(payload)) => {
                    if self.take(&payload) {
                        heard_itself = Instant::now();
                    }
                }
                Ok(None) => return,
                Err(_) => {
                    tracing::warn!("the database's notifications do not arrive");
                    return;
                }
            }
        }
    }

    /// Returns whether it is of this process.
    fn take(&self, payload: &str) -> bool {
        let Ok(payload) = serde_json::from_str::<Payload>(payload) else { return false };
        if Some(payload.from) == self.0.name.as_deref() {
            if let Some(at) = self.0.began.checked_add(Duration::from_millis(payload.at)) {
                self.to_all_topics(&Item::Own(at));
            }
            return true;
        }
        if payload.missed {
            self.to_all_topics(&Item::Missed);
        }
        let topics = self.topics();
        for message in payload.told {
            let Ok(Received(topic, body)) = serde_json::from_str(message.get()) else { continue };
            if let Some(topic) = topics.get(topic) {
                // Fails if nobody listens.
                let _ = topic.send(Item::Told(Arc::from(body.to_owned())));
            }
        }
        false
    }

    /// A bus of that name, whose messages a test hands over.
    #[cfg(test)]
    pub fn named(name: &str) -> Self {
        Self::of(name.to_owned())
    }

    /// Hands over what waits to be sent.
    #[cfg(test)]
    pub fn hand_over(&self, to: &[&Self]) {
        let (waiting, missed) = self.outgoing().take(usize::MAX);
        let from = self.0.name.as_deref().unwrap_or_default();
        let payload = Payload { from, at: 0, missed, told: waiting.iter().map(|told| &**told).collect() };
        let payload = serde_json::to_string(&payload).unwrap();
        for bus in to {
            bus.take(&payload);
        }
    }

    fn to_all_topics(&self, item: &Item) {
        for topic in self.topics().values() {
            let _ = topic.send(item.clone());
        }
    }

    // No code under these locks can leave the data inconsistent.
    fn outgoing(&self) -> MutexGuard<'_, Outgoing> {
        self.0.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn topics(&self) -> MutexGuard<'_, HashMap<&'static str, broadcast::Sender<Item>>> {
        self.0.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M: Message> Listener<M> {
    /// The next message, if it has arrived.
    #[cfg(test)]
    pub fn heard(&mut self) -> Option<Heard<M>> {
        futures_util::FutureExt::now_or_never(self.next())
    }

    /// The next message. Waits forever where nobody tells anything.
    pub async fn next(&mut self) -> Heard<M> {
        loop {
            if let HeardOrCurrent::Heard(heard) = self.next_or_current().await {
                return heard;
            }
        }
    }

    /// The next message, or up to when all are heard.
    pub async fn next_or_current(&mut self) -> HeardOrCurrent<M> {
        loop {
            match self.items.recv().await {
                Ok(Item::Told(body)) => {
                    // Another version may tell it in another form.
                    if let Ok(message) = serde_json::from_str(body.get()) {
                        return HeardOrCurrent::Heard(Heard::Told(message));
                    }
                }
                Ok(Item::Missed) | Err(broadcast::error::RecvError::Lagged(_)) => {
                    return HeardOrCurrent::Heard(Heard::Missed);
                }
                Ok(Item::Own(at)) => return HeardOrCurrent::Current(at),
                // The bus has ended, and this task will.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
    struct Changed(u32);

    impl Message for Changed {
        const TOPIC: &'static str = "test.changed";
    }

    #[tokio::test]
    async fn a_message_to_all_is_heard_here_too_and_one_to_the_others_is_not() {
        let (here, there, alone) = (Bus::named("here"), Bus::named("there"), Bus::alone());
        let mut listeners = [here.listen(), there.listen(), alone.listen()];
        assert!(here.tell(&Changed(1)) && here.tell_all(&Changed(2)) && alone.tell_all(&Changed(3)));
        let mut heard = || -> Vec<Vec<Heard<Changed>>> {
            let heard = |listener: &mut Listener<_>| std::iter::from_fn(|| listener.heard()).collect();
            listeners.iter_mut().map(heard).collect()
        };
        assert_eq!(heard(), [vec![Heard::Told(Changed(2))], vec![], vec![]]);
        here.hand_over(&[&here, &there]);
        assert_eq!(heard(), [vec![], vec![Heard::Told(Changed(1)), Heard::Told(Changed(2))], vec![]]);
    }
}
