//! A page's own behaviour during an import.

use serde_json::json;
use thirtyfour::prelude::*;

use crate::{
    chromium::Chromium,
    files::{MANY, big_csv},
    support::{
        host::{Host, Reply},
        spawn_app, spawn_app_on,
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_of_what_goes_on_leaves_focus_scroll_and_the_chosen_file_alone() {
    let app = spawn_app().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let chromium = Chromium::start_signed_in(&app.origin, "/sign-in").await;
    let page = &chromium.driver;
    let (csv, ..) = big_csv(MANY);

    // An import is in progress while the person uses the form.
    visitor.upload("going-on.csv", csv).await;
    page.refresh().await.unwrap();
    page.execute(
        "const input = document.querySelector('input[name=file]');
         window.theInput = input; input.focus(); window.scrollTo(0, 40);",
        Vec::new(),
    )
    .await
    .unwrap();
    chromium.wait_for_state("Completed").await;
    let same = page
        .execute(
            "return document.activeElement === window.theInput && document.contains(window.theInput) \
             && (window.scrollY === 40 || document.documentElement.scrollHeight <= window.innerHeight + 40);",
            Vec::new(),
        )
        .await
        .unwrap();
    assert_eq!(
        same.json(),
        &serde_json::Value::Bool(true),
        "the form was replaced, lost its focus or the page jumped"
    );

    chromium.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_corrects_an_address_and_sees_its_bytes_arrive() {
    let host = Host::start(|_, _| {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n";
        Reply::Hold([head.as_slice(), &[b'a'; 84_000]].concat())
    })
    .await;
    let allowed = host.allowed().parse().unwrap();
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.allow_addresses = allowed).await;
    let chromium = Chromium::start_signed_in(&app.origin, "/sign-up").await;
    let page = &chromium.driver;

    // The error is shown, and the typed text stays for correction.
    let wrong = host.url("/prices.csv").replace("http:", "ftp:");
    page.find(By::Name("url")).await.unwrap().send_keys(&wrong).await.unwrap();
    page.find(By::Css(".drop-address button")).await.unwrap().click().await.unwrap();
    chromium
        .wait_for("the refusal", async || chromium.attribute("#address", "aria-invalid").await.is_some())
        .await;
    assert_eq!(chromium.attribute("#address", "value").await.unwrap(), wrong);
    let field = page.find(By::Name("url")).await.unwrap();
    field.clear().await.unwrap();
    field.send_keys(host.url("/prices.csv") + Key::Enter).await.unwrap();

    let label = "42% of 200 KB received";
    chromium
        .wait_for("bytes", async || chromium.attribute(".bar", "aria-label").await.as_deref() == Some(label))
        .await;
    let fill = page
        .execute("return getComputedStyle(document.querySelector('.bar .done')).fill", Vec::new())
        .await
        .unwrap();
    assert!(fill.json().as_str().unwrap().contains("#hatch"), "bytes are hatched: {}", fill.json());

    chromium.stop_after(&["the server responded with a status of 422"]).await;
    app.stop().await;
}

/// Throughout an import its panel keeps its first height, and an opened fold, the focus and the scroll
/// position stay.
#[tokio::test(flavor = "multi_thread")]
async fn a_panel_keeps_its_height_and_the_open_fold_from_the_first_paint_to_the_end() {
    let app = spawn_app().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let chromium = Chromium::start_signed_in(&app.origin, "/sign-in").await;
    let page = &chromium.driver;
    // Observed from before the first paint.
    let watch = "addEventListener('DOMContentLoaded', () => { \
           window.heights = new Set(); \
           const panel = document.querySelector('.panel'); \
           if (panel) new ResizeObserver(() => heights.add(panel.offsetHeight)).observe(panel); \
         });";
    chromium.run_first(watch).await;
    for (width, copies) in [(1280, MANY), (360, MANY)] {
        chromium.resize(width, 900).await;
        let import = visitor.upload("watched.csv", big_csv(copies).0).await;
        page.goto(format!("{}{import}", app.origin)).await.unwrap();
        let state = chromium.attribute("[data-import-id]", "data-state").await.unwrap();
        assert_ne!(state, "Completed", "it is seen from its beginning");
        chromium
            .wait_for("the first rows", async || chromium.attribute("#first-rows", "role").await.is_some())
            .await;
        let touch = "const fold = document.getElementById('technical-detail'); \
             fold.querySelector('summary').click(); fold.querySelector('summary').focus(); scrollTo(0, 60); \
             const rows = document.getElementById('first-rows'); rows.scrollLeft = 30; \
             return rows.scrollLeft";
        let sideways = chromium.evaluate(touch).await;
        assert!(
            width > 360 || sideways == json!(30),
            "on a phone the first rows can be scrolled: {sideways}"
        );
        chromium.wait_for_state("Completed").await;
        let now = "return [document.getElementById('technical-detail').open, \
             document.activeElement.localName, scrollY, document.getElementById('first-rows').scrollLeft, \
             [...heights].length]";
        let expected = json!([true, "summary", 60, sideways, 1]);
        assert_eq!(chromium.evaluate(now).await, expected, "at {width} px");
    }
    chromium.stop().await;
    app.stop().await;
}
