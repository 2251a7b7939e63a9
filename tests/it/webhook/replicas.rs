//! Two replicas that both send for a moment, because one of them was paused while it led.

use std::time::Duration;

use runboard::{
    base::{tasks::Tasks, time::UnixMillis},
    replicas::Replicas,
    webhooks::DueStep,
};

use super::{
    receiver::{Receiver, Reply},
    steps::Steps,
};
use crate::support::database;

#[tokio::test]
async fn a_delivery_that_one_replica_is_sending_is_not_sent_by_another() {
    let folder = tempfile::tempdir().unwrap();
    let url = database::on_postgres(folder.path());
    let silent = Receiver::start(|_| Reply::Silence).await;
    let (one, other) = (Steps::new(&url, &silent).await, Steps::new(&url, &silent).await);
    let members = Tasks::on_this_runtime();
    let replicas = Replicas::join(&url, one.store.clone(), "folder", None, &members).await.unwrap();
    one.end_import().await;
    let now = UnixMillis::now();
    let webhooks = one.webhooks.clone().among(replicas.clone());
    let sending = tokio::spawn(async move { webhooks.step(now).await });
    silent.wait_for(1).await;

    let webhooks = other.webhooks.clone().among(replicas);
    // For as long as an attempt may take, although the pause after the first one is shorter.
    for seconds in [0, 10, 40] {
        let step = webhooks.step(now.plus(Duration::from_secs(seconds))).await.unwrap();
        assert!(matches!(step, DueStep::Idle(Some(_))), "{step:?} after {seconds} s");
    }
    assert_eq!(silent.received().len(), 1);
    sending.abort();
    assert_eq!(members.stop(Duration::from_secs(60)).await, 0);
}
