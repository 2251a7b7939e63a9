//! Postgres's NOTIFY: what other processes on this database tell.

use sqlx::postgres::PgListener;

use super::{
    Result,
    abandoned::{KEEPALIVES, USER_TIMEOUT, if_known},
};

/// The notifications of one channel, on a connection of their own.
pub struct Notifications(PgListener);

impl Notifications {
    /// Listens on `channel` of the Postgres at `url`.
    pub async fn listen(url: &str, channel: &str) -> Result<Self> {
        let mut listener = PgListener::connect(url).await?;
        for setting in [KEEPALIVES, USER_TIMEOUT] {
            if_known(sqlx::raw_sql(setting).execute(&mut listener).await)?;
        }
        listener.listen(channel).await?;
        Ok(Self(listener))
    }

    /// The next payload. None: the connection was lost, and with it perhaps notifications.
    pub async fn next(&mut self) -> Option<String> {
        match self.0.try_recv().await {
            Ok(notification) => notification.map(|told| told.payload().to_owned()),
            Err(error) => {
                tracing::warn!(%error, "the database's notifications were lost");
                None
            }
        }
    }
}
