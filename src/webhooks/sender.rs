//! Sends what is due, and again until it is taken or given up.
//!
//! Of several replicas, the one that leads sends. If one was paused and goes on as if it still led, both may send, but
//! never the same attempt: it is taken from those that the row counts. Nor does one begin the next attempt while the
//! other is making its own, because until an attempt has ended the row's next one is far enough away.

use std::time::Duration;

use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{LONGEST_ATTEMPT, Webhooks, as_sentence, back_off, body, secret::signatures};
use crate::{
    base::{
        ids::{DeliveryId, UserId},
        limits::Turn,
        time::UnixMillis,
    },
    files::{Address, PostAnswer, PostError},
    replicas::Work,
    store::{
        self,
        deliveries::{AfterAttempt, AttemptResult, DueDelivery},
    },
};

/// How many deliveries are sent at once, at most one of each user; the user who was served longest ago is next. A
/// receiver that does not answer holds one of them for 15 s, and its user's other deliveries, but not those of others.
/// Each takes little but a socket and its body, which is rarely over 100 KiB.
const SENDS_AT_ONCE: usize = 256;

/// How often deliveries are searched for although nothing was said about one.
const SEARCH_EVERY: Duration = Duration::from_secs(60);

/// The pause after a database failure.
const DATABASE_PAUSE: Duration = Duration::from_secs(5);

/// The pause before a delivery is looked at again whose import could not be described.
const DESCRIBE_PAUSE: Duration = Duration::from_secs(60);

/// A row with a later time was written before the clock was set back, and counts as due.
const LONGEST_WAIT: Duration = Duration::from_secs(12 * 60 * 60);

/// How long attempts in progress may take to end where another replica goes on: it would repeat one that is broken off,
/// although the receiver may have taken it.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// The status with which a receiver says that it wants no more deliveries.
const GONE: u16 = 410;

/// What became of a delivery that was due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It was posted, with this result.
    Made(DeliveryId, AttemptResult),
    /// Its import goes on, was deleted or cannot be described now, or another process has taken the attempt.
    Withdrawn,
}

/// The result of one look at the deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DueStep {
    Done(Attempt),
    /// No delivery is due before this time, or at all.
    Idle(Option<UnixMillis>),
}

/// Whose delivery is sent next.
enum Next {
    Send(Turn<UserId>),
    Idle(Option<UnixMillis>),
}

impl Webhooks {
    /// Sends deliveries while this process leads, until `stopping`.
    pub async fn run(self, stopping: CancellationToken) {
        let send = |term| self.send_all(term);
        self.replicas.lead(Work::Deliveries, &self.due, &stopping, send).await;
    }

    /// Sends deliveries until `stopping`.
    async fn send_all(&self, stopping: CancellationToken) {
        let mut sends = JoinSet::new();
        while !stopping.is_cancelled() {
            while sends.try_join_next().is_some() {}
            let now = UnixMillis::now();
            let pause = match self.next(now).await {
                Ok(Next::Send(turn)) => {
                    sends.spawn(self.clone().take_turn(turn));
                    continue;
                }
                Ok(Next::Idle(None)) => self.replicas.rest(SEARCH_EVERY),
                Ok(Next::Idle(Some(at))) => self.replicas.rest(at.since(now).min(SEARCH_EVERY)),
                Err(error) => {
                    tracing::error!(%error, "webhooks");
                    DATABASE_PAUSE
                }
            };
            tokio::select! {
                () = stopping.cancelled() => {}
                Some(_) = sends.join_next() => {}
                _ = timeout(pause, self.due.notified()) => {}
            }
        }
        if !self.replicas.is_alone() {
            let ended = async { while sends.join_next().await.is_some() {} };
            let _ = timeout(ENDS_WITHIN, ended).await;
        }
        // The next start sends what is aborted again.
        sends.shutdown().await;
    }

    /// Sends one delivery that is due at `now`.
    pub async fn step(&self, now: UnixMillis) -> store::Result<DueStep> {
        Ok(match self.next(now).await? {
            Next::Send(turn) => DueStep::Done(self.send_next(*turn.of(), now).await?),
            Next::Idle(at) => DueStep::Idle(at),
        })
    }

    async fn next(&self, now: UnixMillis) -> store::Result<Next> {
        let owners = self.store.delivery_owners().await?;
        let due = owners.iter().filter(|(_, due_at)| is_due(*due_at, now)).map(|(owner, _)| owner);
        if let Some(turn) = self.turns.next(due, |mine, all| mine == 0 && all < SENDS_AT_ONCE) {
            return Ok(Next::Send(turn));
        }
        // Users with due deliveries wait for the end of a send, which wakes the loop.
        let later =
            owners.iter().filter(|(owner, due_at)| !is_due(*due_at, now) && self.turns.is_idle(owner));
        Ok(Next::Idle(later.map(|(_, due_at)| *due_at).min()))
    }

    async fn take_turn(self, turn: Turn<UserId>) {
        match self.send_next(*turn.of(), UnixMillis::now()).await {
            Ok(_) => {}
            Err(error) => {
                tracing::error!(%error, "webhooks");
                sleep(DATABASE_PAUSE).await;
            }
        }
    }

    async fn send_next(&self, owner: UserId, now: UnixMillis) -> store::Result<Attempt> {
        let Some(delivery) = self.store.next_delivery(owner).await? else { return Ok(Attempt::Withdrawn) };
        // Another process may have taken the attempt since the owners were listed.
        if !is_due(delivery.next_attempt_at, now) {
            return Ok(Attempt::Withdrawn);
        }
        let Some(sent) = self.body_of(&delivery).await else {
            self.store.postpone_delivery(&delivery, now.plus(DESCRIBE_PAUSE)).await?;
            return Ok(Attempt::Withdrawn);
        };
        // Recorded before the first byte is sent: from here on it may have arrived. After a kill the next attempt is
        // as if this one had failed.
        let pause = back_off::pause(delivery.attempts, None).unwrap_or(DATABASE_PAUSE);
        // Another process that begins to lead must not repeat it while it is made here.
        let pause = if self.replicas.is_alone() { pause } else { pause.max(LONGEST_ATTEMPT) };
        if !self.store.begin_attempt(&delivery, &sent, now, now.plus(pause)).await? {
            return Ok(Attempt::Withdrawn);
        }
        let started = Instant::now();
        let posted = self.post(&delivery, sent).await?;
        // The pause begins at the end of the attempt, which may have taken a while.
        let ended = now.plus(started.elapsed());
        let result = result(&delivery, posted, ended);
        self.store.end_attempt(&delivery, &result, ended).await?;
        tracing::info!(delivery = %delivery.id, status = ?result.status, then = ?result.then, "sent a webhook");
        Ok(Attempt::Made(delivery.id, result))
    }

    /// The bytes that every attempt sends. None if the import goes on again, was deleted or cannot be described now.
    async fn body_of(&self, delivery: &DueDelivery) -> Option<String> {
        if let Some(body) = &delivery.body {
            return Some(body.clone());
        }
        let described = match delivery.import {
            Some(import) => (self.describe)(delivery.owner, import).await,
            None => Ok(None),
        };
        let written = described.and_then(|data| {
            Ok(data.map(|data| body("import.finished", delivery.made_at, &data)).transpose()?)
        });
        written.unwrap_or_else(|error| {
            tracing::error!(delivery = %delivery.id, "cannot describe the import of a webhook: {error:#}");
            None
        })
    }

    /// Posts a delivery. None if it never can be.
    async fn post(
        &self,
        delivery: &DueDelivery,
        body: String,
    ) -> store::Result<Option<Result<PostAnswer, PostError>>> {
        let secrets = self.store.webhook_secrets(delivery.owner, UnixMillis::wall()).await?;
        let (id, seconds) = (format!("msg_{}", delivery.id), UnixMillis::wall().0.div_euclid(1_000));
        let signed = signatures(secrets.iter().map(|secret| secret.secret.as_str()), &id, seconds, &body);
        // Both were checked when they were recorded.
        let (Ok(address), Ok(signatures)) = (delivery.address.parse::<Address>(), signed) else {
            return Ok(None);
        };
        let headers = [
            ("webhook-id", id),
            ("webhook-timestamp", seconds.to_string()),
            ("webhook-signature", signatures),
        ];
        Ok(Some(self.poster.post(&address, &headers, body).await))
    }
}

fn is_due(at: UnixMillis, now: UnixMillis) -> bool {
    at <= now || at > now.plus(LONGEST_WAIT)
}

/// What follows from an answer, or from none.
fn result(
    delivery: &DueDelivery,
    posted: Option<Result<PostAnswer, PostError>>,
    now: UnixMillis,
) -> AttemptResult {
    let retry = |asked: Option<Duration>| {
        // A test is for somebody who looks at its result.
        let pause = back_off::pause(delivery.attempts, asked).filter(|_| delivery.import.is_some());
        pause.map_or(AfterAttempt::GiveUp, |pause| AfterAttempt::RetryAt(now.plus(pause)))
    };
    match posted {
        Some(Ok(PostAnswer { status, retry_after, excerpt })) => AttemptResult {
            status: Some(status),
            answer: excerpt,
            then: match status {
                200..=299 => AfterAttempt::Delivered,
                GONE => AfterAttempt::Gone,
                _ => retry(retry_after),
            },
        },
        Some(Err(error)) => AttemptResult { status: None, answer: as_sentence(&error), then: retry(None) },
        None => AttemptResult {
            status: None,
            answer: "The address or the secret cannot be read. Save the webhook again.".to_owned(),
            then: AfterAttempt::GiveUp,
        },
    }
}
