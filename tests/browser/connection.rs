//! The page without a connection, and after the connection is back.

use thirtyfour::prelude::*;

use crate::{
    chromium::Chromium,
    support::spawn_app,
    upload::{on_the_dashboard, text},
};

const OFFLINE: [&str; 2] = ["net::ERR_INTERNET_DISCONNECTED", "Failed to fetch"];

/// Sends the page's form, even if it is empty.
async fn submit(chromium: &Chromium) {
    chromium
        .evaluate("document.querySelectorAll('main input').forEach((one) => { one.required = false })")
        .await;
    chromium.driver.find(By::Css("main button[type=submit]")).await.unwrap().click().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_a_finished_import_says_offline_until_the_connection_is_back() {
    let (app, chromium) = on_the_dashboard().await;
    let page = &chromium.driver;
    page.find(By::Css(".aside-actions button")).await.unwrap().click().await.unwrap();
    chromium.wait_for_state("Completed").await;
    let at_rest = async || chromium.attribute("#import-panel", "hx-get").await.is_none();
    chromium.wait_for("the last poll", at_rest).await;
    let says = async || text(&chromium, "#offline").await;
    chromium.set_offline(true).await;
    chromium
        .wait_for("the sentence", async || says().await == "You are offline. Showing the last known numbers.")
        .await;
    chromium.set_offline(false).await;
    chromium.wait_for("no sentence", async || says().await.is_empty()).await;
    let is_dimmed = "return document.body.classList.contains('is-unreachable')";
    assert_eq!(chromium.evaluate(is_dimmed).await, false);
    chromium.stop_after(&OFFLINE).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_sent_offline_keeps_the_page_and_says_that_nothing_was_sent() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let import = visitor.upload("kept.csv", "a\n1\n").await;
    visitor.wait_for_state(&import, "Completed").await;
    let chromium = Chromium::start().await;
    let page = &chromium.driver;
    let says = async || text(&chromium, "#offline").await;
    let path = async || page.current_url().await.unwrap().path().to_owned();
    for form in ["/sign-up", "/sign-in", &format!("{import}/delete")] {
        page.goto(format!("{}{form}", app.origin)).await.unwrap();
        assert_eq!(path().await, form);
        let label = text(&chromium, "main button .label").await;
        chromium.set_offline(true).await;
        submit(&chromium).await;
        chromium
            .wait_for("the sentence", async || says().await == "You are offline. Nothing was sent.")
            .await;
        assert_eq!(text(&chromium, "#announcer").await, says().await);
        assert_eq!(text(&chromium, "main button .label").await, label, "{form} can be sent again");
        chromium.set_offline(false).await;
        chromium.wait_for("no sentence", async || says().await.is_empty()).await;
        assert_eq!(path().await, form);
        if form == "/sign-in" {
            chromium.fill_in_account("mira@example.org").await;
        }
    }
    submit(&chromium).await;
    chromium.wait_for("the dashboard", async || path().await == "/").await;
    chromium.stop_after(&OFFLINE).await;
    app.stop().await;
}
