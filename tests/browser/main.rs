//! What a person does, in a real browser: Chromium, driven by its own driver.

mod chromium;

#[path = "../it/support/mod.rs"]
#[allow(dead_code)]
mod support;

use std::{fmt::Write, fs, time::Duration};

use chromium::Chromium;
use support::{
    files_under,
    host::{Host, Reply},
    spawn_app, spawn_app_on,
};
use thirtyfour::prelude::*;

/// Times that the real file's rows are repeated: enough that a person sees the counts move.
const COPIES: usize = 600;

/// Rows of a real CSV many times over, with a row now and then that is cut short.
fn big_csv() -> (String, usize, usize) {
    let airports = include_str!("../fixtures/airports.csv");
    let (header, rows) = airports.split_once('\n').unwrap();
    let mut file = format!("{header}\n");
    for copy in 1..=COPIES {
        file.push_str(rows);
        writeln!(file, "CUT{copy},only two fields").unwrap();
    }
    (file, rows.lines().count() * COPIES, COPIES)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_up_drops_a_csv_watches_it_and_downloads_the_failed_rows() {
    let app = spawn_app().await;
    let chromium = Chromium::start().await;
    let page = &chromium.driver;
    let (csv, good, bad) = big_csv();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("airports-many-times.csv");
    fs::write(&path, csv).unwrap();

    // Nobody is signed in, nobody has an account yet: the first page is the one to make it on.
    page.goto(&app.origin).await.unwrap();
    chromium
        .wait_for("the sign-up form", async || page.current_url().await.unwrap().path() == "/sign-up")
        .await;
    page.find(By::Name("email")).await.unwrap().send_keys("mira@example.org").await.unwrap();
    page.find(By::Name("password")).await.unwrap().send_keys("correct horse").await.unwrap();
    page.find(By::Css("main button[type=submit]")).await.unwrap().click().await.unwrap();
    chromium.wait_for("the dashboard", async || page.current_url().await.unwrap().path() == "/").await;

    // Choosing the file is all there is to do.
    page.find(By::Name("file")).await.unwrap().send_keys(path.to_str().unwrap()).await.unwrap();
    chromium
        .wait_for("the import's page", async || {
            page.current_url().await.unwrap().path().starts_with("/imports/")
        })
        .await;

    // The counts move, and only ever up, without a click.
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

    // It has ended: the fragment asks no more.
    assert!(page.find(By::Css("[data-import-id][hx-trigger], [data-import-id] [hx-trigger]")).await.is_err());

    page.find(By::Css("a[href$='/failed.csv']")).await.unwrap().click().await.unwrap();
    let downloaded = chromium.wait_for_download("failed.csv").await;
    let lines: Vec<&str> = downloaded.lines().collect();
    assert_eq!(lines[0], "_line,_column,_reason,iata,name,city,state,country,latitude,longitude,_extra");
    assert_eq!(lines.len(), 1 + bad);
    assert!(lines[1].starts_with("3378,"), "{}", lines[1]);
    assert!(lines[1].contains("CUT1,only two fields"), "{}", lines[1]);

    // Back on the dashboard it stands in the history.
    page.goto(&app.origin).await.unwrap();
    assert_eq!(chromium.attribute("[data-import-id]", "data-state").await.unwrap(), "Completed");

    chromium.assert_console_is_empty().await;
    chromium.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_of_what_goes_on_leaves_focus_scroll_and_the_chosen_file_alone() {
    let app = spawn_app().await;
    let chromium = Chromium::start().await;
    let page = &chromium.driver;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let (csv, ..) = big_csv();

    page.goto(&format!("{}/sign-in", app.origin)).await.unwrap();
    page.find(By::Name("email")).await.unwrap().send_keys("mira@example.org").await.unwrap();
    page.find(By::Name("password")).await.unwrap().send_keys("correct horse").await.unwrap();
    page.find(By::Css("main button[type=submit]")).await.unwrap().click().await.unwrap();
    chromium.wait_for("the dashboard", async || page.current_url().await.unwrap().path() == "/").await;

    // An import goes on while the person has the form under their fingers.
    visitor.upload("going-on.csv", csv).await;
    page.refresh().await.unwrap();
    page.execute(
        "const input = document.querySelector('input[name=file]');
         window.theInput = input; input.focus(); window.scrollTo(0, 40);",
        Vec::new(),
    )
    .await
    .unwrap();
    chromium
        .wait_for("the card's end", async || {
            chromium.attribute("[data-import-id]", "data-state").await.as_deref() == Some("Completed")
        })
        .await;
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

    chromium.assert_console_is_empty().await;
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
    let chromium = Chromium::start().await;
    let page = &chromium.driver;
    page.goto(&format!("{}/sign-up", app.origin)).await.unwrap();
    page.find(By::Name("email")).await.unwrap().send_keys("mira@example.org").await.unwrap();
    page.find(By::Name("password")).await.unwrap().send_keys("correct horse").await.unwrap();
    page.find(By::Css("main button[type=submit]")).await.unwrap().click().await.unwrap();
    chromium.wait_for("the dashboard", async || page.current_url().await.unwrap().path() == "/").await;

    // What is wrong is said, and what was typed is still there to be corrected.
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

    let label = "42 % of 200 KB received";
    chromium
        .wait_for("bytes", async || chromium.attribute(".bar", "aria-label").await.as_deref() == Some(label))
        .await;
    let fill = page
        .execute("return getComputedStyle(document.querySelector('.bar .done')).fill", Vec::new())
        .await
        .unwrap();
    assert!(fill.json().as_str().unwrap().contains("#hatch"), "bytes are hatched: {}", fill.json());

    chromium.stop().await;
    app.stop().await;
}

/// How long a condition may take to come true.
const DEADLINE: Duration = Duration::from_secs(90);

/// The script refuses by the size alone; without it the server answers while the browser still sends.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_too_large_is_refused_with_a_sentence_with_and_without_the_script() {
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.max_upload_bytes = 5_000_000).await;
    let chromium = Chromium::start().await;
    let page = &chromium.driver;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.csv");
    // More than could be sent while the server says no, and nothing on the disk.
    fs::File::create_new(&path).unwrap().set_len(8_000_000_000).unwrap();
    page.goto(format!("{}/sign-up", app.origin)).await.unwrap();
    page.find(By::Name("email")).await.unwrap().send_keys("mira@example.org").await.unwrap();
    page.find(By::Name("password")).await.unwrap().send_keys("correct horse").await.unwrap();
    page.find(By::Css("main button[type=submit]")).await.unwrap().click().await.unwrap();
    chromium.wait_for("the dashboard", async || page.current_url().await.unwrap().path() == "/").await;

    let refusal = async || page.find(By::Id("upload-error")).await.unwrap().text().await.unwrap();
    let file = page.find(By::Name("file")).await.unwrap();
    file.send_keys(path.to_str().unwrap()).await.unwrap();
    let by_script = "large.csv is 8.0 GB, and this Runboard takes up to 5 MB";
    chromium.wait_for("the script's refusal", async || refusal().await == by_script).await;

    // As a form that no script watches.
    page.execute(
        "document.getElementById('file').addEventListener('change', (event) => { \
                  event.stopImmediatePropagation(); event.target.form.submit(); }, true)",
        vec![],
    )
    .await
    .unwrap();
    file.send_keys(path.to_str().unwrap()).await.unwrap();
    let by_server =
        "The file is larger than 5 MB, the most that is taken here. Split it and import the parts.";
    chromium.wait_for("the server's refusal", async || refusal().await == by_server).await;
    assert_eq!(page.current_url().await.unwrap().path(), "/imports");
    assert_eq!(files_under(&app.data.path().join("files")), 0);
    chromium.stop().await;
    app.stop().await;
}
