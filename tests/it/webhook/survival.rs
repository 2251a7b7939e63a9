//! A kill between the end of an import and its delivery.

use super::{
    receiver::{OK, Receiver, Reply},
    save,
};
use crate::support::{
    TestApp,
    binary::{Binary, runboard},
    database, end_watch, until_seen,
    visitor::Visitor,
};
use runboard::store::Store;

/// The database of a running server.
pub async fn store_of(app: &TestApp) -> Store {
    let url = database::url(app.data.path());
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
    server.kill();
    end_watch(data.path(), &import).await;
    let server = start();
    receiver.wait_for(1).await;
    server.kill();
    // Instead of the pause after a failed attempt.
    let pool = database::pool(data.path()).await;
    sqlx::query("UPDATE webhook_delivery SET next_attempt_at = 1").execute(&pool).await.unwrap();
    pool.close().await;

    let server = start();
    let messages = receiver.wait_for(2).await;
    assert_eq!(messages[0].header("webhook-id"), messages[1].header("webhook-id"));
    assert_eq!(messages[0].body, messages[1].body);
    assert!(messages[1].is_signed_with(&secret));
    let mira = mira.at(&server.origin);
    let page = async || super::text(&mira, "/account/webhook").await;
    until_seen("the delivery", async || page().await.contains("Delivered <time"), true).await;
    server.kill();
}

/// The end is recorded with what is to be told in one transaction. Here another process commits it, as if the server was
/// killed just after that.
#[tokio::test]
async fn an_end_that_is_recorded_just_before_a_kill_is_told_after_the_next_start() {
    let receiver = Receiver::that_takes_all().await;
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
    save(&mira, &receiver.url()).await.unwrap();
    let import = mira.upload("orders.csv", "id,name\n1,Ada\n").await;
    mira.wait_for_state(&import, "Completed").await;
    server.kill();
    end_watch(data.path(), &import).await;

    let server = start();
    let messages = receiver.wait_for(1).await;
    assert_eq!(messages[0].json()["data"]["links"]["page"], import);
    assert_eq!(messages[0].json()["data"]["state"], "Completed");
    server.kill();
}
