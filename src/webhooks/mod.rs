//! Webhooks: the end of an import is told to an address, as Standard Webhooks specify.
//!
//! [`store`] records what is to be told in the transaction that records the end, so that no kill loses it. The
//! `sender` posts it, apart from the outbox of events, which never waits for a receiver.

mod back_off;
mod secret;
mod sender;

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::Notify;

use self::secret::generate;
pub use self::sender::{Attempt, DueStep};
use crate::{
    base::{
        ids::{DeliveryId, ImportId, UserId},
        limits::{Rate, Turns},
        time::UnixMillis,
    },
    files::{Address, PostError, Poster},
    replicas::Replicas,
    replicas::{Rates, SharedLimiter},
    store::{
        self, Store,
        deliveries::DeliveryRow,
        webhooks::{SecretChange, SecretRow, WebhookRow},
    },
};

/// The longest address, in bytes.
pub const MOST_ADDRESS_BYTES: usize = 2 << 10;

/// How many deliveries are shown.
pub const SHOWN: u32 = 20;

/// An attempt has ended by then, or was interrupted by a kill.
pub const LONGEST_ATTEMPT: Duration = Duration::from_secs(60);

/// How long a delivery is kept after it was made.
pub const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long an earlier secret signs, too, after a change.
pub const BESIDE_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// How often a user may send a test, or a delivery again: Runboard must not become a means to flood an address.
const BY_HAND: Rate = Rate { burst: 10, every: Duration::from_secs(6) };

/// The JSON of an import as the API writes it; None if it has not ended or was deleted.
pub type Described = Pin<Box<dyn Future<Output = anyhow::Result<Option<String>>> + Send>>;

/// Describes an import of a user.
pub type Describe = Arc<dyn Fn(UserId, ImportId) -> Described + Send + Sync>;

/// All webhooks. Clones share the state.
#[derive(Clone)]
pub struct Webhooks {
    store: Store,
    poster: Poster,
    describe: Describe,
    /// Notified when a delivery may be due.
    due: Arc<Notify>,
    turns: Turns<UserId>,
    replicas: Replicas,
    by_hand: Arc<SharedLimiter<UserId>>,
}

/// Why an address cannot be that of a webhook: a sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    #[error(
        "Enter the whole address, beginning with https:// or http://, as in https://example.org/runboard."
    )]
    NotAnAddress,
    #[error("The address is longer than {MOST_ADDRESS_BYTES} bytes. Enter a shorter one.")]
    TooLong,
    #[error("{}", as_sentence(.0))]
    NotAllowed(#[source] PostError),
}

/// What an account has set.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    /// Its own webhook.
    pub own: Option<WebhookRow>,
    /// Those of its tokens.
    pub of_tokens: Vec<WebhookRow>,
    /// The present secret first, then those that sign beside it.
    pub secrets: Vec<SecretRow>,
}

impl Webhooks {
    /// `due` is notified when an import may have ended.
    #[must_use]
    pub fn new(store: Store, poster: Poster, describe: Describe, due: Arc<Notify>) -> Self {
        let by_hand = by_hand(&Rates::alone());
        let replicas = Replicas::alone();
        Self { store, poster, describe, due, turns: Turns::default(), replicas, by_hand }
    }

    /// The same with uses of its limits that are counted where `rates` says.
    #[must_use]
    pub fn with_rates(self, rates: &Rates) -> Self {
        Self { by_hand: by_hand(rates), ..self }
    }

    /// Those of a process that is one of `replicas`.
    #[must_use]
    pub fn among(self, replicas: Replicas) -> Self {
        Self { replicas, ..self }
    }

    /// Checks an address as a person or a program has written it. Resolves its name.
    pub async fn address(&self, text: &str) -> Result<Address, AddressError> {
        if text.len() > MOST_ADDRESS_BYTES {
            return Err(AddressError::TooLong);
        }
        let address: Address = text.parse().map_err(|_| AddressError::NotAnAddress)?;
        self.poster.check(&address).await.map_err(AddressError::NotAllowed)?;
        Ok(address)
    }

    pub async fn settings(&self, owner: UserId) -> store::Result<WebhookSettings> {
        let mut webhooks = self.store.webhooks(owner).await?;
        let own = webhooks.first().is_some_and(|first| first.token.is_none()).then(|| webhooks.remove(0));
        let secrets = self.store.webhook_secrets(owner, UnixMillis::wall()).await?;
        Ok(WebhookSettings { own, of_tokens: webhooks, secrets })
    }

    /// Whether the account has a secret to sign with.
    pub async fn has_secret(&self, owner: UserId) -> store::Result<bool> {
        Ok(!self.store.webhook_secrets(owner, UnixMillis::wall()).await?.is_empty())
    }

    /// Sets the address of the account's own webhook. Returns the secret if it is the account's first.
    pub async fn save(&self, owner: UserId, address: &Address) -> store::Result<Option<String>> {
        let secret = generate();
        let is_first =
            self.store.save_webhook(owner, address.url().as_str(), &secret, UnixMillis::wall()).await?;
        Ok(is_first.then_some(secret))
    }

    /// Deletes the account's own webhook: what is not delivered yet never is. Returns false if there is none.
    pub async fn end(&self, owner: UserId) -> store::Result<bool> {
        self.store.delete_webhook(owner).await
    }

    /// Makes another secret, or the first, and returns it. `present` names the one that the page has shown.
    pub async fn change_secret(
        &self,
        owner: UserId,
        present: Option<&str>,
    ) -> store::Result<(SecretChange, String)> {
        let secret = generate();
        let times = (UnixMillis::wall(), BESIDE_FOR);
        Ok((self.store.change_webhook_secret(owner, present, &secret, times).await?, secret))
    }

    /// The last deliveries, newest first.
    pub async fn deliveries(&self, owner: UserId) -> store::Result<Vec<DeliveryRow>> {
        self.store.deliveries(owner, SHOWN).await
    }

    /// Counts a test, or a delivery that is sent again. Returns false if the user has sent too many.
    pub async fn may_send_by_hand(&self, owner: UserId) -> store::Result<bool> {
        Ok(self.by_hand.take(&owner).await?.is_ok())
    }

    /// Sends a delivery again, with the same id and body. Returns false if `owner` has no such delivery.
    pub async fn send_again(&self, owner: UserId, id: DeliveryId) -> store::Result<bool> {
        let is_there = self.store.send_delivery_again(owner, id, UnixMillis::now()).await?;
        self.due.notify_one();
        Ok(is_there)
    }

    /// Sends a test to the account's own webhook, once. Returns false if it has none or its receiver is gone.
    pub async fn send_test(&self, owner: UserId) -> anyhow::Result<bool> {
        let now = UnixMillis::now();
        let is_made = self.store.send_test(owner, &body("webhook.test", now, "{}")?, now).await?;
        self.due.notify_one();
        Ok(is_made)
    }

    /// Forgets old deliveries. Returns how many.
    pub async fn prune(&self, now: UnixMillis) -> store::Result<u64> {
        self.store.prune_deliveries(now.minus(KEPT_FOR)).await
    }
}

fn by_hand(rates: &Rates) -> Arc<SharedLimiter<UserId>> {
    Arc::new(rates.limiter("webhook-by-hand", BY_HAND))
}

/// The body of a delivery. `data` is JSON.
fn body(kind: &'static str, at: UnixMillis, data: &str) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Body<'a> {
        r#type: &'static str,
        timestamp: String,
        data: &'a RawValue,
    }
    let data: &RawValue = serde_json::from_str(data)?;
    serde_json::to_string(&Body { r#type: kind, timestamp: at.to_string(), data })
}

/// `the address ...` as a sentence of its own.
fn as_sentence(error: &dyn fmt::Display) -> String {
    let text = error.to_string();
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}
