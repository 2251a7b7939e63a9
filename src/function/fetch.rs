//! The step before all others, for a file that lies elsewhere: copies it to storage, where every later
//! step and attempt reads the same bytes, whatever the address answers by then.

use std::ops::ControlFlow;

use super::{
    Processor,
    chain::{self, CopyResult},
    failure::Failure,
};
use crate::{
    base::{
        ids::{EventId, RunId},
        time::UnixMillis,
    },
    csv::{Counts, Reasons},
    files::{Address, Arrival, Incoming, Key},
    progress::{Receiving, RunProgress},
    store::{
        quota::Room,
        steps::{Step, StepFiles},
    },
};

impl Processor {
    /// Fetches the file at `address`, which `event` names.
    pub(super) async fn fetch(
        &self,
        run: &RunId,
        event: &EventId,
        address: &Address,
    ) -> Result<Step, Failure> {
        let started_at = UnixMillis::now();
        let progress = self.live.progress(run);
        let _at_work = progress.begin();
        let fetched = tokio::select! {
            fetched = self.receive(event, address, &progress) => fetched,
            () = progress.stopped() => Err(Failure::Stopped),
        };
        progress.set_receiving(None);
        let key = Key::output(run);
        // The room is kept until the database knows what takes it.
        let (file, _room) = fetched?;
        let bytes = file.keep(&key).await?;
        let step = Step {
            name: chain::FETCH.to_owned(),
            position: 0,
            result: serde_json::to_string(&CopyResult { bytes })?,
            counts: Counts::default(),
            end_byte: 0,
            files: StepFiles { source: Some(key.as_str().to_owned()), bytes, ..StepFiles::default() },
            stretches: None,
            started_at,
            committed_at: UnixMillis::now(),
        };
        self.commit(run, step, &Reasons::default()).await
    }

    /// Receives what lies at `address`, as far as the user has room for it, and tells how much of it is
    /// there. Dropped half way, it leaves nothing.
    async fn receive(
        &self,
        event: &EventId,
        address: &Address,
        progress: &RunProgress,
    ) -> Result<(Incoming, Option<Room>), Failure> {
        let mut room = self.quota.reserve_for(event).await?.map_err(Failure::OverQuota)?;
        let (mut over_quota, mut named) = (None, None);
        let mut since = None;
        let told = |arrival: Arrival| {
            let received = match arrival {
                Arrival::Bytes(received) => received,
                Arrival::Named(name) => {
                    progress.set_file_name(&name.to_string());
                    named = Some(name);
                    return ControlFlow::Continue(());
                }
            };
            let wanted = received.total.unwrap_or(0).max(received.bytes);
            if let Some(Err(over)) = room.as_mut().map(|room| room.grow(wanted)) {
                over_quota = Some(over);
                return ControlFlow::Break(());
            }
            let since = *since.get_or_insert_with(UnixMillis::now);
            let receiving = Receiving { bytes: received.bytes, total: received.total, since };
            progress.set_receiving(Some(receiving));
            ControlFlow::Continue(())
        };
        let fetched = self.fetcher.fetch(address, self.storage.receive(0).await?, told).await;
        if let Some(name) = named
            && let Err(error) = self.store.name_fetched(event, &name.to_string()).await
        {
            // The file is worth more than its name.
            tracing::warn!(%error, "cannot record the name of a fetched file");
        }
        match over_quota {
            Some(over) => Err(Failure::OverQuota(over)),
            None => Ok((fetched?, room)),
        }
    }
}
