//! What becomes of uploads when the server stops.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The uploads that are arriving. Once the server stops, no other one begins, and these have some time. Clones share it.
#[derive(Clone, Debug)]
pub struct ArrivingUploads {
    stopping: CancellationToken,
    /// Cancelled when that time is over.
    overdue: CancellationToken,
    arriving: TaskTracker,
}

impl ArrivingUploads {
    /// `stopping` is cancelled when the server begins to stop.
    #[must_use]
    pub fn new(stopping: CancellationToken) -> Self {
        Self { stopping, overdue: CancellationToken::new(), arriving: TaskTracker::new() }
    }

    #[must_use]
    pub fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Receives an upload, which may take hours. None: the server is stopping, and this upload began after that or takes
    /// too long.
    pub async fn receive<T>(&self, receiving: impl Future<Output = T>) -> Option<T> {
        // Counted first: a stop refuses this upload or waits for it.
        let _arriving = self.arriving.token();
        if self.stopping.is_cancelled() {
            return None;
        }
        self.overdue.run_until_cancelled(receiving).await
    }

    /// Waits until all have arrived, once the server is stopping. Breaks off those that take longer than `within`, and
    /// returns how many they are.
    pub async fn stop(&self, within: Duration) -> usize {
        self.arriving.close();
        if timeout(within, self.arriving.wait()).await.is_ok() {
            return 0;
        }
        self.overdue.cancel();
        self.arriving.len()
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stop_waits_for_what_arrives_breaks_off_the_rest_and_lets_nothing_begin() {
        let stopping = CancellationToken::new();
        let uploads = ArrivingUploads::new(stopping.clone());
        let (soon, never) = (tokio::time::sleep(Duration::from_secs(9)), pending::<()>());
        let stop = async {
            stopping.cancel();
            let begun = uploads.receive(ready(())).await;
            (begun, uploads.stop(Duration::from_secs(10)).await)
        };
        let (arrived, broken_off, (begun, count)) =
            tokio::join!(uploads.receive(soon), uploads.receive(never), stop);
        assert_eq!((arrived, broken_off, begun, count), (Some(()), None, None, 1));
        assert_eq!(uploads.stop(Duration::from_secs(10)).await, 0);
    }
}
