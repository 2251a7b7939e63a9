//! How often programs may call the API, and what the answers say about it
//! (draft-ietf-httpapi-ratelimit-headers-10).

use std::{fmt, time::Duration};

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use super::error_info::seconds;
use crate::{
    base::{
        ids::{TokenId, UserId},
        limits::{Allowance, Rate},
    },
    replicas::{Rates, SharedLimiter},
    store,
};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");

const MINUTE: Duration = Duration::from_secs(60);

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CountedAs {
    /// All sessions of a user.
    User(UserId),
    Token(TokenId),
}

impl fmt::Display for CountedAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "user {user}"),
            Self::Token(token) => write!(f, "token {token}"),
        }
    }
}

/// The limit of each caller. Shared by all threads.
#[derive(Debug)]
pub struct ApiRate {
    limiter: SharedLimiter<CountedAs>,
    rate: Rate,
}

impl ApiRate {
    /// `per_minute` requests at once, of which one comes back every `1 / per_minute` minutes. `rates` says where they are
    /// counted.
    #[must_use]
    pub fn new(per_minute: u32, rates: &Rates) -> Self {
        let rate = Rate { burst: per_minute, every: MINUTE / per_minute.max(1) };
        Self { limiter: rates.limiter("api", rate), rate }
    }

    /// Counts a request. Returns what is left, or the time to wait.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn count(&self, caller: CountedAs) -> store::Result<Result<Allowance, Duration>> {
        self.limiter.take(&caller).await
    }

    /// Writes into the head of an answer what is left after the request was counted.
    pub fn tell(&self, counted: Result<Allowance, Duration>, headers: &mut HeaderMap) {
        let (uses, whole_in) = match counted {
            Ok(Allowance { uses, whole_in }) => (uses, whole_in),
            Err(wait) => (0, wait + self.rate.every * self.rate.burst.saturating_sub(1)),
        };
        let policy = format!("\"requests\";q={};w={}", self.rate.burst, MINUTE.as_secs());
        let left = format!("\"requests\";r={uses};t={}", seconds(whole_in));
        for (name, value) in [(POLICY, policy), (LEFT, left)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_say_what_is_left_and_when_all_of_it_is_back() {
        let rate = ApiRate::new(2, &Rates::alone());
        let told = |counted| {
            let mut headers = HeaderMap::new();
            rate.tell(counted, &mut headers);
            [POLICY, LEFT].map(|name| headers.get(name).unwrap().to_str().unwrap().to_owned())
        };
        let left =
            |uses, seconds: u64| Ok(Allowance { uses, whole_in: Duration::from_millis(seconds * 1_000) });
        assert_eq!(told(left(1, 30)), ["\"requests\";q=2;w=60", "\"requests\";r=1;t=30"]);
        assert_eq!(told(left(0, 60))[1], "\"requests\";r=0;t=60");
        assert_eq!(told(Err(Duration::from_millis(29_500)))[1], "\"requests\";r=0;t=60");
    }
}
