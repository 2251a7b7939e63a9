//! The work that one replica does for all: it begins and ends with the lead, and is woken by every replica.

use std::{pin::pin, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{Heard, Message, Replicas, Tenure};

/// How often the one that leads looks by itself for work that others make: a message may be lost.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A kind of that work. Told to the others, it says that there may be some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Events wait to be sent.
    Outbox,
    /// Deliveries of webhooks, as after the end of an import.
    Deliveries,
    /// E-mails for forgotten passwords.
    Forgotten,
    /// All other e-mails.
    Mail,
    /// Accounts that are to be deleted.
    Leaving,
    /// Files of deleted imports in the bucket.
    Files,
    /// Runs of the embedded engine.
    Runs,
}

impl Message for Work {
    const TOPIC: &'static str = "replicas.work";
}

impl Replicas {
    /// Does `work` whenever this process leads, until `stopping`. The token that it gets is cancelled when it must end,
    /// which it must not do before. `news` wakes it; where another process leads, that one's is notified instead.
    pub async fn lead<F: Future<Output = ()>>(
        &self,
        kind: Work,
        news: &Notify,
        stopping: &CancellationToken,
        work: impl FnMut(CancellationToken) -> F,
    ) {
        tokio::join!(self.while_leading(stopping, work), self.relay(kind, news, stopping));
    }

    /// Does `work` that nothing wakes whenever this process leads, until `stopping`.
    pub async fn while_leading<F: Future<Output = ()>>(
        &self,
        stopping: &CancellationToken,
        mut work: impl FnMut(CancellationToken) -> F,
    ) {
        let mut tenure = self.tenure();
        while stopping.run_until_cancelled(until(&mut tenure, |tenure| tenure.leads)).await.is_some() {
            let term = stopping.child_token();
            // Under another id, it led in another term: a third process may have led in between.
            let id = tenure.borrow().id.clone();
            let is_over = move |tenure: &Tenure| !tenure.leads || tenure.id != id;
            let mut doing = pin!(work(term.clone()));
            tokio::select! {
                () = &mut doing => {
                    // Not again in this term.
                    let _ = term.run_until_cancelled(until(&mut tenure, &is_over)).await;
                    continue;
                }
                () = until(&mut tenure, &is_over) => {}
            }
            term.cancel();
            doing.await;
        }
    }

    /// How long work that was found to be nothing may rest until it is looked for again.
    #[must_use]
    pub fn rest(&self, pause: Duration) -> Duration {
        if self.is_alone() { pause } else { pause.min(LOOK_EVERY) }
    }

    /// Tells the process that leads what is news here, and notifies `news` of what others tell while this one leads.
    async fn relay(&self, kind: Work, news: &Notify, stopping: &CancellationToken) {
        if self.is_alone() {
            return;
        }
        let mut told = self.bus.listen::<Work>();
        let mut tenure = self.tenure();
        let relay = async {
            loop {
                let leads = tenure.borrow_and_update().leads;
                tokio::select! {
                    _ = tenure.changed() => {
                        // The work may have taken a notice just before its end.
                        if leads && !self.leads() {
                            self.bus.tell(&kind);
                        }
                    }
                    heard = told.next() => match heard {
                        // Whoever begins to lead looks for all work, so nothing is missed before that.
                        Heard::Told(told) if told != kind => {}
                        Heard::Told(_) | Heard::Missed if self.leads() => news.notify_one(),
                        Heard::Told(_) | Heard::Missed => {}
                    },
                    () = news.notified(), if !leads => {
                        if self.leads() {
                            // It has begun to lead meanwhile: the notice is for its own work.
                            news.notify_one();
                        } else {
                            self.bus.tell(&kind);
                        }
                    }
                }
            }
        };
        stopping.run_until_cancelled(relay).await;
    }
}

/// Waits until the tenure is such. The sender is in the [`Replicas`] that waits.
async fn until(tenure: &mut watch::Receiver<Tenure>, is_such: impl Fn(&Tenure) -> bool) {
    let _ = tenure.wait_for(|tenure| is_such(tenure)).await;
}
