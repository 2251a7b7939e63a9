//! Long-lived tasks on the main runtime, which outlives the threads of the HTTP servers.
//!
//! A handler runs on a worker thread of an HTTP server. That thread has its own runtime, which drops its
//! `tokio::spawn` tasks when the server stops. A task that must outlive its request belongs in [`Tasks`].

use std::time::Duration;

use tokio::{runtime::Handle, task::JoinHandle, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A set of tasks that is stopped as a whole. Clones share it.
#[derive(Clone, Debug)]
pub struct Tasks {
    runtime: Handle,
    tracker: TaskTracker,
    stopping: CancellationToken,
}

impl Tasks {
    /// An empty set whose tasks run on the current runtime, no matter where they are spawned from.
    ///
    /// # Panics
    /// Outside a runtime.
    #[must_use]
    pub fn on_this_runtime() -> Self {
        Self { runtime: Handle::current(), tracker: TaskTracker::new(), stopping: CancellationToken::new() }
    }

    /// Runs `task` to completion, even if its handle is dropped.
    pub fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.tracker.spawn_on(task, &self.runtime)
    }

    /// Cancelled when the set must end. A task that does not end by itself must watch it.
    #[must_use]
    pub fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Asks the tasks to end and waits at most `within`. Returns the number of tasks that are still running;
    /// those end with the runtime.
    pub async fn stop(&self, within: Duration) -> usize {
        self.stopping.cancel();
        self.tracker.close();
        match timeout(within, self.tracker.wait()).await {
            Ok(()) => 0,
            Err(_) => self.tracker.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tokio::{runtime, sync::oneshot};

    use super::*;

    #[tokio::test]
    async fn a_task_outlives_the_runtime_of_the_thread_that_spawned_it() {
        let tasks = Tasks::on_this_runtime();
        let spawner = tasks.clone();
        let (go_on, told) = oneshot::channel();
        let worker = thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().build().expect("a runtime of this thread");
            let _entered = runtime.enter();
            spawner.spawn(told)
        });
        let task = worker.join().expect("the worker ends by itself");
        go_on.send("told").expect("the task still waits");
        assert_eq!(task.await.expect("the task ends by itself"), Ok("told"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_waits_for_tasks_that_end_and_counts_those_that_do_not() {
        let tasks = Tasks::on_this_runtime();
        let stopping = tasks.stopping().clone();
        let ended = tasks.spawn(async move { stopping.cancelled().await });
        tasks.spawn(std::future::pending::<()>());
        assert_eq!(tasks.stop(Duration::from_secs(1)).await, 1);
        assert!(ended.is_finished());
    }
}
