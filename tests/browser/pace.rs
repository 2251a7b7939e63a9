//! How often an open page polls, and how it applies the answers.

use serde_json::json;
use thirtyfour::prelude::*;

use crate::{
    chromium::Chromium,
    files::{MANY, big_csv},
    gallery::Gallery,
    support::{Busy, TestApp, spawn_app, visitor::Visitor},
};

/// The same person signed in with a browser and with a visitor, on a server whose workers are held.
pub async fn with_busy_workers() -> (TestApp, Chromium, Visitor, Busy) {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let busy = app.busy().await;
    let chromium = Chromium::start_signed_in(&app.origin, "/sign-in").await;
    (app, chromium, visitor, busy)
}

/// The times of the page's polls, in milliseconds.
async fn asked(chromium: &Chromium) -> Vec<f64> {
    let script = "return performance.getEntriesByType('resource') \
         .filter((entry) => entry.name.includes('/panel')).map((entry) => entry.startTime)";
    chromium.evaluate(script).await.as_array().unwrap().iter().map(|at| at.as_f64().unwrap()).collect()
}

pub async fn set_hidden(chromium: &Chromium, hidden: bool) {
    let script = format!(
        "Object.defineProperty(document, 'hidden', {{ configurable: true, get: () => {hidden} }}); \
         document.dispatchEvent(new Event('visibilitychange'));"
    );
    chromium.evaluate(&script).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_asks_less_while_nothing_changes_not_at_all_while_hidden_and_never_after_the_end() {
    let (app, chromium, visitor, _busy) = with_busy_workers().await;
    let page = &chromium.driver;
    let import = visitor.upload("waits.csv", "a\n1\n").await;
    page.goto(format!("{}{import}", app.origin)).await.unwrap();
    let title = async || page.title().await.unwrap();
    chromium.wait_for("the queue", async || title().await == "Queued · waits.csv · Runboard").await;
    let gap = |asked: &[f64]| asked.last_chunk().map_or(0.0, |[before, last]: &[f64; 2]| last - before);
    // Every 250 ms at first.
    chromium.wait_for("slower polls", async || gap(&asked(&chromium).await) > 450.0).await;
    // No fragment is sent, but the shown time of the last answer advances.
    let as_of = async || chromium.attribute(".panel-head [data-as-of]", "data-as-of").await.unwrap();
    let before = as_of().await;
    chromium.wait_for("a later answer of the engine", async || as_of().await > before).await;

    set_hidden(&chromium, true).await;
    let (count, since) = (asked(&chromium).await.len(), chromium.evaluate("return performance.now()").await);
    let looked_away = format!("return performance.now() - {since} > 2500");
    chromium.wait_for("a while", async || chromium.evaluate(&looked_away).await == json!(true)).await;
    let while_hidden = asked(&chromium).await.len() - count;
    assert!(while_hidden <= 1, "{while_hidden} polls, one of which may have been on its way");
    visitor.post_form(&format!("{import}/cancel"), &[]).await;
    visitor.wait_for_state(&import, "Cancelled").await;
    assert_eq!(title().await, "Queued · waits.csv · Runboard", "the tab is hidden");
    set_hidden(&chromium, false).await;
    chromium.wait_for("the end", async || title().await == "Cancelled · waits.csv · Runboard").await;
    let icon = chromium.attribute("#tab-icon", "href").await.unwrap();
    assert!(icon.ends_with("/favicon-still.svg"), "{icon}");
    assert!(chromium.attribute("#import-panel", "hx-get").await.is_none(), "it asks no more");
    chromium.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_from_elsewhere_wait_while_somebody_types() {
    let (app, chromium, visitor, _busy) = with_busy_workers().await;
    let page = &chromium.driver;
    visitor.upload("first.csv", "a\n1\n").await;
    page.goto(&app.origin).await.unwrap();
    page.find(By::Id("address")).await.unwrap().send_keys("https://files.example/typed.csv").await.unwrap();
    let first = chromium.attribute("[data-import-id]", "data-import-id").await.unwrap();
    visitor.upload("elsewhere.csv", "a\n1\n").await;
    chromium.wait_for("news", async || chromium.attribute("#news", "href").await.is_some()).await;
    assert_eq!(
        page.find(By::Id("news")).await.unwrap().text().await.unwrap().lines().next(),
        Some("Show 1 new import")
    );
    let shown =
        "return [...document.querySelectorAll('[data-import-id]')].map((card) => card.dataset.importId)";
    assert_eq!(chromium.evaluate(shown).await, json!([first]), "nothing has moved");
    let typed = "const field = document.activeElement; return [field.id, field.value]";
    assert_eq!(chromium.evaluate(typed).await, json!(["address", "https://files.example/typed.csv"]));

    page.find(By::Id("news")).await.unwrap().click().await.unwrap();
    chromium.wait_for("both", async || chromium.evaluate(shown).await.as_array().unwrap().len() == 2).await;
    assert_eq!(chromium.evaluate(shown).await[1], json!(first), "the newest stands first");
    let field = page.find(By::Id("address")).await.unwrap();
    assert_eq!(field.prop("value").await.unwrap().unwrap(), "https://files.example/typed.csv");
    assert!(chromium.attribute("#news", "href").await.is_none());
    assert_eq!(page.title().await.unwrap(), "2 running · Runboard");
    chromium.stop().await;
    app.stop().await;
}

/// Another tab of the browser reports a new import, although this one no longer polls.
#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_at_rest_hears_of_another_tabs_import() {
    let app = spawn_app().await;
    let chromium = Chromium::start_signed_in(&app.origin, "/sign-up").await;
    let page = &chromium.driver;
    let dashboard = page.window().await.unwrap();
    page.new_tab().await.unwrap();
    let other = page.windows().await.unwrap().into_iter().find(|tab| *tab != dashboard).unwrap();
    page.switch_to_window(other).await.unwrap();
    page.goto(&app.origin).await.unwrap();
    page.find(By::Css(".aside-actions button")).await.unwrap().click().await.unwrap();
    chromium
        .wait_for("the sample's page", async || {
            page.current_url().await.unwrap().path().starts_with("/imports/")
        })
        .await;
    page.switch_to_window(dashboard).await.unwrap();
    chromium.wait_for("news", async || chromium.attribute("#news", "href").await.is_some()).await;
    page.find(By::Id("news")).await.unwrap().click().await.unwrap();
    chromium
        .wait_for("the import", async || chromium.attribute("[data-import-id]", "data-state").await.is_some())
        .await;
    chromium.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn screen_readers_are_told_of_states_and_not_of_numbers() {
    let app = spawn_app().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let chromium = Chromium::start_signed_in(&app.origin, "/sign-in").await;
    let page = &chromium.driver;
    let import = visitor.upload("counted.csv", big_csv(MANY).0).await;
    page.goto(format!("{}{import}", app.origin)).await.unwrap();
    let listen = "window.told = []; window.counts = new Set(); \
         new MutationObserver(() => told.push(announcer.textContent)).observe(announcer, { childList: true }); \
         new MutationObserver(() => counts.add(document.querySelector('[data-run-id]')?.dataset.processed)) \
             .observe(document.querySelector('main'), { subtree: true, attributes: true, childList: true }); \
         return document.querySelectorAll('[aria-live], [role=status], [role=log]').length";
    assert_eq!(chromium.evaluate(listen).await, json!(1), "one region, and a polite one");
    // The announcement comes a moment after the visible change.
    let last = "return told.at(-1)?.startsWith('counted.csv: Completed. ') ?? false";
    chromium.wait_for("the end to be told", async || chromium.evaluate(last).await == json!(true)).await;
    let told = chromium.evaluate("return told").await;
    let told: Vec<&str> = told.as_array().unwrap().iter().map(|words| words.as_str().unwrap()).collect();
    let counts = chromium.evaluate("return counts.size").await.as_u64().unwrap();
    assert!(told.last().unwrap().starts_with("counted.csv: Completed. "), "{told:?}");
    let states: Vec<&str> = told.iter().map(|words| words.split(". ").next().unwrap()).collect();
    let mut once = states.clone();
    once.dedup();
    assert_eq!(states, once, "each state once");
    assert!(counts > told.len() as u64, "{counts} counts were seen, and {told:?} told");
    chromium.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_is_counted_though_the_server_says_nothing_new() {
    let gallery = Gallery::start();
    let chromium = Chromium::start().await;
    gallery.open(&chromium, gallery.page("import-sent")).await;
    let sentence = async || {
        let element = chromium.driver.find(By::Css(".sentence")).await.unwrap();
        element.text().await.unwrap()
    };
    // The page was loaded with 15 s.
    chromium
        .wait_for("two seconds more", async || sentence().await == "Waiting for a run to start (17 s).")
        .await;

    // While no answer arrives, the real duration is unknown.
    chromium.set_offline(true).await;
    let says = async || chromium.driver.find(By::Id("offline")).await.unwrap().text().await.unwrap();
    chromium
        .wait_for("the sentence", async || says().await == "You are offline. Showing the last known numbers.")
        .await;
    let (last, since) = (sentence().await, chromium.evaluate("return performance.now()").await);
    let later = format!("return performance.now() - {since} > 2500");
    chromium.wait_for("a while", async || chromium.evaluate(&later).await == json!(true)).await;
    assert_eq!(sentence().await, last);
    chromium.stop_after(&["net::ERR_INTERNET_DISCONNECTED", "Failed to fetch"]).await;
    gallery.stop().await;
}
