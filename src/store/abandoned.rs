//! How a Postgres treats connections and statements that nobody waits for any more, as those of a process that was killed
//! or paused, or whose machine is gone: they must not keep their locks.

use sqlx::AnyConnection;

/// The server notices within 20 s, instead of after two hours, that a machine is gone.
pub(super) const KEEPALIVES: &str =
    "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3";
/// The same while the server sends something, instead of after a quarter of an hour. New in Postgres 12.
pub(super) const USER_TIMEOUT: &str = "SET tcp_user_timeout = '20s'";
/// A transaction waits for nothing but the database between its statements, so one that is idle for long is of a process
/// that does not run. A statement waits for a lock for less time than the longest patience of its caller, so that one
/// that was abandoned ends.
const WAITS: &str = "SET idle_in_transaction_session_timeout = '10s'; SET lock_timeout = '25s'";
/// For the lease of a replica, whose statements are abandoned after 2 s. One that gets its lock later would renew a lease
/// that is over.
const SHORT_WAITS: &str = "SET lock_timeout = '2s'";

/// Sets up a connection that does any work.
pub(super) async fn limit(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    notice_loss(connection).await?;
    if_known(sqlx::raw_sql(WAITS).execute(connection).await)
}

/// Sets up the connection of a replica's lease.
pub(super) async fn limit_lease(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    notice_loss(connection).await?;
    if_known(sqlx::raw_sql(SHORT_WAITS).execute(connection).await)
}

/// Has the server notice that this process is gone.
pub(super) async fn notice_loss(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    if_known(sqlx::raw_sql(KEEPALIVES).execute(&mut *connection).await)?;
    if_known(sqlx::raw_sql(USER_TIMEOUT).execute(connection).await)
}

/// An old Postgres, or something in between, may refuse a setting. It is used without.
pub(super) fn if_known<T>(set: Result<T, sqlx::Error>) -> Result<(), sqlx::Error> {
    match set {
        Err(sqlx::Error::Database(why)) => {
            tracing::debug!(%why, "the database refuses a setting that ends abandoned connections");
            Ok(())
        }
        set => set.map(drop),
    }
}
