//! Times are shown in the viewer's zone and format.

use serde_json::json;

use crate::{
    chromium::Chromium,
    gallery::{Gallery, stop_the_clock},
};

#[tokio::test(flavor = "multi_thread")]
async fn times_are_in_the_viewers_zone_and_exact_in_their_titles() {
    let gallery = Gallery::start();
    let chromium = Chromium::start().await;
    stop_the_clock(&chromium).await;
    // It is 14:03:20 in UTC, and still the same day in New York.
    for (zone, as_of, title, oldest) in [
        ("Asia/Tokyo", "23:03:20", "23 Nov 2026, 23:03:20 GMT+9", "Yesterday 10:18"),
        ("America/New_York", "09:03:20", "23 Nov 2026, 09:03:20 GMT-5", "21 Nov 20:18"),
    ] {
        chromium.command("Emulation.setTimezoneOverride", json!({ "timezoneId": zone })).await;
        gallery.open(&chromium, gallery.page("import-running")).await;
        let time = "const time = document.querySelector('.panel-head time'); \
             return [time.textContent, time.title, time.dateTime]";
        assert_eq!(chromium.evaluate(time).await, json!([as_of, title, "2026-11-23T14:03:20.000Z"]));
        gallery.open(&chromium, gallery.page("dashboard-busy")).await;
        let times = "return [...document.querySelectorAll('.started time')].map((time) => time.textContent)";
        let times = chromium.evaluate(times).await;
        assert!(times.as_array().unwrap().contains(&json!(oldest)), "{zone}: {times}");
    }
    chromium.stop().await;
    gallery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_and_dates_are_written_as_the_viewer_writes_them_and_attributes_stay() {
    let gallery = Gallery::start();
    let chromium = Chromium::start().await;
    stop_the_clock(&chromium).await;
    let figures = "return [...document.querySelectorAll('.figures .processed dd, .figures .failed dd')] \
         .map((figure) => figure.textContent)";
    let attributes = "const run = document.querySelector('[data-run-id]').dataset; \
         return [run.processed, run.failed]";
    let sentence = "return document.querySelector('.sentence').textContent";
    for (locale, processed, words, time) in [
        ("en-GB", "249,588", "250,000 of about 1,000,000 rows", "14:03:20"),
        ("de-DE", "249.588", "250.000 of about 1.000.000 rows", "14:03:20"),
        ("en-US", "249,588", "250,000 of about 1,000,000 rows", "2:03:20"),
    ] {
        // The browser allows one override at a time.
        for locale in ["", locale] {
            chromium.command("Emulation.setLocaleOverride", json!({ "locale": locale })).await;
        }
        gallery.open(&chromium, gallery.page("import-running")).await;
        let shown = chromium.evaluate(figures).await;
        assert_eq!(shown[0], processed, "{locale}: {shown}");
        let shown = chromium.evaluate(sentence).await;
        assert!(shown.as_str().unwrap().starts_with(words), "{locale}: {shown}");
        let shown = chromium.evaluate("return document.querySelector('.panel-head time').textContent").await;
        assert!(shown.as_str().unwrap().contains(time), "{locale}: {shown}");
        assert_eq!(chromium.evaluate(attributes).await, json!(["249588", "412"]), "{locale}");
    }
    chromium.stop().await;
    gallery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forced_colours_keep_the_marks_that_have_a_meaning() {
    let gallery = Gallery::start();
    let chromium = Chromium::start().await;
    let forced = json!({ "features": [{ "name": "forced-colors", "value": "active" }] });
    chromium.command("Emulation.setEmulatedMedia", forced).await;
    gallery.open(&chromium, gallery.page("import-running")).await;
    assert_eq!(chromium.evaluate("return matchMedia('(forced-colors: active)').matches").await, json!(true));
    for mark in [".figures .failed dt", ".timeline .marker:empty"] {
        let seen = format!(
            "const mark = getComputedStyle(document.querySelector('{mark}'), '::before').backgroundColor; \
             return mark !== getComputedStyle(document.body).backgroundColor && !mark.endsWith(', 0)')"
        );
        assert_eq!(chromium.evaluate(&seen).await, json!(true), "{mark}");
    }
    chromium.stop().await;
    gallery.stop().await;
}
