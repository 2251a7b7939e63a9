//! The browser's notice that an import has ended, with a recorder in place of the browser's own.

use serde_json::{Value, json};
use thirtyfour::prelude::*;

use crate::{
    chromium::Chromium,
    gallery::{Gallery, Page},
    pace::{set_hidden, with_busy_workers},
};

/// Records what is asked and shown. `answer` is what the person says.
fn recorder(answer: &str) -> String {
    format!(
        "window.asked = 0; window.notices = []; \
         window.Notification = class {{ \
           static permission = 'default'; \
           static async requestPermission() {{ \
             window.asked++; return this.permission = '{answer}'; \
           }} \
           constructor(title, options) {{ window.notices.push([title, options.body, options.tag]); }} \
           close() {{}} \
         }};"
    )
}

async fn shows(chromium: &Chromium, selector: &str) -> bool {
    let script = format!("return document.querySelector('{selector}')?.checkVisibility() ?? false");
    chromium.evaluate(&script).await == json!(true)
}

async fn notices(chromium: &Chromium) -> Vec<Value> {
    chromium.evaluate("return notices").await.as_array().unwrap().clone()
}

async fn click(chromium: &Chromium) {
    chromium.driver.find(By::Id("notify")).await.unwrap().click().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_in_a_hidden_tab_is_told_once_to_those_who_asked_for_it() {
    let (app, chromium, visitor, busy) = with_busy_workers().await;
    chromium.run_first(&recorder("granted")).await;
    let import = visitor.upload("orders.csv", "a,b\n1,2\n").await;
    chromium.driver.goto(format!("{}{import}", app.origin)).await.unwrap();
    chromium.wait_for("the button", async || shows(&chromium, "#notify").await).await;
    let pressed = async || chromium.attribute("#notify", "aria-pressed").await;
    assert_eq!(pressed().await.as_deref(), Some("false"));
    assert_eq!(chromium.evaluate("return asked").await, json!(0), "nothing is asked before a click");
    click(&chromium).await;
    chromium.wait_for("the choice", async || pressed().await.as_deref() == Some("true")).await;
    assert_eq!(chromium.evaluate("return asked").await, json!(1));

    set_hidden(&chromium, true).await;
    drop(busy);
    chromium.wait_for("the notice", async || !notices(&chromium).await.is_empty()).await;
    set_hidden(&chromium, false).await;
    set_hidden(&chromium, true).await;
    visitor.wait_for_state(&import, "Completed").await;
    let told = notices(&chromium).await;
    let [notice] = told.as_slice() else { panic!("one notice: {told:?}") };
    assert_eq!(notice[0], "orders.csv");
    assert!(notice[1].as_str().unwrap().contains("1 row processed"), "{notice}");
    let id = import.rsplit('/').next().unwrap();
    assert_eq!(notice[2], format!("import-{id}"), "two tabs show one");
    assert!(!shows(&chromium, "#notify").await, "nothing more is to come");
    assert!(chromium.driver.title().await.unwrap().starts_with("Completed"));
    chromium.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_told_in_a_tab_that_is_seen_and_after_the_choice_is_taken_back() {
    let (app, chromium, visitor, busy) = with_busy_workers().await;
    chromium.run_first(&recorder("granted")).await;
    visitor.upload("first.csv", "a,b\n1,2\n").await;
    visitor.upload("second.csv", "a,b\n1,2\n").await;
    chromium.driver.goto(&app.origin).await.unwrap();
    chromium.wait_for("the button", async || shows(&chromium, "#notify").await).await;
    let words = chromium.driver.find(By::Id("notify")).await.unwrap().text().await.unwrap();
    assert_eq!(words, "Notify me when they end");
    click(&chromium).await;
    let pressed = async || chromium.attribute("#notify", "aria-pressed").await;
    chromium.wait_for("the choice", async || pressed().await.as_deref() == Some("true")).await;
    let kept = "return localStorage.getItem('runboard-notices')";
    assert_eq!(chromium.evaluate(kept).await, json!("on"));
    // They end while the dashboard is seen.
    drop(busy);
    let ended = "return document.querySelectorAll('[data-state=Completed]').length";
    chromium.wait_for("both ends", async || chromium.evaluate(ended).await == json!(2)).await;
    assert!(notices(&chromium).await.is_empty());
    let busy = app.busy().await;
    let third = visitor.upload("third.csv", "a,b\n1,2\n").await;
    chromium.driver.goto(format!("{}{third}", app.origin)).await.unwrap();
    // The recorder knows nothing of the permission that was given on the page before.
    chromium
        .evaluate("Notification.permission = 'granted'; window.dispatchEvent(new Event('storage'))")
        .await;
    assert_eq!(pressed().await.as_deref(), Some("true"), "the choice is remembered");
    click(&chromium).await;
    chromium.wait_for("the choice", async || pressed().await.as_deref() == Some("false")).await;
    assert_eq!(chromium.evaluate(kept).await, Value::Null);
    set_hidden(&chromium, true).await;
    drop(busy);
    visitor.wait_for_state(&third, "Completed").await;
    set_hidden(&chromium, false).await;
    chromium.wait_for_state("Completed").await;
    assert!(notices(&chromium).await.is_empty());
    chromium.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_blocks_notices_says_so() {
    let (app, chromium, visitor, _busy) = with_busy_workers().await;
    chromium.run_first(&recorder("denied")).await;
    let import = visitor.upload("orders.csv", "a,b\n1,2\n").await;
    chromium.driver.goto(format!("{}{import}", app.origin)).await.unwrap();
    chromium.wait_for("the button", async || shows(&chromium, "#notify").await).await;
    // The next poll may say something else.
    let listen = "window.said = []; \
         new MutationObserver(() => said.push(announcer.textContent)).observe(announcer, { childList: true })";
    chromium.evaluate(listen).await;
    click(&chromium).await;
    chromium.wait_for("the sentence", async || shows(&chromium, "[data-notify] span").await).await;
    let sentence = chromium.driver.find(By::Css("[data-notify]")).await.unwrap().text().await.unwrap();
    assert_eq!(sentence, "Notifications are blocked for this site in your browser's settings.");
    assert!(!shows(&chromium, "#notify").await);
    let told = async || chromium.evaluate("return said").await;
    let is_told = async || told().await.as_array().unwrap().contains(&json!(sentence));
    chromium.wait_for("the same for screen readers", is_told).await;
    chromium.stop().await;
    app.stop().await;
}

/// Answers the polls of a hidden page with the panel of another page, the first one at once.
async fn answer_with(chromium: &Chromium, page: &Page) {
    let script = "\
        const parsed = new DOMParser().parseFromString(arguments[0], 'text/html'); \
        const panel = parsed.getElementById('import-panel').outerHTML; \
        window.fetch = async () => new Response(panel, { headers: { 'content-type': 'text/html' } }); \
        const isHidden = (hidden) => \
            Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden }); \
        isHidden(false); \
        document.dispatchEvent(new Event('visibilitychange')); \
        isHidden(true);";
    chromium.driver.execute(script, vec![page.html.clone().into()]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn that_no_function_took_an_event_is_told_as_an_end_only_when_nothing_polls_any_more() {
    let gallery = Gallery::start();
    let chromium = Chromium::start().await;
    chromium.run_first(&recorder("granted")).await;
    gallery.open(&chromium, gallery.page("import-sent")).await;
    chromium
        .evaluate("Notification.permission = 'granted'; localStorage.setItem('runboard-notices', 'on')")
        .await;
    answer_with(&chromium, gallery.page("import-nobody-took-it")).await;
    chromium.wait_for_state("NoFunction").await;
    assert!(notices(&chromium).await.is_empty(), "a function may still take it");
    answer_with(&chromium, gallery.page("import-given-up")).await;
    chromium.wait_for("the notice", async || !notices(&chromium).await.is_empty()).await;
    let told = notices(&chromium).await;
    let [notice] = told.as_slice() else { panic!("one notice: {told:?}") };
    assert_eq!(notice[0], "orders-2026-11.csv");
    assert!(notice[1].as_str().unwrap().contains("in a day"), "{notice}");
    chromium.stop().await;
    gallery.stop().await;
}
