//! A process among several replicas, as far as imports are concerned.

use std::{future::ready, time::Duration};

use runboard::{
    base::tasks::Tasks,
    files::Storage,
    imports::{Dependencies, Imports},
    inngest::Client,
    progress::ProgressRegistry,
    replicas::Replicas,
    store::Store,
};

use super::parts;

/// Generous, because nothing here tests speed.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

pub struct Peer {
    pub imports: Imports,
    pub progress: ProgressRegistry,
    pub replicas: Replicas,
    pub storage: Storage,
    members: Tasks,
}

impl Peer {
    /// Joins the replicas on the Postgres at `url`. `folder` names its data folder.
    pub async fn join(url: &str, folder: &'static str, storage: &Storage, engine: Client) -> Self {
        let (store, members) = (Store::open(url).await.unwrap(), Tasks::on_this_runtime());
        let replicas = Replicas::join(url, store.clone(), folder, None, &members).await.unwrap();
        let progress = ProgressRegistry::on(replicas.bus().clone());
        members.spawn(progress.clone().exchange(members.stopping().clone()));
        let imports = Imports::new(Dependencies {
            replicas: replicas.clone(),
            ..parts(store, storage.clone(), engine, progress.clone())
        });
        imports.start(ready(())).await.unwrap();
        Self { imports, progress, replicas, storage: storage.clone(), members }
    }

    pub async fn stop(self) {
        assert_eq!(self.imports.stop().await, 0);
        assert_eq!(self.members.stop(ENDS_WITHIN).await, 0);
    }
}
