//! What is sent at the end of an import, and what is not.

use reqwest::Method;
use serde_json::Value;

use super::{
    app_allowing,
    receiver::{Receiver, Reply},
    save, text, until_over,
};
use crate::support::{program::Program, until_seen};

const ROWS: &str = "id,name\n1,Ada\n2\n";

#[tokio::test]
async fn the_end_of_an_import_is_told_once_signed_and_as_the_api_describes_it() {
    let receiver = Receiver::that_takes_all().await;
    let app = app_allowing(&[&receiver]).await;
    let mira = app.signed_in().await;
    // What ended before there was a webhook is not told.
    let before = mira.upload("before.csv", ROWS).await;
    mira.wait_for_state(&before, "Completed").await;
    until_over(&app).await;
    let secret = save(&mira, &receiver.url()).await.unwrap();
    let program = Program::of(&mira, &["read"]).await;
    let import = mira.upload("orders.csv", ROWS).await;
    mira.wait_for_state(&import, "Completed").await;

    let messages = receiver.wait_for(1).await;
    let message = &messages[0];
    assert_eq!(message.line, "POST /hook?key=hidden HTTP/1.1");
    assert_eq!(message.header("content-type"), "application/json");
    assert!(message.header("webhook-id").starts_with("msg_"), "{}", message.header("webhook-id"));
    assert!(message.is_signed_with(&secret), "{message:?}");
    assert!(!message.is_signed_with("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "another secret");

    let body = message.json();
    assert_eq!(body.as_object().unwrap().len(), 3, "type, timestamp and data: {body}");
    assert_eq!(body["type"], "import.finished");
    assert!(message.body.starts_with(r#"{"type":"import.finished","timestamp":"2"#), "{}", message.body);
    let told: Value = program.get(&format!("/api/v1{import}")).await.json().await.unwrap();
    assert_eq!(body["data"], told);
    assert_eq!((&told["state"], &told["failures"][0]["count"]), (&"Completed".into(), &1.into()));

    // The next end comes later, and nothing was sent in between.
    let next = mira.upload("next.csv", ROWS).await;
    mira.wait_for_state(&next, "Completed").await;
    let names: Vec<Value> =
        receiver.wait_for(2).await.iter().map(|message| message.json()["data"]["fileName"].clone()).collect();
    assert_eq!(names, ["orders.csv", "next.csv"]);
    let page = text(&mira, "/account/webhook").await;
    assert!(page.contains("Delivered <time") && page.contains("status 204"), "{page}");
    assert!(!page.contains(&secret), "it is shown once");
    app.stop().await;
}

#[tokio::test]
async fn a_cancelled_import_is_told_once() {
    let receiver = Receiver::that_takes_all().await;
    let app = app_allowing(&[&receiver]).await;
    let mira = app.signed_in().await;
    save(&mira, &receiver.url()).await;
    let busy = app.busy().await;
    let import = mira.upload("waits.csv", ROWS).await;
    mira.wait_for(&import, "a run", |panel| !panel.runs.is_empty()).await;
    mira.post_form(&format!("{import}/cancel"), &[]).await;
    mira.wait_for_state(&import, "Cancelled").await;
    drop(busy);
    let messages = receiver.wait_for(1).await;
    assert_eq!(messages[0].json()["data"]["state"], "Cancelled");
    app.stop().await;
    assert_eq!(receiver.received().len(), 1);
}

/// A run that comes after the end makes another end.
#[tokio::test]
async fn an_import_that_goes_on_and_ends_again_is_told_again_with_another_id() {
    let receiver = Receiver::that_takes_all().await;
    let app = app_allowing(&[&receiver]).await;
    let mira = app.signed_in().await;
    save(&mira, &receiver.url()).await;
    let import = mira.upload("orders.csv", ROWS).await;
    mira.wait_for_state(&import, "Completed").await;
    let first = receiver.wait_for(1).await[0].header("webhook-id").to_owned();
    let id = import.rsplit('/').next().unwrap().parse().unwrap();
    let store = super::survival::store_of(&app).await;
    // As a late run of another function is recorded.
    let run = runboard::inngest::Run {
        run_id: "late".to_owned().into(),
        run_started_at: runboard::base::time::UnixMillis::now(),
        function_id: "other".to_owned(),
        function_name: None,
        event_id: "late".to_owned().into(),
        status: runboard::inngest::RunStatus::Running,
        ended_at: None,
        output: None,
    };
    let now = runboard::base::time::UnixMillis::now();
    assert!(store.reopen_import(id, None).await.unwrap());
    assert!(store.record_run(id, &run, None, now).await.unwrap());
    let ended =
        runboard::inngest::Run { status: runboard::inngest::RunStatus::Failed, ended_at: Some(now), ..run };
    assert!(store.record_run(id, &ended, None, now).await.unwrap());
    // The same end recorded twice is one.
    for _ in 0..2 {
        assert!(store.finish_import(id, false, now).await.unwrap());
    }
    let other = mira.upload("wakes-the-sender.csv", ROWS).await;
    mira.wait_for_state(&other, "Completed").await;
    let messages = receiver.wait_for(3).await;
    let again = messages.iter().find(|message| message.json()["data"]["state"] == "Failed").unwrap();
    assert_eq!(again.json()["data"]["fileName"], "orders.csv");
    assert_ne!(again.header("webhook-id"), first);
    assert_eq!(messages.len(), 3);
    app.stop().await;
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_delays_neither_events_nor_another_users_webhook() {
    let dead = Receiver::start(|_| Reply::Silence).await;
    let alive = Receiver::that_takes_all().await;
    let app = app_allowing(&[&dead, &alive]).await;
    let mira = app.signed_in().await;
    save(&mira, &dead.url()).await;
    let mut eve = app.visitor();
    eve.sign_up("eve@example.org").await;
    save(&eve, &alive.url()).await;
    for name in ["one.csv", "two.csv", "three.csv"] {
        let import = mira.upload(name, ROWS).await;
        mira.wait_for_state(&import, "Completed").await;
    }
    dead.wait_for(1).await;
    let page = text(&mira, "/account/webhook").await;
    assert!(page.contains("Being sent") && !page.contains("Not delivered"), "{page}");
    // While it is waited for: further imports of both run, and the other user's are told.
    let import = mira.upload("four.csv", ROWS).await;
    mira.wait_for_state(&import, "Completed").await;
    for (count, name) in [(1, "a.csv"), (2, "b.csv")] {
        let import = eve.upload(name, ROWS).await;
        eve.wait_for_state(&import, "Completed").await;
        alive.wait_for(count).await;
    }
    assert_eq!(dead.received().len(), 1, "its user's other deliveries wait");
    app.stop().await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = Receiver::that_takes_all().await;
    let location: &'static str = format!("Location: {}\r\n", target.url()).leak();
    let receiver = Receiver::start(move |_| Reply::Status("307 Temporary Redirect", location, "")).await;
    let app = app_allowing(&[&receiver, &target]).await;
    let mira = app.signed_in().await;
    save(&mira, &receiver.url()).await;
    let import = mira.upload("orders.csv", ROWS).await;
    mira.wait_for_state(&import, "Completed").await;
    receiver.wait_for(1).await;
    let shown = async || text(&mira, "/account/webhook").await.contains("status 307");
    until_seen("the answer", shown, true).await;
    assert!(text(&mira, "/account/webhook").await.contains("Not delivered; next attempt"));
    assert!(target.received().is_empty());
    app.stop().await;
}

/// The address was allowed when it was saved.
#[tokio::test]
async fn a_private_address_is_refused_when_it_is_saved_and_when_it_is_posted_to() {
    let receiver = Receiver::that_takes_all().await;
    let app = app_allowing(&[&receiver]).await;
    let mira = app.signed_in().await;
    save(&mira, &receiver.url()).await;
    app.sql("UPDATE webhook SET address = 'http://127.0.0.1:9/hook'").await;
    let import = mira.upload("orders.csv", ROWS).await;
    mira.wait_for_state(&import, "Completed").await;
    let sentence = "Port 9 of this address is not allowed. Ask the operator to allow it.";
    let shown = async || text(&mira, "/account/webhook").await.contains(sentence);
    until_seen("the sentence", shown, true).await;
    for (address, sentence) in [
        ("http://192.168.1.5/hook", "This address is on a private network. Ask the operator to allow it."),
        ("http://169.254.169.254/latest", "This address is on a private network."),
        ("http://127.0.0.1:9/hook", sentence),
        ("https://me:secret@example.org/", "The address contains a user name or password"),
        ("http://93.184.216.34:22/", "The address uses port 22; only ports 80 and 443 are allowed."),
        ("ftp://example.org/", "Enter the whole address, beginning with https:// or http://"),
        ("example.org/hook", "Enter the whole address, beginning with https:// or http://"),
        ("", "Enter the whole address, beginning with https:// or http://"),
        ("https://no-such-host.invalid/hook", "The host no-such-host.invalid was not found."),
    ] {
        let answer = mira.post_form("/account/webhook", &[("address", address)]).await;
        assert_eq!(answer.status().as_u16(), 422, "{address}");
        let page = answer.text().await.unwrap();
        assert!(page.contains(sentence), "{address}: {page}");
        assert!(page.contains(&format!("value=\"{address}\"")), "{address}: it stays to be corrected");
    }
    let long = format!("https://example.org/{}", "x".repeat(2_048));
    let answer = mira.post_form("/account/webhook", &[("address", &long)]).await;
    assert!(answer.text().await.unwrap().contains("The address is longer than 2048 bytes."));
    assert!(
        text(&mira, "/account/webhook").await.contains("value=\"http://127.0.0.1:9/hook\""),
        "it is kept"
    );
    app.stop().await;
}

#[tokio::test]
async fn a_deleted_import_takes_its_deliveries_along_and_an_ended_webhook_gets_nothing() {
    let receiver = Receiver::that_takes_all().await;
    let app = app_allowing(&[&receiver]).await;
    let mira = app.signed_in().await;
    save(&mira, &receiver.url()).await;
    let import = mira.upload("orders.csv", ROWS).await;
    mira.wait_for_state(&import, "Completed").await;
    receiver.wait_for(1).await;
    let shown = async || text(&mira, "/account/webhook").await.contains("status 204");
    until_seen("the delivery", shown, true).await;
    mira.post_form("/account/webhook/end", &[]).await;
    let page = text(&mira, "/account/webhook").await;
    assert!(page.contains("Nothing was sent yet.") && page.contains("Change the secret"), "{page}");
    let next = mira.upload("next.csv", ROWS).await;
    mira.wait_for_state(&next, "Completed").await;
    until_over(&app).await;

    save(&mira, &receiver.url()).await;
    let deleted = mira.request(Method::POST, &format!("{import}/delete")).send().await.unwrap();
    assert_eq!(deleted.status().as_u16(), 303);
    assert!(text(&mira, "/account/webhook").await.contains("Nothing was sent yet."));
    // What was due before this test would have come before it.
    mira.post_form("/account/webhook/test", &[]).await;
    let messages = receiver.wait_for(2).await;
    assert_eq!(messages[1].json()["type"], "webhook.test");
    app.stop().await;
    assert_eq!(receiver.received().len(), 2);
}
