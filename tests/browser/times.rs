//! Times are the viewer's.

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
    // It is 14:03:20 in UTC, and in New York not tomorrow yet.
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
