//! How often visitors may sign in, guess passwords and sign up.

use std::{
    fmt::{self, Display},
    hash::Hash,
    net::IpAddr,
    time::Duration,
};

use super::{Error, email::Email};
use crate::{
    base::limits::{Network, Rate},
    replicas::{Rates, SharedLimiter},
};

/// Ten wrong guesses at once, for a user who tries to remember, then one per minute. Each network is counted
/// separately, so that guesses from elsewhere do not lock the owner out.
const GUESSES: Rate = Rate { burst: 10, every: Duration::from_secs(60) };

/// 30 a minute, enough for an office behind one address. Also limits how many accounts one network can fill
/// the table of guesses with.
const SIGN_INS: Rate = Rate { burst: 30, every: Duration::from_secs(2) };

/// 10 an hour.
const SIGN_UPS: Rate = Rate { burst: 10, every: Duration::from_secs(6 * 60) };

pub(super) struct VisitorLimits {
    /// Wrong passwords for one account from one network.
    pub guesses: SharedLimiter<Guess>,
    /// Sign-ins from one network, for any account.
    pub sign_ins: SharedLimiter<Network>,
    /// Sign-ups from one network.
    pub sign_ups: SharedLimiter<Network>,
}

impl VisitorLimits {
    pub fn new(rates: &Rates) -> Self {
        Self {
            guesses: rates.limiter("guess", GUESSES),
            sign_ins: rates.limiter("sign-in", SIGN_INS),
            sign_ups: rates.limiter("sign-up", SIGN_UPS),
        }
    }
}

/// What counts as guesses at one password: the account, and the network that they come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Guess {
    email: Email,
    network: Option<Network>,
}

impl Guess {
    pub fn new(email: &Email, from: Option<IpAddr>) -> Self {
        Self { email: email.clone(), network: from.map(Network::from) }
    }
}

/// A network has no space, so that no two keys are written the same.
impl Display for Guess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.network {
            Some(network) => write!(f, "{network} {}", self.email),
            None => write!(f, "- {}", self.email),
        }
    }
}

/// Counts a visit from `address`. Only a request without a connection has no address.
pub(super) async fn within<K: From<IpAddr> + Hash + Display>(
    limiter: &SharedLimiter<K>,
    address: Option<IpAddr>,
) -> Result<Result<(), Duration>, Error> {
    let Some(address) = address else { return Ok(Ok(())) };
    Ok(limiter.take(&address.into()).await?.map(drop))
}
