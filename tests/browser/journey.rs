//! From sign-up to the failed rows on one's own disk.

use std::fs;

use thirtyfour::prelude::*;

use crate::{
    chromium::Chromium,
    files::{MANY, big_csv},
    support::{files_under, spawn_app, spawn_app_on},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_up_drops_a_csv_watches_it_and_downloads_the_failed_rows() {
    let app = spawn_app().await;
    let chromium = Chromium::start().await;
    let page = &chromium.driver;
    let (csv, good, bad) = big_csv(MANY);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("airports-many-times.csv");
    fs::write(&path, csv).unwrap();

    // No account exists yet: the first page is sign-up.
    page.goto(&app.origin).await.unwrap();
    chromium
        .wait_for("the sign-up form", async || page.current_url().await.unwrap().path() == "/sign-up")
        .await;
    chromium.fill_in_account("mira@example.org").await;

    // Choosing the file starts the upload.
    page.find(By::Name("file")).await.unwrap().send_keys(path.to_str().unwrap()).await.unwrap();
    chromium
        .wait_for("the import's page", async || {
            page.current_url().await.unwrap().path().starts_with("/imports/")
        })
        .await;

    // The counts change without a click, and never decrease.
    let mut seen = vec![0];
    chromium
        .wait_for("Completed", async || {
            let Some(processed) = chromium.attribute("[data-run-id]", "data-processed").await else {
                return false;
            };
            let processed: usize = processed.parse().unwrap_or(0);
            let last = *seen.last().unwrap();
            assert!(processed >= last, "the count fell from {last} to {processed}");
            if processed > last {
                seen.push(processed);
            }
            chromium.attribute("[data-import-id]", "data-state").await.as_deref() == Some("Completed")
        })
        .await;
    assert!(seen.len() > 2, "the counts were seen to move on the way: {seen:?}");
    assert_eq!(chromium.attribute("[data-run-id]", "data-processed").await.unwrap(), good.to_string());
    assert_eq!(chromium.attribute("[data-run-id]", "data-failed").await.unwrap(), bad.to_string());

    // The import has ended, so the fragment no longer polls.
    assert!(page.find(By::Css("[hx-trigger*='every']")).await.is_err());

    page.find(By::Css("a[href$='/failed.csv']")).await.unwrap().click().await.unwrap();
    let downloaded = String::from_utf8(chromium.wait_for_download("failed.csv").await).unwrap();
    let lines: Vec<&str> = downloaded.lines().collect();
    assert_eq!(lines[0], "_line,_column,_reason,iata,name,city,state,country,latitude,longitude,_extra");
    assert_eq!(lines.len(), 1 + bad);
    assert!(lines[1].starts_with("3378,"), "{}", lines[1]);
    assert!(lines[1].contains("CUT1,only two fields"), "{}", lines[1]);

    // Back on the dashboard, the history contains it.
    page.goto(&app.origin).await.unwrap();
    assert_eq!(chromium.attribute("[data-import-id]", "data-state").await.unwrap(), "Completed");

    chromium.stop().await;
    app.stop().await;
}

/// The script refuses by size alone. Without it the server answers while the browser still sends.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_too_large_is_refused_with_a_sentence_with_and_without_the_script() {
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.max_upload_bytes = 5 << 20).await;
    let chromium = Chromium::start().await;
    let page = &chromium.driver;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.csv");
    // More than can be sent before the server refuses, and sparse on the disk.
    fs::File::create_new(&path).unwrap().set_len(8_000_000_000).unwrap();
    page.goto(format!("{}/sign-up", app.origin)).await.unwrap();
    chromium.fill_in_account("mira@example.org").await;

    let refusal = async || page.find(By::Id("upload-error")).await.unwrap().text().await.unwrap();
    let file = page.find(By::Name("file")).await.unwrap();
    file.send_keys(path.to_str().unwrap()).await.unwrap();
    let by_script = "large.csv is 8.0 GB, and the limit here is 5 MiB";
    chromium.wait_for("the script's refusal", async || refusal().await == by_script).await;

    // Sends the form without the script.
    page.execute(
        "document.getElementById('file').addEventListener('change', (event) => { \
                  event.stopImmediatePropagation(); event.target.form.submit(); }, true)",
        vec![],
    )
    .await
    .unwrap();
    file.send_keys(path.to_str().unwrap()).await.unwrap();
    let by_server = "The upload is larger than 5 MiB, the limit here. Split it and import the parts.";
    chromium.wait_for("the server's refusal", async || refusal().await == by_server).await;
    assert_eq!(page.current_url().await.unwrap().path(), "/imports");
    assert_eq!(files_under(&app.data.path().join("files")), 0);
    chromium.stop_after(&["the server responded with a status of 413"]).await;
    app.stop().await;
}
