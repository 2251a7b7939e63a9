//! The files that a browser loads on a first visit: few bytes, and only from our own host.

use std::{fs, path::Path};

use reqwest::{Method, StatusCode, header};

use crate::support::{
    spawn_app,
    visitor::{Visitor, attributes},
};

/// The most that a page and everything it links to may weigh on the wire.
const MOST_BYTES: usize = 60_000;

/// The rows of a full page of the history.
const IMPORTS: usize = 50;

/// Only our own files, and nothing inline.
const POLICY: [&str; 8] = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
];

/// The size of an answer on the wire, and whether it is compressed.
async fn weigh(visitor: &Visitor, path: &str) -> (usize, bool) {
    let request = visitor.request(Method::GET, path).header(header::ACCEPT_ENCODING, "gzip");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    let is_gzip = answer.headers().get(header::CONTENT_ENCODING).is_some_and(|with| with == "gzip");
    (answer.bytes().await.unwrap().len(), is_gzip)
}

/// The files that a page makes a browser load.
fn files(html: &str) -> Vec<String> {
    let links = html.split("<link ").skip(1).map(|tag| tag.split('>').next().unwrap());
    let links = links.flat_map(|tag| attributes(&format!(" {tag}"), "href"));
    links.chain(attributes(html, "src")).collect()
}

#[tokio::test]
async fn a_first_visit_is_light_and_its_files_are_kept_for_ever() {
    let app = spawn_app().await;
    let mut owner = app.visitor();
    owner.sign_up("mira@example.org").await;
    let mut imports = Vec::new();
    for number in 0..IMPORTS {
        imports.push(owner.upload(&format!("prices-{number}.csv"), "a,b\n1,2\n3\n").await);
    }
    for import in &imports {
        owner.wait_for_state(import, "Completed").await;
    }
    for (visitor, path) in [(&app.visitor(), "/sign-in"), (&owner, "/")] {
        let html = visitor.get(path).await.text().await.unwrap();
        let files = files(&html);
        for name in ["/style.css", "/runboard.js", "/htmx-4.0.1.min.js", "/favicon.svg"] {
            assert_eq!(files.iter().filter(|file| file.ends_with(name)).count(), 1, "{path} {files:?}");
        }
        assert_eq!(files.len(), 4, "{path} loads more: {files:?}");
        let (mut bytes, is_gzip) = weigh(visitor, path).await;
        assert!(is_gzip, "{path}");
        for file in &files {
            let hash = file.strip_prefix("/assets/").and_then(|rest| rest.split('/').next()).unwrap();
            assert!(hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{file}");
            let cache = visitor.get(file).await.headers()[header::CACHE_CONTROL].clone();
            assert_eq!(cache, "public, max-age=31536000, immutable", "{file}");
            let (size, is_gzip) = weigh(visitor, file).await;
            assert!(is_gzip, "{file}");
            bytes += size;
        }
        assert!(bytes < MOST_BYTES, "{path} and its files are {bytes} bytes on the wire");
        assert!(bytes > 10_000, "{path} and its files are {bytes} bytes: are they there?");
    }
    app.stop().await;
}

#[tokio::test]
async fn pages_hold_no_script_no_style_and_no_other_host() {
    let app = spawn_app().await;
    let mut owner = app.visitor();
    owner.sign_up("mira@example.org").await;
    let import = owner.upload("prices.csv", "a,b\n1,2\n3\n").await;
    owner.wait_for_state(&import, "Completed").await;
    let nobody = app.visitor();
    for (visitor, path) in [
        (&nobody, "/sign-in"),
        (&nobody, "/sign-up"),
        (&nobody, "/nothing/here"),
        (&owner, "/"),
        (&owner, import.as_str()),
    ] {
        let answer = visitor.get(path).await;
        let policy = answer.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert_eq!(policy.split("; ").collect::<Vec<_>>(), POLICY, "{path}");
        let html = answer.text().await.unwrap();
        assert!(!html.contains("<style"), "{path}");
        for tag in html.split('<').skip(1).filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag) {
            assert!(!tag.starts_with("script") || tag.contains(" src=\"/assets/"), "{path}: <{tag}>");
            let names = tag.split_whitespace().skip(1).filter_map(|word| word.split_once("=\""));
            for (name, _) in names {
                let is_inline = name == "style" || name.starts_with("on") || name.starts_with("hx-on");
                assert!(!is_inline, "{path}: <{tag}>");
            }
        }
        for name in ["href", "src", "action", "formaction", "hx-get", "hx-post"] {
            for to in attributes(&html, name) {
                let is_ours = to.starts_with('#') || (to.starts_with('/') && !to.starts_with("//"));
                assert!(is_ours, "{path}: {name} leads to {to}");
            }
        }
    }
    let style = files(&nobody.get("/sign-in").await.text().await.unwrap());
    let style = style.iter().find(|file| file.ends_with(".css")).unwrap();
    let style = nobody.get(style).await.text().await.unwrap();
    assert!(!style.contains("@import") && !style.contains("//"), "the style sheet loads from elsewhere");
    app.stop().await;
}

/// Without a style sheet, an icon without a size fills the window.
#[test]
fn every_picture_has_a_size_of_its_own() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("templates")];
    let mut pictures = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            let template = fs::read_to_string(&entry).unwrap();
            for tag in template.split("<svg").skip(1).map(|rest| rest.split("aria-hidden").next().unwrap()) {
                let tag = tag.split_once("><").map_or(tag, |(tag, _)| tag);
                let has_size = tag.contains(" width=\"") && tag.contains(" height=\"");
                assert!(has_size, "{}: <svg{tag}", entry.display());
                pictures += 1;
            }
        }
    }
    assert!(pictures > 10, "{pictures} pictures: are they there?");
}
