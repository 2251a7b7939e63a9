//! The first step for a file on another server: copies it to storage, where every later step and attempt
//! reads the same bytes, whatever the address returns by then.

use std::ops::ControlFlow;

use super::{Processor, chain, failure::FailureReason};
use crate::{
    base::{
        ids::{EventId, RunId},
        time::UnixMillis,
    },
    csv::AboutFile,
    files::{Address, Arrival, Incoming, Key},
    progress::{Copying, Receiving, RunProgress},
    store::{quota::Reservation, steps::Step},
};

impl Processor {
    /// Fetches the file at `address`, which `event` names.
    pub(super) async fn fetch(
        &self,
        run: &RunId,
        event: &EventId,
        address: &Address,
    ) -> Result<Step, FailureReason> {
        let progress = self.progress.of(run);
        self.copy(run, chain::FETCH, 0, self.receive((run, event), address, &progress)).await
    }

    /// Receives the file at `address`, within the user's quota, and reports progress. Leaves no file if it is
    /// dropped before its end.
    async fn receive(
        &self,
        (run, event): (&RunId, &EventId),
        address: &Address,
        progress: &RunProgress,
    ) -> Result<(Incoming, Option<Reservation>, AboutFile), FailureReason> {
        let mut reservation = self.quota.reserve_for(event).await?.map_err(FailureReason::OverQuota)?;
        let (mut over_quota, mut named, mut charset) = (None, None, None);
        let mut since = None;
        let has_chosen_name = self.store.has_chosen_name(event).await?;
        let told = |arrival: Arrival| {
            let received = match arrival {
                Arrival::Bytes(received) => received,
                Arrival::Charset(encoding) => {
                    charset = Some(encoding);
                    return ControlFlow::Continue(());
                }
                Arrival::Named(_) if has_chosen_name => return ControlFlow::Continue(()),
                Arrival::Named(name) => {
                    progress.set_file_name(&name.to_string());
                    named = Some(name);
                    return ControlFlow::Continue(());
                }
            };
            let wanted = received.total.unwrap_or(0).max(received.bytes);
            if let Some(Err(over)) = reservation.as_mut().map(|reserved| reserved.grow(wanted)) {
                over_quota = Some(over);
                return ControlFlow::Break(());
            }
            let since = *since.get_or_insert_with(UnixMillis::now);
            let (bytes, total) = (received.bytes, received.total);
            progress.set_receiving(Some(Receiving { copying: Copying::Fetching, bytes, total, since }));
            ControlFlow::Continue(())
        };
        let fetched =
            self.fetcher.fetch(address, self.storage.receive(Key::output(run), 0).await?, told).await;
        if let Some(name) = named
            && let Err(error) = self.store.name_fetched(event, &name.to_string()).await
        {
            // A failed rename must not fail the fetch.
            tracing::warn!(%error, "cannot record the name of a fetched file");
        }
        match over_quota {
            Some(over) => Err(FailureReason::OverQuota(over)),
            None => {
                let file = fetched?;
                let about = AboutFile { charset, ..AboutFile::from(file.survey()) };
                Ok((file, reservation, about))
            }
        }
    }
}
