//! An import whose run the engine has lost.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use thirtyfour::prelude::*;

use crate::{
    chromium::Chromium,
    support::host::{Host, Reply},
    upload::text,
    world::{Server, World, cancelled_v2, recorded, said},
};

/// A server without jobs for the run that it lists. It confirms a cancel once `confirms` is set.
async fn server(confirms: Arc<AtomicBool>) -> Server {
    let asked = AtomicBool::new(false);
    let api = Host::start(move |path, _| {
        let is_cancelled = asked.load(Ordering::Relaxed) && confirms.load(Ordering::Relaxed);
        if path.contains("/fn/register") {
            Reply::file(r#"{"ok":true,"modified":false}"#)
        } else if path.ends_with("/jobs") {
            Reply::file(r#"{"data":[]}"#)
        } else if path.ends_with("/cancel") {
            asked.store(true, Ordering::Relaxed);
            said("v2-cancel").reply()
        } else if path.starts_with("/v2/") && path.contains("/events/") {
            Reply::file(if is_cancelled { cancelled_v2() } else { recorded("v2-running") })
        } else {
            Reply::status("404 Not Found", "")
        }
    })
    .await;
    Server { api: Arc::new(api), ..Server::saying(true, vec![said("v2-running")]).await }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_on_the_page_of_a_lost_import_shows_its_end() {
    let confirms = Arc::new(AtomicBool::new(false));
    let world = World::of(server(Arc::clone(&confirms)).await).await;
    world.until("a lost run", |panel| panel.state == "Lost").await;
    let chromium = Chromium::start_signed_in(&world.app.origin, "/sign-in").await;
    let page = &chromium.driver;
    page.goto(format!("{}{}", world.app.origin, world.import)).await.unwrap();
    chromium.wait_for_state("Lost").await;
    page.find(By::Css(".button.cancel")).await.unwrap().click().await.unwrap();
    // The server's text, not the one that the click set.
    let is_asked = "[aria-disabled][type=button].cancel";
    chromium.wait_for("the wish", async || chromium.attribute(is_asked, "class").await.is_some()).await;
    assert_eq!(text(&chromium, ".cancel .label").await, "Cancelling");
    confirms.store(true, Ordering::Relaxed);
    chromium.wait_for_state("Cancelled").await;
    assert!(page.find(By::Css(".button.cancel")).await.is_err(), "there is nothing left to cancel");
    chromium.stop().await;
    world.app.stop().await;
}
