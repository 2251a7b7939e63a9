//! SQL of the limits on how often something may happen, counted over all replicas. Postgres only: a process that has
//! the database for itself counts in memory ([`RateLimiter`](crate::base::limits::RateLimiter)), by the same rule.
//!
//! The clock is the database's, because clocks of machines differ.
//!
//! # How many rows there are
//!
//! A row is needed until its uses are back, and is deleted within a minute after that. Strangers invent keys in two
//! ways:
//!
//! - Sign-ins: a network has 30 at once and 30 a minute, and each needs a row for a minute. That is at most 90 rows,
//!   and three that count the network itself.
//! - Forgotten passwords: a neighbourhood, which is what one party can have, has 100 at once and 100 an hour, and each
//!   needs a row for 20 minutes. That is at most 140 rows, and one that counts the neighbourhood.
//!
//! All other rows belong to accounts and tokens that exist. A row takes 250 bytes with its place in the index, so a
//! thousand IPv4 parties that attack at once make 240,000 rows, or 60 MB, which a sweep reads in 20 ms. A party with a
//! whole /48 of IPv6 has more networks than it can use, because each row costs it a request: 1,000 sign-ins a second
//! make no more rows than that.

use std::time::Duration;

use sqlx::Row;

use super::{Result, Store};
use crate::base::limits::{Allowance, Rate};

/// The database's time in nanoseconds, so that rows and memory count exactly the same.
macro_rules! now {
    () => {
        "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000000 AS BIGINT)"
    };
}

/// Counts one use. $2 is the time in which one use comes back, $3 the tolerance.
///
/// The time is read after the row is locked, so that uses at the same moment pass one after the other. A time of
/// recovery that is further away than $4 cannot come from uses: the clock was set back, and the key starts anew.
///
/// The commit is not waited for (`synchronous_commit`), which makes it four times as fast. A crash of Postgres forgets
/// the uses of its last moment.
const TAKE: &str = concat!(
    "INSERT INTO rate (key_hash, recovered_at, wait) SELECT $1, now + $2, 0 FROM (SELECT ",
    now!(),
    " AS now, set_config('synchronous_commit', 'off', true) AS is_quick) AS clock \
     ON CONFLICT (key_hash) DO UPDATE SET (recovered_at, wait) = ( \
         SELECT CASE WHEN due - now > $3 THEN due ELSE due + $2 END, GREATEST(due - now - $3, 0) \
         FROM (SELECT now, \
                 CASE WHEN rate.recovered_at BETWEEN now AND now + $4 THEN rate.recovered_at ELSE now END AS due \
             FROM (SELECT ",
    now!(),
    " AS now) AS clock) AS present) \
     RETURNING wait, GREATEST(recovered_at - ",
    now!(),
    ", 0) AS whole_in",
);

const SWEEP: &str = concat!("DELETE FROM rate WHERE recovered_at < ", now!());

/// No limit is for so long, and sums of these times and the present fit a BIGINT.
const LONGEST: i64 = i64::MAX / 8;

impl Store {
    /// Counts one use of the key with this hash, in one statement. Returns what is left, or, if none was left, the
    /// time to wait; then the use is not counted.
    pub async fn take_use(
        &self,
        key_hash: &str,
        rate: Rate,
    ) -> Result<std::result::Result<Allowance, Duration>> {
        let take = sqlx::query(TAKE)
            .bind(key_hash)
            .bind(to_nanos(rate.every))
            .bind(to_nanos(rate.tolerance()))
            .bind(to_nanos(rate.whole().saturating_mul(2)));
        let row = take.fetch_one(&self.pool).await?;
        let wait = from_nanos(row.try_get("wait")?);
        if !wait.is_zero() {
            return Ok(Err(wait));
        }
        Ok(Ok(rate.allowance(from_nanos(row.try_get("whole_in")?))))
    }

    /// Gives one use back.
    pub async fn give_use_back(&self, key_hash: &str, rate: Rate) -> Result<()> {
        let give = sqlx::query("UPDATE rate SET recovered_at = recovered_at - $2 WHERE key_hash = $1");
        self.pool.write(give.bind(key_hash).bind(to_nanos(rate.every))).await?;
        Ok(())
    }

    /// Gives all uses back.
    pub async fn forget_uses(&self, key_hash: &str) -> Result<()> {
        self.pool.write(sqlx::query("DELETE FROM rate WHERE key_hash = $1").bind(key_hash)).await?;
        Ok(())
    }

    /// Deletes the keys whose uses are all back. Returns how many.
    pub async fn sweep_uses(&self) -> Result<u64> {
        Ok(self.pool.write(sqlx::query(SWEEP)).await?.rows_affected())
    }
}

fn to_nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(LONGEST).min(LONGEST)
}

fn from_nanos(nanos: i64) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}
