//! Files, folders and links that are dropped or pasted anywhere on a page.

use serde_json::{Value, json};
use thirtyfour::prelude::*;

use crate::{
    chromium::Chromium,
    support::{host::Host, spawn_app_on},
    upload::{at_import, cards, file, on_the_dashboard, text},
};

/// A drag from the desktop or another window, as the browser receives it.
async fn drag(chromium: &Chromium, kind: &str, data: &Value) {
    let event = json!({ "type": kind, "x": 640, "y": 700, "data": data });
    chromium.command("Input.dispatchDragEvent", event).await;
}

fn files(paths: &[String]) -> Value {
    json!({ "items": [], "files": paths, "dragOperationsMask": 1 })
}

async fn drop(chromium: &Chromium, data: &Value) {
    for kind in ["dragEnter", "dragOver"] {
        drag(chromium, kind, data).await;
    }
    // The page may have moved under the pointer, which a person would follow.
    chromium.evaluate("return document.body.offsetHeight").await;
    for kind in ["dragOver", "drop"] {
        drag(chromium, kind, data).await;
    }
}

async fn invites(chromium: &Chromium) -> bool {
    let script = "return getComputedStyle(document.querySelector('.drop-held')).visibility === 'visible' \
         && document.querySelector('.drop-held').checkVisibility()";
    chromium.evaluate(script).await == json!(true)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_can_be_dropped_anywhere_on_the_dashboard_and_on_an_imports_page() {
    let (app, chromium) = on_the_dashboard().await;
    let name = async || text(&chromium, "#file-name").await;
    for dropped in ["on-the-dashboard.csv", "on-an-import.csv"] {
        let data = files(&[file(&chromium, dropped, "a,b\n1,2\n")]);
        for kind in ["dragEnter", "dragOver"] {
            drag(&chromium, kind, &data).await;
        }
        chromium.wait_for("the invitation", async || invites(&chromium).await).await;
        assert_eq!(text(&chromium, ".drop-held .drop-title").await, "Drop to import");
        for kind in ["dragOver", "drop"] {
            drag(&chromium, kind, &data).await;
        }
        chromium.wait_for(dropped, async || name().await == dropped).await;
        at_import(&chromium).await;
    }
    // A refusal is shown over the page, which stays.
    drop(&chromium, &files(&[file(&chromium, "empty.csv", "")])).await;
    let refusal = async || text(&chromium, "#upload-error").await;
    chromium.wait_for("the refusal", async || refusal().await.starts_with("empty.csv is empty")).await;
    assert_eq!(name().await, "on-an-import.csv");
    chromium.driver.find(By::Id("close-refusal")).await.unwrap().click().await.unwrap();
    assert_eq!(refusal().await, "");
    // Several files are shown together on the dashboard.
    let two = ["one.csv", "two.csv"].map(|name| file(&chromium, name, "a\n1\n"));
    drop(&chromium, &files(&two)).await;
    let is_there = async || chromium.driver.current_url().await.unwrap().path() == "/";
    chromium.wait_for("the dashboard", is_there).await;
    let page = chromium.driver.source().await.unwrap();
    assert!(page.contains("one.csv") && page.contains("two.csv"), "{page}");
    chromium.stop_after(&["the server responded with a status of 422"]).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_folder_gives_its_csv_files_or_a_sentence() {
    let (app, chromium) = on_the_dashboard().await;
    for (name, rows) in [
        ("year/june.csv", "a\n1\n"),
        ("year/july/first.CSV", "a\n1\n"),
        ("year/july/notes.md", "no rows"),
        ("year/.hidden.csv", "a\n1\n"),
        ("pictures/notes.md", "no rows"),
    ] {
        file(&chromium, name, rows);
    }
    std::fs::create_dir(chromium.folder().join("none")).unwrap();
    let folder = |name: &str| chromium.folder().join(name).to_str().unwrap().to_owned();
    let refusal = async || text(&chromium, "#upload-error").await;
    for name in ["pictures", "none"] {
        drop(&chromium, &files(&[folder(name)])).await;
        let expected = format!("There is no CSV in {name}");
        chromium.wait_for("the refusal", async || refusal().await == expected).await;
    }
    assert_eq!(
        text(&chromium, "#upload-advice").await,
        "Nothing was sent. A CSV is a file that ends in .csv or .tsv."
    );
    // A text file in a folder is usually a readme, not a table.
    file(&chromium, "texts/readme.txt", "a\n1\n");
    drop(&chromium, &files(&[folder("texts")])).await;
    let advice = "Nothing was sent. 1 .txt file in texts left out. To import it, choose it directly.";
    chromium.wait_for("the refusal", async || text(&chromium, "#upload-advice").await == advice).await;
    for name in ["year/readme.txt", "year/july/notes.TXT"] {
        file(&chromium, name, "a\n1\n");
    }
    drop(&chromium, &files(&[folder("year"), file(&chromium, "beside.csv", "a\n1\n")])).await;
    chromium.wait_for("three cards", async || cards(&chromium).await.len() == 3).await;
    let mut shown = cards(&chromium).await;
    shown.sort();
    assert_eq!(shown, ["beside.csv", "first.CSV", "june.csv"]);
    assert_eq!(refusal().await, "");
    let note = "2 .txt files in year left out. To import them, choose them directly.";
    assert_eq!(text(&chromium, "#upload-note").await, note);

    for number in 0..=100 {
        file(&chromium, &format!("many/{number}.csv"), "a\n");
    }
    drop(&chromium, &files(&[folder("many")])).await;
    chromium.wait_for("the refusal", async || refusal().await == "There is too much in many").await;
    assert_eq!(cards(&chromium).await.len(), 3);
    chromium.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_chosen_by_the_keyboard_and_gives_its_csv_files() {
    let (app, chromium) = on_the_dashboard().await;
    let page = &chromium.driver;
    for name in ["year/june.csv", "year/july/first.CSV", "year/.hidden.csv", "pictures/notes.md"] {
        file(&chromium, name, "a\n1\n");
    }
    file(&chromium, "year/july/notes.md", "no rows");
    // The key opens the browser's dialog, which a test cannot use: here the click is recorded, and no dialog
    // opens.
    let listen = "document.activeElement.blur(); document.getElementById('file').focus(); \
         document.getElementById('folder').addEventListener('click', (event) => { \
             window.isOpened = true; event.preventDefault(); \
         }, { once: true })";
    chromium.evaluate(listen).await;
    chromium.press(Key::Tab).await;
    assert_eq!(chromium.evaluate("return document.activeElement.id").await, "folder");
    chromium.press(Key::Enter).await;
    chromium
        .wait_for("the dialog", async || chromium.evaluate("return window.isOpened").await == json!(true))
        .await;

    let choose = async |name: &str| {
        let folder = chromium.folder().join(name);
        page.find(By::Id("folder")).await.unwrap().send_keys(folder.to_str().unwrap()).await.unwrap();
    };
    let refusal = async || text(&chromium, "#upload-error").await;
    choose("pictures").await;
    chromium.wait_for("the refusal", async || refusal().await == "There is no CSV in pictures").await;
    choose("year").await;
    chromium.wait_for("two cards", async || cards(&chromium).await.len() == 2).await;
    let mut shown = cards(&chromium).await;
    shown.sort();
    assert_eq!(shown, ["first.CSV", "june.csv"]);
    assert_eq!(refusal().await, "");
    chromium.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_is_looked_at_without_leaving_what_was_typed() {
    let (app, chromium) = on_the_dashboard().await;
    let page = &chromium.driver;
    page.find(By::Id("address")).await.unwrap().send_keys("https://half-an-addr").await.unwrap();
    page.find(By::Css(".sample summary")).await.unwrap().click().await.unwrap();
    let sample = page.find(By::Css(".sample pre")).await.unwrap();
    assert!(sample.is_displayed().await.unwrap());
    let lines = sample.text().await.unwrap();
    assert!(lines.starts_with("iata,name,city,") && lines.lines().count() == 9, "{lines}");
    page.find(By::Css(".sample .hint a")).await.unwrap().click().await.unwrap();
    let whole = chromium.wait_for_download("airports.csv").await;
    assert_eq!(whole, include_bytes!("../../sample/airports.csv"));
    assert_eq!(page.current_url().await.unwrap().path(), "/");
    let typed = chromium.evaluate("return document.getElementById('address').value").await;
    assert_eq!(typed, json!("https://half-an-addr"));
    chromium.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_or_pasted_link_goes_to_the_address_field() {
    let (app, chromium) = on_the_dashboard().await;
    let value = async || chromium.evaluate("return document.getElementById('address').value").await;
    let link = "https://files.example/2026/orders.csv";
    let item = json!({ "mimeType": "text/uri-list", "data": link });
    drop(&chromium, &json!({ "items": [item], "dragOperationsMask": 1 })).await;
    chromium.wait_for("the link", async || value().await == json!(link)).await;
    assert_eq!(chromium.evaluate("return document.activeElement.id").await, "address");

    let paste = |text: &str| {
        format!(
            "document.activeElement.blur(); const clipboardData = new DataTransfer(); \
             clipboardData.setData('text/plain', {}); \
             document.body.dispatchEvent(new ClipboardEvent('paste', {{ clipboardData, bubbles: true, cancelable: true }}))",
            json!(text)
        )
    };
    chromium.evaluate(&paste("just words")).await;
    assert_eq!(value().await, json!(link));
    chromium.evaluate(&paste(" https://files.example/pasted.csv\n")).await;
    assert_eq!(value().await, json!("https://files.example/pasted.csv"));
    assert!(chromium.attribute("[data-import-id]", "data-state").await.is_none(), "nothing was imported");
    chromium.stop().await;
    app.stop().await;
}

/// A poll may show the end while the cancel form is still being sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_card_whose_end_is_shown_before_its_cancel_is_answered_keeps_no_button() {
    let host = Host::that_never_ends().await;
    let allowed = host.allowed().parse().unwrap();
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.allow_addresses = allowed).await;
    app.signed_in().await.import_address(&host.url("/first.csv")).await;
    let chromium = Chromium::start_signed_in(&app.origin, "/sign-in").await;
    let hold = "const send = window.fetch; window.fetch = async (...request) => { \
         const answer = await send(...request); \
         if (request[1]?.method === 'POST') await new Promise((resolve) => { window.letGo = resolve; }); \
         return answer; }";
    chromium.evaluate(hold).await;
    chromium.driver.find(By::Css(".card .cancel")).await.unwrap().click().await.unwrap();
    chromium.wait_for_state("Cancelled").await;
    chromium.evaluate("window.letGo()").await;
    let is_gone = async || chromium.driver.find(By::Css(".card .cancel")).await.is_err();
    chromium.wait_for("no Cancel on what has ended", is_gone).await;
    assert_eq!(text(&chromium, "#live-heading").await, "Just finished");
    chromium.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_on_a_card_stays_on_the_dashboard_and_offline_it_says_so() {
    // An import that does not end during the test.
    let host = Host::that_never_ends().await;
    let allowed = host.allowed().parse().unwrap();
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.allow_addresses = allowed).await;
    app.signed_in().await.import_address(&host.url("/first.csv")).await;
    let chromium = Chromium::start_signed_in(&app.origin, "/sign-in").await;
    let page = &chromium.driver;
    page.find(By::Id("address")).await.unwrap().send_keys("https://half-an-addr").await.unwrap();
    let cancel = async || page.find(By::Css(".card .cancel")).await.unwrap().click().await.unwrap();
    chromium.set_offline(true).await;
    cancel().await;
    let says = async || text(&chromium, "#offline").await;
    chromium
        .wait_for("the sentence", async || {
            says().await == "You are offline. “Cancel” was not sent. Showing the last known numbers."
        })
        .await;
    let dashed = "return getComputedStyle(document.querySelector('.card .badge')).borderStyle";
    assert_eq!(chromium.evaluate(dashed).await, "dashed", "the badge is dimmed");
    assert_eq!(text(&chromium, ".card .cancel .label").await, "Cancel");

    chromium.set_offline(false).await;
    chromium.wait_for("an answer", async || says().await.is_empty()).await;
    assert_ne!(chromium.evaluate(dashed).await, "dashed");
    cancel().await;
    chromium.wait_for_state("Cancelled").await;
    assert_eq!(page.current_url().await.unwrap().path(), "/");
    let typed = chromium.evaluate("return document.getElementById('address').value").await;
    assert_eq!(typed, json!("https://half-an-addr"));
    chromium.stop_after(&["net::ERR_INTERNET_DISCONNECTED", "Failed to fetch"]).await;
    app.stop().await;
}
