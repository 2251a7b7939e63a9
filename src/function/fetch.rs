//! The step before all others, for a file that lies elsewhere: copies it to storage, where every later
//! step and attempt reads the same bytes, whatever the address answers by then.

use super::{
    Processor,
    chain::{self, FetchResult},
    failure::Failure,
};
use crate::{
    csv::{Counts, Reasons},
    ids::RunId,
    source::{Address, Incoming, Key, Received},
    store::{
        live::{Progress, Receiving},
        steps::{Step, StepFiles},
    },
    time::UnixMillis,
};

impl Processor {
    /// Fetches the file at `address`.
    pub(super) async fn fetch(&self, run: &RunId, address: &Address) -> Result<Step, Failure> {
        let started_at = UnixMillis::now();
        let progress = self.live.progress(run);
        let _at_work = progress.begin();
        let fetched = tokio::select! {
            fetched = self.receive(address, &progress) => fetched,
            () = progress.stopped() => Err(Failure::Stopped),
        };
        progress.set_receiving(None);
        let key = Key::output(run);
        let bytes = fetched?.keep(&key).await?;
        let step = Step {
            name: chain::FETCH.to_owned(),
            position: 0,
            result: serde_json::to_string(&FetchResult { bytes })?,
            counts: Counts::default(),
            end_byte: 0,
            files: StepFiles { source: Some(key.as_str().to_owned()), ..StepFiles::default() },
            stretches: None,
            started_at,
            committed_at: UnixMillis::now(),
        };
        self.commit(run, step, &Reasons::default()).await
    }

    /// Receives what lies at `address` and tells how much of it is there. Dropped half way, it leaves
    /// nothing.
    async fn receive(&self, address: &Address, progress: &Progress) -> Result<Incoming, Failure> {
        let mut since = None;
        let told = |received: Received| {
            let since = *since.get_or_insert_with(UnixMillis::now);
            let receiving = Receiving { bytes: received.bytes, total: received.total, since };
            progress.set_receiving(Some(receiving));
        };
        Ok(self.fetcher.fetch(address, self.storage.receive(0).await?, told).await?)
    }
}
