//! Screenshots of every page of the gallery: `make screenshots`.

use std::{fs, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;

use crate::{
    chromium::Chromium,
    gallery::{Gallery, stop_the_clock},
};

const WIDTHS: [u32; 4] = [320, 720, 820, 1280];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "for people: writes pictures to target/screenshots"]
async fn screenshots() {
    let gallery = Gallery::start();
    let chromium = Chromium::start().await;
    stop_the_clock(&chromium).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
    fs::create_dir_all(&folder).unwrap();
    for page in &gallery.pages {
        for width in WIDTHS {
            chromium.resize(width, 800).await;
            gallery.open(&chromium, page).await;
            for scheme in ["light", "dark"] {
                // Rotating elements are captured in the same position each time.
                chromium.prefer(scheme, "reduce").await;
                let height = chromium.evaluate("return document.documentElement.scrollHeight").await;
                let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
                let whole = json!({ "captureBeyondViewport": true, "clip": clip });
                let picture = chromium.command("Page.captureScreenshot", whole).await;
                let picture = BASE64_STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
                fs::write(folder.join(format!("{}-{width}-{scheme}.png", page.name)), picture).unwrap();
            }
        }
    }
    println!("{} pages are in {}", gallery.pages.len(), folder.display());
    chromium.stop().await;
    gallery.stop().await;
}
