//! The end of an import told to a webhook: a real receiver on loopback, and real time only where nothing else works.

mod deliveries;
mod docs;
mod page;
mod receiver;
mod replicas;
mod retries;
mod steps;
mod survival;
mod tokens;

use std::time::Duration;

use runboard::base::config::AllowedAddresses;
use sqlx::AnyPool;

use self::receiver::Receiver;
use crate::support::{TestApp, database, spawn_app_on, until_seen, visitor::Visitor};

/// A server that may post to these receivers.
async fn app_allowing(receivers: &[&Receiver]) -> TestApp {
    let allowed: AllowedAddresses =
        receivers.iter().map(|receiver| receiver.allowed()).collect::<Vec<_>>().join(",").parse().unwrap();
    spawn_app_on(tempfile::tempdir().unwrap(), |config| {
        config.allow_addresses = allowed;
        config.late_runs = LATE_RUNS;
    })
    .await
}

/// How long imports are watched after their end, so that no test waits ten seconds for its message.
const LATE_RUNS: Duration = Duration::from_millis(100);

/// Waits until nothing more is expected of any import.
async fn until_over(app: &TestApp) {
    let url = database::url(app.data.path());
    let pool = AnyPool::connect(&url).await.unwrap();
    let is_over = async || {
        let watched: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM import WHERE finished_at IS NULL")
            .fetch_one(&pool)
            .await
            .unwrap();
        watched == 0
    };
    until_seen("the end of all imports", is_over, true).await;
    pool.close().await;
}

/// Saves the webhook of a user. Returns the secret if it is the first one.
async fn save(visitor: &Visitor, address: &str) -> Option<String> {
    let answer = visitor.post_form("/account/webhook", &[("address", address)]).await;
    let status = answer.status().as_u16();
    let page = answer.text().await.unwrap();
    match status {
        303 => None,
        200 => Some(secret_in(&page)),
        _ => panic!("{status}: {page}"),
    }
}

/// The secret on the page that shows it once.
fn secret_in(page: &str) -> String {
    let secret = page.split("id=\"secret\">").nth(1).unwrap().split('<').next().unwrap();
    assert!(secret.starts_with("whsec_"), "{secret}");
    secret.to_owned()
}

async fn text(visitor: &Visitor, path: &str) -> String {
    visitor.get(path).await.text().await.unwrap()
}
