//! News for an event's watcher, which saves polls.

use std::{
    collections::HashMap,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Notify;

use super::{ProgressRegistry, lock, reported::ReportedRun};
use crate::base::ids::EventId;

/// More news than this is not kept for a busy watcher, which polls the engine instead.
pub(super) const MOST: usize = 1_000;

/// One item of news for a watcher.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// A signed request reported it: the run was called, or has ended.
    Run(Arc<ReportedRun>),
    /// A run did not fit into memory, so the engine must be polled.
    Missed,
    /// The engine is about to have news of a run: our function has given its last answer, or an attempt
    /// failed.
    Soon,
    /// Something changed on our side, so the watcher must check at once.
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
            waiting[MOST - 1] = News::Missed;
        }
        self.arrived.notify_one();
    }

    /// Waits until there is news.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// All news, oldest first.
    #[must_use]
    pub fn take(&self) -> Vec<News> {
        std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The inbox of a watcher. Unread news is sent again when it is dropped.
#[derive(Debug)]
pub struct Subscription {
    registry: ProgressRegistry,
    event: EventId,
    inbox: Arc<Inbox>,
}

impl Subscription {
    pub(super) fn new(registry: ProgressRegistry, event: EventId, inbox: Arc<Inbox>) -> Self {
        Self { registry, event, inbox }
    }

    /// The event that the news is about.
    #[must_use]
    pub fn event(&self) -> &EventId {
        &self.event
    }

    /// Whether the event has no newer watcher.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.is_in(&lock(&self.registry.waiting))
    }

    fn is_in(&self, waiting: &HashMap<EventId, Arc<Inbox>>) -> bool {
        waiting.get(&self.event).is_some_and(|inbox| Arc::ptr_eq(inbox, &self.inbox))
    }

    fn leave(&self, waiting: &mut HashMap<EventId, Arc<Inbox>>) {
        if self.is_in(waiting) {
            waiting.remove(&self.event);
        }
    }

    /// The event has another id than expected. News under the first id is kept.
    pub fn rename(&mut self, event: &EventId) {
        if self.event == *event {
            return;
        }
        let mut waiting = lock(&self.registry.waiting);
        self.leave(&mut waiting);
        waiting.insert(event.clone(), Arc::clone(&self.inbox));
        self.event = event.clone();
    }
}

impl Deref for Subscription {
    type Target = Inbox;

    fn deref(&self) -> &Inbox {
        &self.inbox
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut waiting = lock(&self.registry.waiting);
        self.leave(&mut waiting);
        drop(waiting);
        for news in self.inbox.take() {
            self.registry.tell(&self.event, news);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_watcher_leaves_goes_to_the_next_one_or_to_runs_without_a_watcher() {
        let registry = ProgressRegistry::default();
        let ids = ["expected", "confirmed"].map(|id| EventId::from(id.to_owned()));
        let mut first = registry.watch(&ids[0]);
        registry.tell(&ids[0], News::Soon);
        first.rename(&ids[1]);
        registry.tell(&ids[1], News::Look);
        // The next watcher begins before the first is dropped.
        let next = registry.watch(&ids[1]);
        assert!(next.is_current() && !first.is_current());
        drop(first);
        registry.tell(&ids[1], News::Soon);
        assert_eq!(next.take(), [News::Soon, News::Look, News::Soon]);
        drop(next);
        assert!(lock(&registry.waiting).is_empty());
    }

    #[test]
    fn a_flood_of_news_is_a_reason_to_ask() {
        let inbox = Inbox::default();
        for _ in 0..MOST + 5 {
            inbox.put(News::Soon);
        }
        let news = inbox.take();
        assert_eq!((news.len(), news.last()), (MOST, Some(&News::Missed)));
        assert!(inbox.take().is_empty());
    }
}
