//! A file on its way: chosen or let go over the page, seen to arrive, stopped.

use std::fs;

use serde_json::json;
use thirtyfour::prelude::*;

use crate::{
    chromium::Chromium,
    support::{TestApp, files_under, spawn_app},
};

async fn on_the_dashboard() -> (TestApp, Chromium) {
    let app = spawn_app().await;
    let chromium = Chromium::start_signed_in(&app.origin, "/sign-up").await;
    (app, chromium)
}

/// A drag of files from the desktop, as the browser itself gets it.
async fn drag(chromium: &Chromium, kind: &str, files: &[&str]) {
    let data = json!({ "items": [], "files": files, "dragOperationsMask": 1 });
    let event = json!({ "type": kind, "x": 640, "y": 700, "data": data });
    chromium.command("Input.dispatchDragEvent", event).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_can_be_let_go_anywhere_on_the_page() {
    let (app, chromium) = on_the_dashboard().await;
    let page = &chromium.driver;
    let paths = ["dropped.csv", "second.csv"].map(|name| chromium.folder().join(name));
    paths.iter().for_each(|path| fs::write(path, "a,b\n1,2\n").unwrap());
    let paths = paths.map(|path| path.to_str().unwrap().to_owned());
    let invites = async || {
        let script = "return getComputedStyle(document.querySelector('.drop-held')).visibility";
        chromium.evaluate(script).await == json!("visible")
    };

    // Two at once would be two imports: nothing is sent.
    let two = [paths[0].as_str(), paths[1].as_str()];
    for kind in ["dragEnter", "dragOver"] {
        drag(&chromium, kind, &two).await;
    }
    chromium.wait_for("the invitation", invites).await;
    drag(&chromium, "drop", &two).await;
    let refusal = async || page.find(By::Id("upload-error")).await.unwrap().text().await.unwrap();
    chromium.wait_for("the refusal", async || refusal().await == "One file at a time").await;
    assert!(!invites().await);

    for kind in ["dragEnter", "dragOver"] {
        drag(&chromium, kind, &two[..1]).await;
    }
    chromium.wait_for("the invitation", invites).await;
    drag(&chromium, "drop", &two[..1]).await;
    chromium
        .wait_for("the import's page", async || {
            page.current_url().await.unwrap().path().starts_with("/imports/")
        })
        .await;
    assert_eq!(page.find(By::Id("file-name")).await.unwrap().text().await.unwrap(), "dropped.csv");
    chromium.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_seen_to_arrive_and_can_be_stopped() {
    let (app, chromium) = on_the_dashboard().await;
    let page = &chromium.driver;
    let path = chromium.folder().join("slow.csv");
    fs::write(&path, "1,2\n".repeat(1_000_000)).unwrap();
    chromium.command("Network.enable", json!({})).await;
    let slow = json!({
        "offline": false, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 400_000,
    });
    chromium.command("Network.emulateNetworkConditions", slow).await;
    page.find(By::Id("address")).await.unwrap().send_keys("https://files.example/typed.csv").await.unwrap();
    page.find(By::Name("file")).await.unwrap().send_keys(path.to_str().unwrap()).await.unwrap();

    let sentence = async || page.find(By::Id("receiving-sentence")).await.unwrap().text().await.unwrap();
    chromium
        .wait_for("speed and time left", async || {
            let words = sentence().await;
            words.contains(" % of 4.0 MB received, ") && words.contains("B/s, ") && words.ends_with(" left.")
        })
        .await;
    let title = page.title().await.unwrap();
    assert!(title.ends_with(" % received · slow.csv · Runboard"), "{title}");
    let stop = page.find(By::Id("stop-upload")).await.unwrap();
    assert_eq!(chromium.evaluate("return document.activeElement.id").await, json!("stop-upload"));
    stop.click().await.unwrap();
    chromium
        .wait_for("the form", async || page.find(By::Css(".drop-zone.is-receiving")).await.is_err())
        .await;
    assert_eq!(page.title().await.unwrap(), "Imports · Runboard");
    assert_eq!(
        chromium.evaluate("return document.getElementById('address').value").await,
        json!("https://files.example/typed.csv")
    );
    let files = app.data.path().join("files");
    chromium.wait_for("nothing left of it", async || files_under(&files) == 0).await;
    page.refresh().await.unwrap();
    assert!(chromium.attribute("[data-import-id]", "data-state").await.is_none(), "nothing was imported");
    chromium.stop().await;
    app.stop().await;
}
