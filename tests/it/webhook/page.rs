//! The page of the webhook: the secret, the test, sending again, and other people's deliveries.

use reqwest::StatusCode;

use super::{
    app_allowing,
    receiver::{OK, Receiver, Reply},
    save, secret_in, text,
};
use crate::support::{
    until_seen,
    visitor::{Visitor, attributes},
};

/// The path of a form on the page that ends like this.
async fn action(visitor: &Visitor, ending: &str) -> String {
    let actions = attributes(&text(visitor, "/account/webhook").await, "action");
    actions.into_iter().find(|action| action.ends_with(ending)).unwrap_or_else(|| panic!("a form {ending}"))
}

/// What the listed deliveries are of, from the names of their buttons.
fn listed(html: &str) -> Vec<&str> {
    let buttons = html.split(r#"Send again</span><span class="visually-hidden"> "#).skip(1);
    buttons.map(|button| button.split(',').next().unwrap()).collect()
}

#[tokio::test]
async fn a_secret_is_shown_once_and_a_reload_of_that_page_changes_nothing() {
    let receiver = Receiver::that_takes_all().await;
    let app = app_allowing(&[&receiver]).await;
    let mira = app.signed_in().await;
    let page = text(&mira, "/account/webhook").await;
    assert!(page.contains("None yet") && page.contains("Make the secret"), "{page}");
    let first = save(&mira, &receiver.url()).await.unwrap();
    assert_eq!(save(&mira, &receiver.url()).await, None);
    let page = text(&mira, "/account/webhook").await;
    assert!(!page.contains(&first), "{page}");
    let present = attributes(&page, "value").into_iter().find(|value| value.len() == 26).unwrap();
    let change = async || mira.post_form("/account/webhook/secret", &[("present", &present)]).await;
    let answer = change().await;
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let shown = answer.text().await.unwrap();
    let second = secret_in(&shown);
    assert!(shown.contains(r#"<span class="email">mira@example.org</span>"#), "{shown}");
    assert_ne!(first, second);
    let again = change().await;
    assert_eq!(again.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = again.text().await.unwrap();
    assert!(page.contains("The secret was changed in the meantime."), "{page}");
    assert!(page.contains("The one before signs too until"), "{page}");
    let import = mira.upload("orders.csv", "a\n1\n").await;
    mira.wait_for_state(&import, "Completed").await;
    let message = receiver.wait_for(1).await.remove(0);
    assert!(message.is_signed_with(&first) && message.is_signed_with(&second));
    app.stop().await;
}

#[tokio::test]
async fn a_delivery_is_sent_again_and_nobody_else_can_do_that() {
    let receiver = Receiver::start(|before| match before {
        0 => Reply::Status("400 Bad Request", "", "<b>no</b>"),
        _ => OK,
    })
    .await;
    let app = app_allowing(&[&receiver]).await;
    let mira = app.signed_in().await;
    save(&mira, &receiver.url()).await;
    let import = mira.upload("orders.csv", "a\n1\n").await;
    mira.wait_for_state(&import, "Completed").await;
    let is_shown = async |words: &str| text(&mira, "/account/webhook").await.contains(words);
    until_seen("the answer", async || is_shown("status 400").await, true).await;
    assert!(is_shown("&#60;b&#62;no").await, "it is escaped");
    let again = action(&mira, "/send-again").await;
    let mut eve = app.visitor();
    eve.sign_up("eve@example.org").await;
    assert_eq!(eve.post_form(&again, &[]).await.status(), StatusCode::NOT_FOUND);
    assert!(!text(&eve, "/account/webhook").await.contains("orders.csv"));
    for wrong in ["01M852CE07XGB7KM34R9298TW7", "nonsense"] {
        let path = format!("/account/webhook/deliveries/{wrong}/send-again");
        assert_eq!(mira.post_form(&path, &[]).await.status(), StatusCode::NOT_FOUND, "{wrong}");
    }
    assert_eq!(receiver.received().len(), 1);
    assert_eq!(mira.post_form(&again, &[]).await.status(), StatusCode::SEE_OTHER);
    until_seen("the second answer", async || is_shown("status 204").await, true).await;
    let [one, two] = receiver.received().try_into().unwrap();
    assert_eq!((one.header("webhook-id"), &one.body), (two.header("webhook-id"), &two.body));
    app.stop().await;
}

#[tokio::test]
async fn a_test_is_sent_once_and_says_what_was_answered() {
    let receiver = Receiver::start(|_| Reply::Status("404 Not Found", "", "no such hook")).await;
    let app = app_allowing(&[&receiver]).await;
    let mira = app.signed_in().await;
    let test = async || mira.post_form("/account/webhook/test", &[]).await.status();
    assert_eq!(test().await, StatusCode::NOT_FOUND, "there is no webhook yet");
    let secret = save(&mira, &receiver.url()).await.unwrap();
    assert_eq!(test().await, StatusCode::SEE_OTHER);
    let message = receiver.wait_for(1).await.remove(0);
    assert!(message.is_signed_with(&secret));
    assert_eq!(message.json()["type"], "webhook.test");
    let is_shown = async |words: &str| text(&mira, "/account/webhook").await.contains(words);
    until_seen("the answer", async || is_shown("no such hook").await, true).await;
    assert!(is_shown("Not delivered, given up").await, "a test is not repeated");
    assert_eq!(test().await, StatusCode::SEE_OTHER);
    receiver.wait_for(2).await;
    let page = text(&mira, "/account/webhook").await;
    assert_eq!(listed(&page), ["the test"], "another test replaces the first");
    let mut refused = false;
    for _ in 0..20 {
        refused |= test().await == StatusCode::UNPROCESSABLE_ENTITY;
    }
    assert!(refused, "only so many can be sent by hand in a minute");
    app.stop().await;
}

#[tokio::test]
async fn the_newest_five_deliveries_are_shown_and_the_older_ones_folded() {
    const FOLD: &str = r#"<details class="older">"#;
    let receiver = Receiver::that_takes_all().await;
    let app = app_allowing(&[&receiver]).await;
    let mira = app.signed_in().await;
    save(&mira, &receiver.url()).await;
    for number in 1..=6 {
        mira.upload(&format!("orders-{number}.csv"), "a\n1\n").await;
        receiver.wait_for(number).await;
        let page = text(&mira, "/account/webhook").await;
        assert_eq!((listed(&page).len(), page.contains(FOLD)), (number, number > 5), "{page}");
    }
    assert_eq!(mira.post_form("/account/webhook/test", &[]).await.status(), StatusCode::SEE_OTHER);
    let page = text(&mira, "/account/webhook").await;
    let (newest, older) = page.split_once(FOLD).unwrap();
    let five = ["the test", "orders-6.csv", "orders-5.csv", "orders-4.csv", "orders-3.csv"];
    assert_eq!(listed(newest), five, "{page}");
    assert_eq!(listed(older), ["orders-2.csv", "orders-1.csv"], "{page}");
    assert!(older.contains("<summary>2 older</summary>"), "{page}");
    app.stop().await;
}

#[tokio::test]
async fn no_test_is_sent_to_a_receiver_that_is_gone() {
    let receiver = Receiver::start(|_| Reply::Status("410 Gone", "", "")).await;
    let app = app_allowing(&[&receiver]).await;
    let mira = app.signed_in().await;
    save(&mira, &receiver.url()).await;
    let test = async || mira.post_form("/account/webhook/test", &[]).await.status();
    assert_eq!(test().await, StatusCode::SEE_OTHER);
    let is_shown = async |words: &str| text(&mira, "/account/webhook").await.contains(words);
    until_seen("that it is gone", async || is_shown("The receiver answered 410 (gone) at").await, true).await;
    assert!(!is_shown("Send a test").await);
    let listed = attributes(&text(&mira, "/account/webhook").await, "action").len();
    // As from a page that was opened before.
    assert_eq!(test().await, StatusCode::SEE_OTHER);
    let still = attributes(&text(&mira, "/account/webhook").await, "action").len();
    assert_eq!((receiver.received().len(), still), (1, listed), "the first test is still listed");
    save(&mira, &receiver.url()).await;
    assert!(is_shown("Send a test").await);
    app.stop().await;
}
