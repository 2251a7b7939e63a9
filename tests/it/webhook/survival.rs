//! A kill between the end of an import and its delivery.

use std::time::Duration;

use super::{
    receiver::{OK, Receiver, Reply},
    save,
};
use crate::support::{
    TestApp,
    binary::{Binary, runboard},
    visitor::Visitor,
};
use runboard::store::Store;

/// The database of a running server.
pub async fn store_of(app: &TestApp) -> Store {
    let url = format!("sqlite://{}", app.data.path().join("runboard.db").display());
    Store::open(&url).await.unwrap()
}

#[tokio::test]
async fn a_kill_before_the_answer_loses_nothing_and_keeps_the_id_and_the_bytes() {
    // The first attempt is never answered, and the program is killed meanwhile.
    let receiver = Receiver::start(|before| if before == 0 { Reply::Silence } else { OK }).await;
    let data = tempfile::tempdir().unwrap();
    let start = || {
        Binary::start(
            runboard(data.path())
                .env("RUNBOARD_ALLOW_ADDRESSES", receiver.allowed())
                .env("RUNBOARD_SIGN_UP", "open"),
        )
    };
    let server = start();
    let mut mira = Visitor::new(&server.origin);
    mira.sign_up("mira@example.org").await;
    let secret = save(&mira, &receiver.url()).await.unwrap();
    let import = mira.upload("orders.csv", "id,name\n1,Ada\n").await;
    mira.wait_for_state(&import, "Completed").await;
    receiver.wait_for(1).await;
    server.kill();

    let server = start();
    let messages = receiver.wait_for(2).await;
    assert_eq!(messages[0].header("webhook-id"), messages[1].header("webhook-id"));
    assert_eq!(messages[0].body, messages[1].body);
    assert!(messages[1].is_signed_with(&secret));
    let mira = mira.at(&server.origin);
    let page = async || super::text(&mira, "/account/webhook").await;
    super::retries::eventually("the delivery", async || page().await.contains("Delivered <time")).await;
    server.kill();
}

/// The end is recorded with what is to be told in one transaction, and nothing of it was sent before the kill.
#[tokio::test]
async fn an_end_that_is_recorded_just_before_a_kill_is_told_after_the_next_start() {
    let receiver = Receiver::that_takes_all().await;
    let data = tempfile::tempdir().unwrap();
    let start = |allowed: &str| {
        Binary::start(
            runboard(data.path())
                .env("RUNBOARD_ALLOW_ADDRESSES", allowed)
                .env("RUNBOARD_SIGN_UP", "open")
                .env("RUNBOARD_ENGINE_RETRY_SECONDS", "0.1"),
        )
    };
    let server = start(&receiver.allowed());
    let mut mira = Visitor::new(&server.origin);
    mira.sign_up("mira@example.org").await;
    save(&mira, &receiver.url()).await.unwrap();
    let import = mira.upload("orders.csv", "id,name\n1,Ada\n").await;
    // As soon as the end is recorded, whatever the sender has done of it.
    let url = format!("sqlite://{}", data.path().join("runboard.db").display());
    let pool = sqlx::AnyPool::connect(&url).await.unwrap();
    let recorded = async || {
        let count: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM webhook_delivery").fetch_one(&pool).await.unwrap();
        count > 0
    };
    let start_of_wait = std::time::Instant::now();
    while !recorded().await {
        assert!(start_of_wait.elapsed() < Duration::from_secs(60), "no end is recorded");
        tokio::task::yield_now().await;
    }
    server.kill();
    pool.close().await;

    let server = start(&receiver.allowed());
    let messages = receiver.wait_for(1).await;
    assert_eq!(messages[0].json()["data"]["links"]["page"], import);
    assert_eq!(messages[0].json()["data"]["state"], "Completed");
    server.kill();
}
