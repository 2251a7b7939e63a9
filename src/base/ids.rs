//! Identifiers. Each kind has its own type, so that they cannot be confused.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ulid::Ulid;

use crate::base::time::UnixMillis;

/// The event that an import triggers.
pub const EVENT_NAME: &str = "imports/csv.uploaded";

/// A new ULID for `time`. ULIDs for [`UnixMillis::now`] stay in order when the system clock is set back.
#[must_use]
pub fn ulid_at(time: UnixMillis) -> Ulid {
    Ulid::from_parts(u64::try_from(time.0).unwrap_or(0), rand::random())
}

/// Ids that Runboard generates: ULIDs in upper-case Crockford base 32, sorted by time.
macro_rules! own_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Ulid);

        impl $name {
            /// The least and the greatest id, for ranges over all ids.
            pub const MIN: Self = Self(Ulid(0));
            pub const MAX: Self = Self(Ulid(u128::MAX));

            /// A new id for the current time.
            #[must_use]
            pub fn generate() -> Self {
                Self(ulid_at(UnixMillis::now()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }

        impl FromStr for $name {
            type Err = ulid::DecodeError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Ulid::from_string(text).map(Self)
            }
        }
    };
}

own_id!(
    /// An import: one upload and everything that it triggered.
    ImportId
);
own_id!(
    /// A user's account.
    UserId
);
own_id!(
    /// A token of the API. It names the token and opens nothing.
    TokenId
);
own_id!(
    /// An e-mail that is to be sent. It is also its Message-ID.
    MailId
);
own_id!(
    /// An address that the ends of imports are told to.
    WebhookId
);
own_id!(
    /// One end of an import, told to a webhook.
    DeliveryId
);

impl ImportId {
    /// The least id that an import made at `time` can have.
    #[must_use]
    pub fn first_at(time: UnixMillis) -> Self {
        Self(Ulid::from_parts(u64::try_from(time.0).unwrap_or(0), 0))
    }

    /// When the import was made.
    #[must_use]
    pub fn made_at(self) -> UnixMillis {
        UnixMillis(i64::try_from(self.0.timestamp_ms()).unwrap_or(i64::MAX))
    }

    /// The id of an import that is made now, whose random part is that of this id.
    #[must_use]
    pub fn made_now(self) -> Self {
        Self(Ulid::from_parts(u64::try_from(UnixMillis::now().0).unwrap_or(0), self.0.random()))
    }

    /// The id directly before this one, whether or not it is in use.
    #[must_use]
    pub fn previous(self) -> Self {
        Self(Ulid(self.0.0.saturating_sub(1)))
    }

    #[must_use]
    pub fn next(self) -> Self {
        Self(Ulid(self.0.0.saturating_add(1)))
    }
}

/// Ids that the engine generates, kept as received.
macro_rules! engine_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

engine_id!(
    /// The internal id of an event (a ULID on every engine seen).
    EventId
);
engine_id!(
    /// One run of one function.
    RunId
);

impl RunId {
    /// When the run was queued, read from its ULID. None if the engine generates other ids.
    #[must_use]
    pub fn made_at(&self) -> Option<UnixMillis> {
        let ulid = Ulid::from_string(&self.0).ok()?;
        i64::try_from(ulid.timestamp_ms()).ok().map(UnixMillis)
    }
}
