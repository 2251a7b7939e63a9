//! The large memory that unpacking may need: asked for by the thread that unpacks, and given by the task that takes
//! what comes out, because only that task knows who waits for it.

use std::{
    fmt::Debug,
    sync::{Mutex, PoisonError},
};

use tokio::sync::{Notify, oneshot};

/// The right to large memory. It ends on drop.
pub type MemoryPermit = Box<dyn Debug + Send>;

/// The thread waits until it gets a permit. It ends if the request is dropped.
#[derive(Debug)]
pub struct MemoryRequest(oneshot::Sender<MemoryPermit>);

/// What a thread has asked for.
#[derive(Debug, Default)]
pub(super) struct MemoryRequests {
    asked: Mutex<Option<MemoryRequest>>,
    is_asked: Notify,
}

impl MemoryRequest {
    pub fn give(self, permit: MemoryPermit) {
        // A thread that has ended needs none.
        drop(self.0.send(permit));
    }
}

impl MemoryRequests {
    /// Asks for a permit.
    pub(super) fn ask(&self) -> oneshot::Receiver<MemoryPermit> {
        let (give, given) = oneshot::channel();
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(MemoryRequest(give));
        self.is_asked.notify_one();
        given
    }

    /// Waits for a request.
    pub(super) async fn next(&self) -> MemoryRequest {
        loop {
            if let Some(request) = self.asked.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return request;
            }
            self.is_asked.notified().await;
        }
    }
}
