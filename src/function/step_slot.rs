//! The slot of a step, and the large memory that it may need. A step that gets no large memory at once ends, and begins
//! again when it has got it: what waits holds neither a slot nor much memory.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Processor, Slot, Slots, failure::FailureReason};
use crate::{
    inngest::{self, call::Call},
    progress::RunProgress,
};

/// How long a call waits for its turns before it asks the engine to call again.
const LONGEST_TURN: Duration = Duration::from_secs(30);

/// The place of a call among those of all users.
pub(super) struct StepSlot {
    slots: Slots,
    /// None while it waits.
    held: Option<Slot>,
    /// What it has waited for, until it is used.
    memory: Option<Slot>,
    tenant: String,
    progress: Arc<RunProgress>,
    /// How long it waits. None: without a limit.
    until: Option<Instant>,
    stopping: CancellationToken,
}

impl StepSlot {
    /// Waits for a slot. Fails with [`FailureReason::NoTurn`] after [`LONGEST_TURN`], also in
    /// [`wait_for_memory`](Self::wait_for_memory): the engine must call again, so that no call exceeds the time limit of a proxy. A retry of a failed attempt waits without a limit,
    /// because the engine would count an answer without a step as the end of the attempt.
    pub(super) async fn wait(of: &Processor, slots: &Slots, call: &Call) -> Result<Self, FailureReason> {
        let mut slot = Self {
            slots: slots.clone(),
            held: None,
            memory: None,
            tenant: inngest::tenant(call.event.data.get("userId")),
            progress: of.progress.of(&call.ctx.run_id),
            until: (call.ctx.attempt == 0).then(|| Instant::now() + LONGEST_TURN),
            stopping: of.stopping.clone(),
        };
        slot.held = Some(slot.turn(&slot.slots).await?);
        Ok(slot)
    }

    /// Large memory that was waited for, or is free. Fails with [`FailureReason::MemoryInUse`].
    pub(super) fn large_memory(&mut self, memory: &Slots) -> Result<Slot, FailureReason> {
        let waited_for = self.memory.take();
        waited_for.or_else(|| memory.try_acquire(&self.tenant)).ok_or(FailureReason::MemoryInUse)
    }

    /// Waits for large memory, and then for a slot. Meanwhile the slot is free. Nobody waits for memory with a slot, so
    /// slots become free.
    pub(super) async fn wait_for_memory(&mut self, memory: &Slots) -> Result<(), FailureReason> {
        self.held = None;
        self.memory = Some(self.turn(memory).await?);
        // Others wait for the memory: it must not be held in vain because the time for its wait was nearly over.
        self.until = self.until.map(|_| Instant::now() + LONGEST_TURN);
        self.held = Some(self.turn(&self.slots).await?);
        Ok(())
    }

    async fn turn(&self, slots: &Slots) -> Result<Slot, FailureReason> {
        let _waiting = self.progress.wait();
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Err(FailureReason::NoTurn),
            slot = slots.acquire(&self.tenant) => Ok(slot),
            () = self.progress.stopped() => Err(FailureReason::Stopped),
            () = sleep_until(self.until.unwrap_or_else(Instant::now)), if self.until.is_some() => {
                Err(FailureReason::NoTurn)
            }
        }
    }
}
