//! The page after a failed request of the user.

use thirtyfour::prelude::*;

use crate::{chromium::Chromium, support::spawn_app, upload::text};

const SENTENCE: &str = "The error is in the log. Nothing is lost; try again in a moment.";

#[tokio::test(flavor = "multi_thread")]
async fn a_click_that_fails_says_why_and_a_poll_that_fails_does_not() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let _busy = app.busy().await;
    let import = visitor.upload("waits.csv", "a\n1\n").await;
    let chromium = Chromium::start_signed_in(&app.origin, "/sign-in").await;
    let page = &chromium.driver;
    page.goto(format!("{}{import}", app.origin)).await.unwrap();
    chromium.wait_for("the queue", async || text(&chromium, ".badge").await == "Queued").await;
    let notice = async || text(&chromium, "#failure-sentence").await;
    let is_shown = async || {
        chromium.evaluate("return document.getElementById('failure').checkVisibility()").await == true
    };
    let cancel = async || page.find(By::Css(".button.cancel")).await.unwrap().click().await.unwrap();

    app.refuse("UPDATE OF cancel_requested_at ON import").await;
    cancel().await;
    chromium.wait_for("the notice", async || notice().await == SENTENCE).await;
    assert!(is_shown().await);
    assert_eq!(text(&chromium, "#announcer").await, SENTENCE, "screen readers are told");
    assert_eq!(text(&chromium, "#offline").await, "", "the connection is not to blame");
    assert_eq!(text(&chromium, ".cancel .label").await, "Cancel", "it can be pressed again");
    page.find(By::Id("close-failure")).await.unwrap().click().await.unwrap();
    assert!(!is_shown().await, "it is closed");
    let focused = chromium.evaluate("return document.activeElement.id").await;
    assert_eq!(focused, "import-panel");

    let fail_polls = "const real = window.fetch; \
         window.fetch = (address, ...rest) => String(address).includes('/panel') \
           ? Promise.resolve(new Response('<p id=failure-sentence>No news</p>', { status: 500 })) \
           : real(address, ...rest)";
    chromium.evaluate(fail_polls).await;
    let says = async || text(&chromium, "#offline").await;
    chromium
        .wait_for("outage", async || says().await == "Can't reach Runboard. Showing the last known numbers.")
        .await;
    assert!(!is_shown().await, "a poll fails without a notice");

    app.refuse_nothing().await;
    cancel().await;
    visitor.wait_for_state(&import, "Cancelled").await;
    chromium.stop_after(&["status of 500"]).await;
    app.stop().await;
}
