//! Uploads: chosen, in progress, stalled, stopped, refused, and chosen again.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use thirtyfour::prelude::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    chromium::Chromium,
    support::{
        TestApp, files_under,
        host::{Host, Reply},
        nginx::{free_port, spawn_behind_nginx},
        spawn_app, spawn_app_on,
    },
};

pub async fn on_the_dashboard() -> (TestApp, Chromium) {
    let app = spawn_app().await;
    let chromium = Chromium::start_signed_in(&app.origin, "/sign-up").await;
    (app, chromium)
}

/// A file to choose or drop.
pub fn file(chromium: &Chromium, name: &str, bytes: impl AsRef<[u8]>) -> String {
    let path = chromium.folder().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path.into_os_string().into_string().unwrap()
}

/// Chooses files, as in the browser's dialog.
pub async fn choose(chromium: &Chromium, paths: &[String]) {
    let input = chromium.driver.find(By::Id("file")).await.unwrap();
    input.send_keys(paths.join("\n").as_str()).await.unwrap();
}

/// Limits the browser's upload to this many bytes per second.
async fn let_out(chromium: &Chromium, bytes_per_second: i64) {
    chromium.command("Network.enable", json!({})).await;
    let conditions = json!({
        "offline": false, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_per_second,
    });
    chromium.command("Network.emulateNetworkConditions", conditions).await;
}

pub async fn at_import(chromium: &Chromium) {
    let is_there = async || chromium.driver.current_url().await.unwrap().path().starts_with("/imports/");
    chromium.wait_for("the import's page", is_there).await;
}

pub async fn text(chromium: &Chromium, selector: &str) -> String {
    let script = format!("return document.querySelector(\"{selector}\")?.textContent.trim() ?? ''");
    chromium.evaluate(&script).await.as_str().unwrap().to_owned()
}

/// The names of the imports on the page, in its order.
pub async fn cards(chromium: &Chromium) -> Vec<String> {
    let script =
        "return [...document.querySelectorAll('.card[data-import-id] h3')].map((name) => name.textContent)";
    let names = chromium.evaluate(script).await;
    names.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// Forwards connections from browsers to a server, until it is told to stall.
struct Front {
    stands_still: Arc<AtomicBool>,
}

impl Front {
    fn start(listener: TcpListener, upstream: u16) -> Self {
        let stands_still = Arc::new(AtomicBool::new(false));
        let still = Arc::clone(&stands_still);
        tokio::spawn(async move {
            while let Ok((browser, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", upstream)).await.unwrap();
                let (mut from_browser, mut to_browser) = browser.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_browser).await });
                let still = Arc::clone(&still);
                tokio::spawn(async move {
                    let mut buffer = vec![0; 64 << 10];
                    while let Ok(read @ 1..) = from_browser.read(&mut buffer).await {
                        while still.load(Ordering::Relaxed) {
                            tokio::time::sleep(Duration::from_millis(10)).await;
                        }
                        if to_server.write_all(&buffer[..read]).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Self { stands_still }
    }

    fn stand_still(&self, still: bool) {
        self.stands_still.store(still, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_seen_to_arrive_to_stall_and_can_be_stopped() {
    // Bound before anything else starts that may take the port.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = free_port();
    let public = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| {
        config.listen = ([127, 0, 0, 1], upstream).into();
        config.public_url = Some(public);
    })
    .await;
    let front = Front::start(listener, upstream);
    let chromium = Chromium::start_signed_in(&app.origin, "/sign-up").await;
    let page = &chromium.driver;
    let path = chromium.folder().join("slow.csv");
    // More than the buffers between the browser and the server can hold.
    fs::File::create(&path).unwrap().set_len(100_000_000).unwrap();
    let_out(&chromium, 400_000).await;
    page.find(By::Id("address")).await.unwrap().send_keys("https://files.example/typed.csv").await.unwrap();
    choose(&chromium, &[path.to_str().unwrap().to_owned()]).await;

    let sentence = async || text(&chromium, ".upload .sentence").await;
    chromium
        .wait_for("speed and time left", async || {
            let words = sentence().await;
            words.contains("% of 100.0 MB received, ") && words.contains("B/s, ") && words.ends_with(" left.")
        })
        .await;
    let title = page.title().await.unwrap();
    assert!(title.ends_with("% received · slow.csv · Runboard"), "{title}");
    let focused =
        "return document.activeElement.closest('.upload')?.querySelector('.upload-name').textContent";
    assert_eq!(chromium.evaluate(focused).await, json!("slow.csv"), "Stop has the focus");

    // The upload stalls: no speed and no remaining time are shown.
    front.stand_still(true);
    let_out(&chromium, -1).await;
    let stalled = async || {
        let words = sentence().await;
        let seconds =
            words.split_once("% of 100.0 MB received, stalled for ")?.1.strip_suffix(" s.")?.to_owned();
        seconds.parse::<u32>().ok()
    };
    chromium.wait_for("3 s of it", async || stalled().await.is_some_and(|seconds| seconds >= 3)).await;

    page.find(By::Css(".upload button")).await.unwrap().click().await.unwrap();
    chromium
        .wait_for("the form", async || page.find(By::Css(".drop-zone.is-receiving")).await.is_err())
        .await;
    front.stand_still(false);
    let stopped = "The upload of slow.csv was stopped. It was not imported.";
    assert_eq!(text(&chromium, "#upload-note").await, stopped);
    assert!(page.find(By::Id("upload-note")).await.unwrap().is_displayed().await.unwrap());
    assert_eq!(page.title().await.unwrap(), "Imports · Runboard");
    let typed = chromium.evaluate("return document.getElementById('address').value").await;
    assert_eq!(typed, json!("https://files.example/typed.csv"));
    let files = app.data.path().join("files");
    chromium.wait_for("nothing left of it", async || files_under(&files) == 0).await;
    page.refresh().await.unwrap();
    assert!(chromium.attribute("[data-import-id]", "data-state").await.is_none(), "nothing was imported");
    chromium.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_going_back_an_address_imports_what_is_at_it_and_a_file_can_be_chosen_again() {
    let host = Host::start(|_, _| Reply::file("a,b\n1,2\n3,4\n")).await;
    let allowed = host.allowed().parse().unwrap();
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.allow_addresses = allowed).await;
    let chromium = Chromium::start_signed_in(&app.origin, "/sign-up").await;
    let page = &chromium.driver;
    let path = file(&chromium, "chosen.csv", "a,b\n1,2\n");
    let name = async || text(&chromium, "#file-name").await;
    let back = async || {
        page.back().await.unwrap();
        let script = "return document.readyState === 'complete' && location.pathname === '/'";
        chromium.wait_for("the dashboard", async || chromium.evaluate(script).await == json!(true)).await;
        let given =
            "return [document.getElementById('file').value, document.getElementById('address').value]";
        assert_eq!(chromium.evaluate(given).await, json!(["", ""]), "nothing is left in the forms");
    };
    choose(&chromium, std::slice::from_ref(&path)).await;
    at_import(&chromium).await;
    assert_eq!(name().await, "chosen.csv");

    back().await;
    page.find(By::Id("address")).await.unwrap().send_keys(host.url("/prices.csv").as_str()).await.unwrap();
    page.find(By::Css(".drop-address button")).await.unwrap().click().await.unwrap();
    at_import(&chromium).await;
    assert_eq!(name().await, "prices.csv");

    back().await;
    choose(&chromium, std::slice::from_ref(&path)).await;
    at_import(&chromium).await;
    assert_eq!(name().await, "chosen.csv");
    chromium.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_chosen_together_are_sent_in_order_each_with_its_own_stop_and_shown_where_they_are() {
    let (app, chromium) = on_the_dashboard().await;
    let page = &chromium.driver;
    let_out(&chromium, 300_000).await;
    let names = ["1.csv", "2.csv", "3.csv", "4.csv"];
    let rows = "1,2\n".repeat(100_000);
    let paths = names.map(|name| file(&chromium, name, format!("a,b\n{rows}")));
    let bad = file(&chromium, "5.pdf", b"%PDF-1.7....");
    page.find(By::Id("address")).await.unwrap().send_keys("https://half-an-addr").await.unwrap();
    choose(&chromium, &[paths.to_vec(), vec![bad]].concat()).await;

    let rows = "return [...document.querySelectorAll('.upload')].map((row) => \
         `${row.querySelector('.upload-name').textContent} ${row.querySelector('.word').textContent}`)";
    let at_first =
        json!(["1.csv Receiving", "2.csv Receiving", "3.csv Waiting", "4.csv Waiting", "5.pdf Waiting"]);
    assert_eq!(chromium.evaluate(rows).await, at_first);
    page.find(By::Css(".upload:nth-child(3) button")).await.unwrap().click().await.unwrap();
    chromium.wait_for("two cards", async || cards(&chromium).await.len() >= 2).await;
    assert_eq!(page.current_url().await.unwrap().path(), "/");
    chromium.wait_for("the end", async || page.find(By::Css(".is-receiving")).await.is_err()).await;
    let refusal = text(&chromium, "#upload-error").await;
    assert!(refusal.starts_with("5.pdf is a PDF document"), "{refusal}");
    chromium.wait_for("three cards", async || cards(&chromium).await.len() == 3).await;
    let mut shown = cards(&chromium).await;
    shown.sort();
    assert_eq!(shown, ["1.csv", "2.csv", "4.csv"], "the third was stopped, the fifth refused");
    let typed = chromium.evaluate("return document.getElementById('address').value").await;
    assert_eq!(typed, json!("https://half-an-addr"));
    assert!(page.find(By::Css("#first-import, .welcome")).await.is_err(), "it is not a first visit any more");
    chromium.stop_after(&["the server responded with a status of 422"]).await;
    app.stop().await;
}

/// A file over the limit has no Stop button: the focus goes to the first file that has one.
#[tokio::test(flavor = "multi_thread")]
async fn the_focus_goes_to_the_first_file_that_is_sent() {
    let limit = 1_000_000;
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.max_upload_bytes = limit).await;
    let chromium = Chromium::start_signed_in(&app.origin, "/sign-up").await;
    let_out(&chromium, 20_000).await;
    let large = chromium.folder().join("large.csv");
    fs::File::create(&large).unwrap().set_len(limit + 1).unwrap();
    let sent = file(&chromium, "sent.csv", "1,2\n".repeat(200_000));
    choose(&chromium, &[large.to_str().unwrap().to_owned(), sent]).await;
    let rows = "return [...document.querySelectorAll('.upload')].map((row) => \
         [row.querySelector('.word').textContent, row.contains(document.activeElement)])";
    assert_eq!(chromium.evaluate(rows).await, json!([["Not imported", false], ["Receiving", true]]));
    chromium.press(Key::Enter).await;
    let refusal = async || text(&chromium, "#upload-error").await;
    chromium
        .wait_for("only the refusal", async || {
            refusal().await.starts_with("large.csv is 1.0 MB, and the limit")
        })
        .await;
    assert!(cards(&chromium).await.is_empty(), "the upload was stopped by the key");
    chromium.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_said_beside_its_field_which_has_the_focus() {
    let (app, chromium) = on_the_dashboard().await;
    let page = &chromium.driver;
    // What a screen reader says about the focused element, besides its name.
    let focused = async || {
        let script = "const { id, ariaInvalid, attributes } = document.activeElement; \
             const texts = (attributes['aria-describedby']?.value ?? '').split(' ') \
                 .map((id) => document.getElementById(id)?.textContent.trim()).filter(Boolean); \
             return [id, ariaInvalid, texts[0] ?? '']";
        chromium.evaluate(script).await
    };
    let other_form = async |selector: &str| text(&chromium, selector).await;
    for (typed, refusal) in [
        ("", "Paste an address first."),
        ("orders.csv", "This address is incomplete. Enter all of it, as in https://example.org/orders.csv."),
        ("ftp://a.example/b.csv", "Only http and https addresses can be imported, not ftp."),
    ] {
        page.goto(&app.origin).await.unwrap();
        page.find(By::Id("address")).await.unwrap().send_keys(typed).await.unwrap();
        page.find(By::Css(".drop-address button")).await.unwrap().click().await.unwrap();
        let expected = json!(["address", "true", refusal]);
        chromium.wait_for(refusal, async || focused().await == expected).await;
        assert_eq!(other_form("#upload-error").await, "");
    }

    // Nothing runs that was to be looked at first, and what was given stays.
    page.goto(&app.origin).await.unwrap();
    page.find(By::Id("look")).await.unwrap().click().await.unwrap();
    let refusal = "An address cannot be looked at first. Untick it, or download the file and give it here.";
    page.find(By::Id("address")).await.unwrap().send_keys("https://a.example/b.csv").await.unwrap();
    page.find(By::Css(".drop-address button")).await.unwrap().click().await.unwrap();
    let expected = json!(["address", "true", refusal]);
    chromium.wait_for(refusal, async || focused().await == expected).await;
    let given = "return [document.getElementById('look').checked, document.getElementById('address').value]";
    assert_eq!(chromium.evaluate(given).await, json!([true, "https://a.example/b.csv"]));
    page.goto(&app.origin).await.unwrap();

    let empty = ["empty.csv", "none.csv"].map(|name| file(&chromium, name, ""));
    choose(&chromium, &empty[..1]).await;
    let only = json!(["file", "true", "empty.csv is empty (0 bytes). Choose a file with a header and rows."]);
    chromium.wait_for("the refusal of a file", async || focused().await == only).await;
    choose(&chromium, &empty).await;
    let several = json!(["file", "true", "2 files were not imported."]);
    chromium.wait_for("the refusal of two", async || focused().await == several).await;
    let each = "return [...document.querySelectorAll('#upload-refusals li')].map((item) => item.textContent)";
    let each = chromium.evaluate(each).await;
    let starts = ["empty.csv is empty", "none.csv is empty"];
    let is_told = |(each, start): (&serde_json::Value, &str)| each.as_str().unwrap().starts_with(start);
    assert!(each.as_array().unwrap().iter().zip(starts).all(is_told), "{each}");
    choose(&chromium, &[file(&chromium, "good.csv", "a\n1\n")]).await;
    at_import(&chromium).await;
    chromium.stop_after(&["the server responded with a status of 422"]).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_nginx_is_named_as_one_in_front_of_runboard() {
    let (app, _nginx) = spawn_behind_nginx(|line| !line.starts_with("client_max_body_size")).await;
    let chromium = Chromium::start_signed_in(&app.origin, "/sign-up").await;
    let refusal = async || text(&chromium, "#upload-error").await;
    choose(&chromium, &[file(&chromium, "large.csv", "1,2\n".repeat(500_000))]).await;
    let in_front = "Something in front of Runboard refuses files of this size (413). Ask the operator to raise its limit.";
    chromium.wait_for("nginx to be named", async || refusal().await == in_front).await;
    // A refusal by Runboard itself is not attributed to a proxy.
    choose(&chromium, &[file(&chromium, "empty.csv", "")]).await;
    chromium.wait_for("our refusal", async || refusal().await.starts_with("empty.csv is empty")).await;
    chromium.stop_after(&["status of 413", "status of 422"]).await;
    app.stop().await;
}

/// The dashboard must not be left while a file is being uploaded.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_without_a_connection_keeps_the_page_and_says_so() {
    let (app, chromium) = on_the_dashboard().await;
    chromium.set_offline(true).await;
    choose(&chromium, &[file(&chromium, "kept.csv", "a\n1\n")]).await;
    let refusal = async || text(&chromium, "#upload-error").await;
    chromium
        .wait_for("the refusal", async || refusal().await == "You are offline. kept.csv was not imported.")
        .await;
    chromium.stop_after(&["net::ERR_INTERNET_DISCONNECTED"]).await;
    app.stop().await;
}
