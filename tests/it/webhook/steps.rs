//! Webhooks whose attempts a test makes one after the other, at times that it chooses.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use runboard::{
    base::{
        ids::{ImportId, UserId},
        time::UnixMillis,
    },
    files::{Address, Poster},
    inngest::{Run, RunStatus},
    store::{Store, deliveries::AttemptResult, imports::ImportRow, record::NewImport},
    webhooks::{Attempt, DueStep, Webhooks},
};
use serde_json::json;
use sqlx::AnyPool;

use super::receiver::Receiver;
use crate::support::import_row::import_row;

/// Webhooks whose steps the test takes.
pub struct Steps {
    pub store: Store,
    pub webhooks: Webhooks,
    pub owner: UserId,
    pub secret: String,
}

impl Steps {
    /// Of a new account with a webhook.
    pub async fn new(url: &str, receiver: &Receiver) -> Self {
        Self::with(url, &[receiver]).await
    }

    /// Of a new account with a webhook for the first of these receivers.
    pub async fn with(url: &str, receivers: &[&Receiver]) -> Self {
        let store = Store::open(url).await.unwrap();
        // Each description is another one, as that of an import may be at another time.
        let described = Arc::new(AtomicUsize::new(0));
        let of = store.clone();
        let describe = Arc::new(move |_, import: ImportId| {
            let told = json!({ "id": import.to_string(), "times": described.fetch_add(1, Ordering::SeqCst) });
            let of = of.clone();
            Box::pin(async move {
                let row = of.import(import).await?;
                Ok(row.filter(|import| import.finished_at.is_some()).map(|_| told.to_string()))
            }) as runboard::webhooks::Described
        });
        let allowed = receivers.iter().map(|receiver| receiver.allowed()).collect::<Vec<_>>().join(",");
        let poster = Poster::new(allowed.parse().unwrap());
        let webhooks = Webhooks::new(store.clone(), poster, describe, Arc::default());
        let (owner, secret) = add_owner(url, &webhooks, receivers[0]).await;
        Self { store, webhooks, owner, secret }
    }

    /// Records an import whose only run has ended.
    pub async fn end_import(&self) -> ImportId {
        self.end_import_of(self.owner).await
    }

    pub async fn end_import_of(&self, owner: UserId) -> ImportId {
        let id = self.watched_import(owner).await;
        assert!(self.store.finish_import(id, false, UnixMillis::now()).await.unwrap());
        id
    }

    /// The same while further runs are expected.
    pub async fn watched_import(&self, owner: UserId) -> ImportId {
        let at = UnixMillis::now();
        let row = ImportRow {
            file_name: "orders.csv".to_owned(),
            has_chosen_name: true,
            receiving_at: at,
            received_at: at,
            ..import_row(owner)
        };
        let id = row.id;
        let lease = self.store.replica();
        let new = NewImport { watcher: lease.as_deref(), ..NewImport::new(&row) };
        self.store.create_import(new).await.unwrap();
        let run = Run {
            run_id: id.to_string().into(),
            function_id: "f".to_owned(),
            function_name: None,
            event_id: id.to_string().into(),
            status: RunStatus::Completed,
            run_started_at: at,
            ended_at: Some(at),
            output: None,
        };
        assert!(self.store.record_run(id, &run, None, at).await.unwrap());
        id
    }

    /// The attempt that is due at `now`.
    pub async fn attempt(&self, now: UnixMillis) -> AttemptResult {
        match self.webhooks.step(now).await.unwrap() {
            DueStep::Done(Attempt::Made(_, result)) => result,
            other => panic!("an attempt is due: {other:?}"),
        }
    }

    /// When the next attempt is due, as nothing is at `now`.
    pub async fn idle(&self, now: UnixMillis) -> Option<UnixMillis> {
        match self.webhooks.step(now).await.unwrap() {
            DueStep::Idle(at) => at,
            other => panic!("nothing is due: {other:?}"),
        }
    }
}

/// A new account with a webhook for `receiver`, and its secret.
pub async fn add_owner(url: &str, webhooks: &Webhooks, receiver: &Receiver) -> (UserId, String) {
    let owner = UserId::generate();
    let pool = AnyPool::connect(url).await.unwrap();
    sqlx::query(
        "INSERT INTO account (id, email, password_hash, created_at, ended_mail) VALUES ($1, $1, '', 0, 'all')",
    )
    .bind(owner.to_string())
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;
    let address: Address = webhooks.address(&receiver.url()).await.unwrap();
    let secret = webhooks.save(owner, &address).await.unwrap().unwrap();
    (owner, secret)
}
