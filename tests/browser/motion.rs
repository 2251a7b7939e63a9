//! Reduced motion: no animation runs.

use crate::{chromium::Chromium, gallery::Gallery};

/// The names of running animations, after a bar has grown and a fold was opened.
const MOVING: &str = "
    document.querySelector('.bar .done').setAttribute('width', '80%');
    document.querySelector('#technical-detail').open = true;
    return document.getAnimations().map((one) => one.animationName ?? one.transitionProperty).sort();";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_moves_on_a_running_page_when_less_motion_is_asked_for() {
    let gallery = Gallery::start();
    let chromium = Chromium::start().await;
    for (motion, moving) in
        [("no-preference", &["fade", "transform", "turn", "turn", "width"] as &[&str]), ("reduce", &[])]
    {
        chromium.prefer("light", motion).await;
        gallery.open(&chromium, gallery.page("import-running")).await;
        assert_eq!(chromium.evaluate(MOVING).await, serde_json::json!(moving), "{motion}");
    }
    chromium.stop().await;
    gallery.stop().await;
}
