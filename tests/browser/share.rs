//! An owner makes a link, and a person without an account opens it.

use thirtyfour::prelude::*;

use crate::{
    chromium::Chromium,
    support::{spawn_app, visitor::attributes},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_watches_an_import_live_and_is_told_when_the_link_has_ended() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let busy = app.busy().await;
    let first = owner.upload("orders.csv", "a,b\n1,2\n3\n").await;
    let chromium = Chromium::start_signed_in(&app.origin, "/sign-in").await;
    let page = &chromium.driver;
    let link = make_link(&chromium, &app.origin, &first).await;
    assert!(link.starts_with(&format!("{}/shared/", app.origin)), "{link}");

    page.delete_all_cookies().await.unwrap();
    page.goto(&link).await.unwrap();
    chromium.wait_for_state("Running").await;
    // The same page until the end.
    chromium.evaluate("window.isSame = true").await;
    drop(busy);
    chromium.wait_for_state("Completed").await;
    assert_eq!(chromium.evaluate("return window.isSame").await, true, "it was reloaded");
    let counted = |name| chromium.attribute("[data-run-id]", name);
    assert_eq!(counted("data-processed").await.as_deref(), Some("1"));
    assert_eq!(counted("data-failed").await.as_deref(), Some("1"));

    let busy = app.busy().await;
    let second = owner.upload("orders-2.csv", "a,b\n1,2\n").await;
    let made = owner.post_form(&format!("{second}/share"), &[("days", "1")]).await.text().await.unwrap();
    let link = made.split("id=\"secret\">").nth(1).unwrap().split('<').next().unwrap();
    page.goto(link).await.unwrap();
    chromium.wait_for_state("Running").await;
    let name = &attributes(&made, "name=\"link\" value")[0];
    owner.post_form(&format!("{second}/share/end"), &[("link", name)]).await;
    let heading = async || {
        let text = chromium.evaluate("return document.querySelector('h1')?.textContent ?? ''").await;
        text == "Nothing is shared here"
    };
    chromium.wait_for("the end of the link", heading).await;
    drop(busy);
    // The poll and the page that it led to.
    chromium.stop_after(&["404"]).await;
    app.stop().await;
}

/// Makes a link as its owner does, from the page of the import, and returns its address.
async fn make_link(chromium: &Chromium, origin: &str, import: &str) -> String {
    let page = &chromium.driver;
    let click = async |selector: &str| page.find(By::Css(selector)).await.unwrap().click().await.unwrap();
    let is_there = async |selector: &str| chromium.attribute(selector, "class").await.is_some();
    page.goto(format!("{origin}{import}")).await.unwrap();
    click(".share-link").await;
    chromium.wait_for("the form", async || is_there(".share-form").await).await;
    click(".share-form button").await;
    chromium.wait_for("the link", async || is_there("#secret").await).await;
    page.find(By::Id("secret")).await.unwrap().text().await.unwrap()
}
