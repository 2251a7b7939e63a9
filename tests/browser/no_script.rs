//! Everything works without scripts.

use std::fs;

use thirtyfour::prelude::*;

use crate::{
    chromium::Chromium,
    files::big_csv,
    support::{
        host::{Host, Reply},
        spawn_app_on,
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn a_person_without_scripts_imports_watches_cancels_and_signs_out() {
    let host = Host::start(|path, _| match path {
        "/prices.csv" => Reply::file("a,b\n1,2\n"),
        _ => Reply::Hold(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\na,b\n1,2\n".to_vec()),
    })
    .await;
    let allowed = host.allowed().parse().unwrap();
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.allow_addresses = allowed).await;
    let chromium = Chromium::start_without_scripts().await;
    let page = &chromium.driver;
    let path = async || page.current_url().await.unwrap().path().to_owned();
    let at_import = async || path().await.starts_with("/imports/");
    let state = async || chromium.attribute("[data-import-id]", "data-state").await.unwrap_or_default();
    let click = async |selector: &str| page.find(By::Css(selector)).await.unwrap().click().await.unwrap();

    page.goto(&app.origin).await.unwrap();
    chromium.wait_for("the sign-up form", async || path().await == "/sign-up").await;
    chromium.fill_in_account("mira@example.org").await;
    assert_eq!(chromium.evaluate("return matchMedia('(scripting: none)').matches").await, true);

    // The browser's own input and a button, because choosing a file does not submit the form.
    let (csv, good, bad) = big_csv(100);
    let file = chromium.folder().join("airports-many-times.csv");
    fs::write(&file, csv).unwrap();
    let input = page.find(By::Id("file")).await.unwrap();
    assert!(input.is_displayed().await.unwrap());
    let title = page.find(By::Id("drop-title")).await.unwrap();
    assert_eq!(title.text().await.unwrap(), "Choose CSV files", "nothing can be dropped");
    input.send_keys(file.to_str().unwrap()).await.unwrap();
    assert_eq!(path().await, "/");
    click(".drop-choose button[type=submit]").await;
    chromium.wait_for("the import's page", at_import).await;

    assert_ne!(state().await, "Completed", "over before it could be watched");
    // The page refreshes itself until nothing more is expected.
    chromium.wait_for("Completed", async || state().await == "Completed").await;
    let counted = |name| chromium.attribute("[data-run-id]", name);
    assert_eq!(counted("data-processed").await.unwrap(), good.to_string());
    assert_eq!(counted("data-failed").await.unwrap(), bad.to_string());
    assert!(!page.source().await.unwrap().contains("http-equiv"), "what has ended asks no more");

    // The dashboard does not refresh itself, so that a typed text is not lost.
    page.goto(&app.origin).await.unwrap();
    let field = page.find(By::Id("address")).await.unwrap();
    field.send_keys(host.url("/held.csv") + Key::Enter).await.unwrap();
    chromium.wait_for("the import's page", at_import).await;
    let held = path().await;
    let mut visitor = app.visitor();
    visitor.cookie = Some(session(page).await);
    visitor.wait_for_state(&held, "Running").await;
    page.goto(&app.origin).await.unwrap();
    assert_eq!(chromium.attribute(".card", "data-state").await.as_deref(), Some("Running"));
    page.find(By::Id("address")).await.unwrap().send_keys("https://half-an-addr").await.unwrap();
    assert!(visitor.post_form(&format!("{held}/cancel"), &[]).await.status().is_redirection());
    visitor.wait_for_state(&held, "Cancelled").await;
    let typed = chromium.evaluate("return document.getElementById('address').value").await;
    assert_eq!(typed, "https://half-an-addr");
    assert_eq!(chromium.attribute(".card", "data-state").await.as_deref(), Some("Running"));
    assert!(!page.source().await.unwrap().contains("http-equiv"), "the dashboard refreshes itself");
    // Its refresh link remains until no import is in progress.
    click(".refresh a").await;
    let row = async || chromium.attribute("tr[data-import-id]", "data-state").await;
    chromium.wait_for("the end of it", async || row().await.as_deref() == Some("Cancelled")).await;
    assert!(page.find(By::Css(".refresh")).await.is_err(), "there is nothing to refresh");

    // An address cannot be looked at first.
    click("#look").await;
    page.find(By::Id("address")).await.unwrap().send_keys(&host.url("/prices.csv")).await.unwrap();
    click(".drop-address button").await;
    let refusal = async || page.find(By::Id("address-error")).await.is_ok();
    chromium.wait_for("the refusal", refusal).await;
    let given = "return [document.getElementById('look').checked, document.getElementById('address').value]";
    assert_eq!(chromium.evaluate(given).await, serde_json::json!([true, host.url("/prices.csv")]));
    click("#look").await;

    // A complete address is fetched.
    let field = page.find(By::Id("address")).await.unwrap();
    field.clear().await.unwrap();
    field.send_keys(&host.url("/prices.csv")).await.unwrap();
    click(".drop-address button").await;
    chromium.wait_for("the import's page", at_import).await;
    chromium.wait_for("Completed", async || state().await == "Completed").await;

    // An import that does not end is cancelled on its page.
    page.goto(&app.origin).await.unwrap();
    let field = page.find(By::Id("address")).await.unwrap();
    field.send_keys(host.url("/held-too.csv") + Key::Enter).await.unwrap();
    chromium.wait_for("the import's page", at_import).await;
    chromium
        .wait_for("Cancel", async || page.find(By::Css(".button.cancel[type=submit]")).await.is_ok())
        .await;
    click(".button.cancel[type=submit]").await;
    chromium.wait_for("Cancelled", async || state().await == "Cancelled").await;

    click(".who button").await;
    chromium.wait_for("the sign-in form", async || path().await == "/sign-in").await;
    chromium.stop_after(&["status of 422"]).await;
    app.stop().await;
}

/// The session's cookie as a request header.
async fn session(page: &WebDriver) -> String {
    let cookie = page.get_named_cookie("runboard_session").await.unwrap();
    format!("{}={}", cookie.name, cookie.value)
}
