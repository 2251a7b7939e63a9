//! Everything can be done with the keyboard alone.

use serde_json::Value;
use thirtyfour::prelude::*;

use crate::{
    chromium::Chromium,
    gallery::Gallery,
    support::{
        host::{Host, Reply},
        spawn_app_on,
    },
};

/// Numbers the usable elements in reading order. Returns how many there are.
const NUMBER: &str = "
    const usable = [...document.querySelectorAll(
        'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex=\"0\"]')]
        .filter((one) => one.checkVisibility({ visibilityProperty: true }));
    usable.forEach((one, number) => { one.dataset.number = number; });
    return usable.length;";

/// The focused element: its number, its description, and whether its focus is visible.
const FOCUSED: &str = "
    const one = document.activeElement;
    // The file's input is hidden behind the label that looks like a button.
    const seen = one.type === 'file' ? one.labels[0] : one;
    // The link in a row uses the whole row as its target and for its outline, and a scrolling element in a
    // card uses the card's outline.
    const isOutlined = (part, one = seen) => {
        const { outlineStyle, outlineWidth } = getComputedStyle(one, part);
        return outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2;
    };
    const { top, bottom, left, right, width, height } = seen.getBoundingClientRect();
    return {
        number: Number(one.dataset.number ?? -1),
        what: one.outerHTML.slice(0, 120),
        outlined: isOutlined(null) || isOutlined('::after') || isOutlined(null, seen.closest('.surface') ?? seen),
        visible: width > 0 && height > 0 && bottom > 0 && right > 0 && top < innerHeight && left < innerWidth,
    };";

#[tokio::test(flavor = "multi_thread")]
async fn tab_reaches_everything_in_reading_order_and_shows_where_it_is() {
    let gallery = Gallery::start();
    let chromium = Chromium::start().await;
    for (name, width) in [
        ("dashboard-busy", 1280),
        ("dashboard-file-refused", 320),
        ("import-running", 1280),
        ("import-completed-with-failures", 1280),
        ("import-completed-with-failures", 320),
        ("import-run-again", 1280),
        ("sign-up", 1280),
    ] {
        chromium.resize(width, 800).await;
        gallery.open(&chromium, gallery.page(name)).await;
        chromium.evaluate("document.querySelector('details')?.setAttribute('open', '')").await;
        let count = chromium.evaluate(NUMBER).await.as_i64().unwrap();
        assert!(count >= 3, "{name} has {count} things to use");
        // Where a page sets the focus itself, tabbing starts after that element.
        let first = chromium.evaluate(FOCUSED).await["number"].as_i64().unwrap() + 1;
        let mut reached = Vec::new();
        for _ in first..count {
            chromium.press(Key::Tab).await;
            let focused = chromium.evaluate(FOCUSED).await;
            assert_eq!(focused["outlined"], true, "{name}, {width} wide: {}", focused["what"]);
            assert_eq!(focused["visible"], true, "{name}, {width} wide: {}", focused["what"]);
            reached.push(focused["number"].as_i64().unwrap());
        }
        assert_eq!(reached, (first..count).collect::<Vec<_>>(), "{name}, {width} wide");
    }
    chromium.stop().await;
    gallery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_key_skips_to_the_content_and_the_fold_opens_by_space_and_enter() {
    let gallery = Gallery::start();
    let chromium = Chromium::start().await;
    gallery.open(&chromium, gallery.page("import-completed-with-failures")).await;
    chromium.press(Key::Tab).await;
    chromium.press(Key::Enter).await;
    let in_content = async || chromium.evaluate("return document.activeElement.id").await == "content";
    chromium.wait_for("the content to have the focus", in_content).await;
    chromium.press(Key::Tab).await;
    let within = chromium.evaluate("return document.activeElement.closest('main')?.id").await;
    assert_eq!(within, "content", "the next key continues from there");

    while chromium.evaluate("return document.activeElement.localName").await != "summary" {
        chromium.press(Key::Tab).await;
        let left = chromium.evaluate("return document.activeElement === document.body").await;
        assert_eq!(left, false, "no fold was reached");
    }
    let is_open = async || chromium.evaluate("return document.querySelector('details').open").await;
    for (key, open) in [(Key::Space, true), (Key::Enter, false)] {
        chromium.press(key).await;
        chromium.wait_for("the fold", async || is_open().await == Value::Bool(open)).await;
    }
    chromium.stop().await;
    gallery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_given_found_and_cancelled_without_a_mouse() {
    let host = Host::start(|_, _| {
        Reply::Hold(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\na,b\n1,2\n".to_vec())
    })
    .await;
    let allowed = host.allowed().parse().unwrap();
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.allow_addresses = allowed).await;
    let chromium = Chromium::start().await;
    let page = &chromium.driver;
    let type_in = async |text: &str| page.action_chain().send_keys(text).perform().await.unwrap();
    let path = async || page.current_url().await.unwrap().path().to_owned();
    let tab_to = async |selector: &str| {
        let is_there = format!("return document.activeElement.matches({selector:?})");
        for _ in 0..40 {
            if chromium.evaluate(&is_there).await == true {
                return;
            }
            chromium.press(Key::Tab).await;
        }
        panic!("{selector} was not reached: {}", page.source().await.unwrap());
    };

    // The first field already has the focus.
    page.goto(format!("{}/sign-up", app.origin)).await.unwrap();
    type_in("mira@example.org").await;
    chromium.press(Key::Tab).await;
    type_in("correct horse").await;
    chromium.press(Key::Enter).await;
    chromium.wait_for("the dashboard", async || path().await == "/").await;

    tab_to("#address").await;
    type_in(&host.url("/held.csv")).await;
    chromium.press(Key::Enter).await;
    // Once it is loaded and its panel is there: until then the focus goes to the page that is left, or is lost.
    let is_loaded = "return document.readyState === 'complete' && !!document.querySelector('.button.cancel')";
    let is_shown =
        async || path().await.starts_with("/imports/") && chromium.evaluate(is_loaded).await == true;
    chromium.wait_for("the import's page", is_shown).await;

    tab_to(".button.cancel").await;
    chromium.press(Key::Enter).await;
    let state = async || chromium.attribute("[data-import-id]", "data-state").await;
    chromium.wait_for("the end", async || state().await.as_deref() == Some("Cancelled")).await;

    chromium.stop().await;
    app.stop().await;
}
