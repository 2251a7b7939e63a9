//! What the replicas tell each other of accounts, so that what ends at one ends at all.
//!
//! A message drops what a replica has in memory, which then reads the tables again. A replica that misses one follows
//! with its next sweep, as after an operator's command.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Accounts, Token, token::TokenHash};
use crate::{
    base::ids::{ImportId, TokenId, UserId},
    replicas::{Heard, Message, Replicas},
};

/// What has ended or changed. No secret is told: a hash opens nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AccessChange {
    /// The session whose token has this hash, in hex, has ended.
    Session(String),
    /// Sessions of the account have ended.
    Sessions(#[serde(with = "as_text")] UserId),
    /// A token of the API has ended.
    Token(#[serde(with = "as_text")] TokenId),
    /// A guest link of the import has ended.
    GuestLinks(#[serde(with = "as_text")] ImportId),
    /// The account was disabled, or has another e-mail address.
    Account(#[serde(with = "as_text")] UserId),
    /// The account is to be deleted.
    Leaving(#[serde(with = "as_text")] UserId),
}

impl Message for AccessChange {
    const TOPIC: &'static str = "accounts.changed";
}

impl Accounts {
    /// The same as one of several replicas. [`Self::hear`] must run then.
    #[must_use]
    pub fn with_replicas(self, replicas: &Replicas) -> Self {
        Self { bus: replicas.bus().clone(), ..self }
    }

    /// Follows the other replicas, from this call on. Never ends.
    pub fn hear(self: Arc<Self>) -> impl Future<Output = ()> + Send + 'static {
        let mut told = self.bus.listen::<AccessChange>();
        async move {
            loop {
                match told.next().await {
                    Heard::Told(change) => self.apply(&change),
                    Heard::Missed => self.forget_all(),
                }
            }
        }
    }

    /// Drops from memory what a change of the tables has ended or changed, here and at the other replicas.
    pub(super) fn changed(&self, change: &AccessChange) {
        self.apply(change);
        self.tell(change);
    }

    /// The same at the other replicas only.
    pub(super) fn tell(&self, change: &AccessChange) {
        // It is never too large.
        self.bus.tell(change);
    }

    pub(super) fn tell_end_of(&self, session: &Token) {
        self.tell(&AccessChange::Session(session.hash().to_string()));
    }

    fn apply(&self, change: &AccessChange) {
        match change {
            AccessChange::Session(hash) => {
                if let Some(hash) = TokenHash::parse(hash) {
                    self.sessions.forget_one(hash);
                }
            }
            AccessChange::Sessions(user) => self.sessions.forget(*user),
            AccessChange::Token(id) => self.tokens_in_use.end(|grant| grant.token.id == *id),
            // The other links of the import are read from the table again.
            AccessChange::GuestLinks(import) => self.guest_links_in_use.end(|grant| grant.import == *import),
            AccessChange::Account(user) => self.forget_access(*user),
            AccessChange::Leaving(user) => {
                self.forget_access(*user);
                self.leaving.notify_one();
            }
        }
    }

    fn forget_access(&self, user: UserId) {
        self.sessions.forget(user);
        self.tokens_in_use.end(|grant| grant.user == user);
        self.guest_links_in_use.end(|grant| grant.owner == user);
    }

    /// Anything may have ended.
    fn forget_all(&self) {
        self.sessions.forget_all();
        self.tokens_in_use.end(|_| true);
        self.guest_links_in_use.end(|_| true);
        self.leaving.notify_one();
    }
}

/// Ids, as everywhere outside the process.
mod as_text {
    use std::{fmt::Display, str::FromStr};

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<T: Display, S: Serializer>(id: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_what_has_changed_as_text() {
        let text = |change: &AccessChange| serde_json::to_string(change).unwrap();
        let user = UserId::MIN;
        assert_eq!(text(&AccessChange::Leaving(user)), r#"{"leaving":"00000000000000000000000000"}"#);
        assert_eq!(text(&AccessChange::Session("ab".to_owned())), r#"{"session":"ab"}"#);
        for change in [
            AccessChange::Sessions(user),
            AccessChange::Account(user),
            AccessChange::Token(TokenId::MAX),
            AccessChange::GuestLinks(ImportId::MAX),
        ] {
            assert_eq!(serde_json::from_str::<AccessChange>(&text(&change)).unwrap(), change);
        }
    }
}
