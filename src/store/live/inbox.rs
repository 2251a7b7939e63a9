//! What an event's watcher is told by others, so that it need not ask.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::inngest::Run;

/// More than this is not kept for a watcher that is busy: it asks the engine instead.
const MOST: usize = 1_000;

/// One thing that a watcher is told.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// A signed request said so: the run was called, or has ended.
    Run(Box<Run>),
    /// The engine is about to say something new of a run: our function has answered for the last time, or
    /// an attempt failed.
    Soon,
    /// Something changed on our side: look at once.
    Look,
}

/// The news of one event.
#[derive(Debug, Default)]
pub struct Inbox {
    news: Mutex<Vec<News>>,
    arrived: Notify,
}

impl Inbox {
    pub(super) fn put(&self, news: News) {
        let mut waiting = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MOST {
            waiting.push(news);
        } else {
            waiting[0] = News::Look;
        }
        self.arrived.notify_one();
    }

    /// Waits until there is something.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// All that has come, oldest first.
    #[must_use]
    pub fn take(&self) -> Vec<News> {
        std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_news_is_a_reason_to_look() {
        let inbox = Inbox::default();
        for _ in 0..MOST + 5 {
            inbox.put(News::Soon);
        }
        let news = inbox.take();
        assert_eq!((news.len(), &news[0]), (MOST, &News::Look));
        assert!(inbox.take().is_empty());
    }
}
