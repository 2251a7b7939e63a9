//! The files that browsers load, embedded in the binary.
//!
//! A file's address contains its hash, so a browser may cache it forever and still gets a new version at
//! once.

mod other_versions;

use std::{borrow::Cow, collections::HashMap, io::Write, sync::LazyLock};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ContentEncoding, HeaderValue},
    web,
};
use brotli::enc::BrotliEncoderParams;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

pub use self::other_versions::OtherVersions;
use super::{compression, error::Error};
use crate::{
    base::tasks::Tasks,
    store::{self, Store, assets::StoredAsset},
};

/// The route of [`serve`].
pub const PATH: &str = "/assets/{hash}/{name}";

/// How many bytes of a file's SHA-256 its address contains: enough to distinguish versions.
const HASH_BYTES: usize = 8;

/// The parts of the style sheet, in the order of the cascade.
const STYLE: [&str; 18] = [
    "css/tokens.css",
    "css/ground.css",
    "css/parts.css",
    "css/frame.css",
    "css/drop_zone.css",
    "css/cards.css",
    "css/history.css",
    "css/import.css",
    "css/plot.css",
    "css/findings.css",
    "css/first_rows.css",
    "css/change.css",
    "css/timeline.css",
    "css/detail.css",
    "css/account.css",
    "css/one_thing.css",
    "css/share.css",
    "css/narrow.css",
];

/// The parts of the script.
const SCRIPT: [&str; 14] = [
    "js/page.js",
    "js/numbers.js",
    "js/times.js",
    "js/failures.js",
    "js/forms.js",
    "js/copy.js",
    "js/transfer.js",
    "js/uploads.js",
    "js/folders.js",
    "js/drops.js",
    "js/change.js",
    "js/notices.js",
    "js/polls.js",
    "js/start.js",
];

/// Files that are served unchanged under their own names.
const WHOLE: [&str; 2] = ["htmx-4.0.1.min.js", "favicon.svg"];

/// The icons for states: `favicon.svg` with a dot in the state's colour, and its name.
const STATE_ICONS: [(&str, &str, &str); 5] = [
    ("live", "favicon-live.svg", "#3a5bef"),
    ("good", "favicon-good.svg", "#218a50"),
    ("warn", "favicon-warn.svg", "#b87400"),
    ("bad", "favicon-bad.svg", "#dc3b2c"),
    ("still", "favicon-still.svg", "#7d8780"),
];

#[derive(RustEmbed)]
#[folder = "static/"]
struct Files;

/// A file that browsers load.
struct Asset {
    name: &'static str,
    body: Bytes,
    /// The same bytes, compressed once for all requests.
    brotli: Bytes,
    gzip: Bytes,
    hash: String,
}

/// All assets by name; built and compressed at first use.
static ASSETS: LazyLock<HashMap<&'static str, Asset>> = LazyLock::new(|| {
    let joined = [Asset::new("style.css", &STYLE), Asset::script("runboard.js", &SCRIPT)];
    let whole = WHOLE.iter().map(|name| Asset::new(name, std::slice::from_ref(name)));
    let icons = STATE_ICONS.iter().map(|(_, name, colour)| Asset::state_icon(name, colour));
    joined.into_iter().chain(whole).chain(icons).map(|asset| (asset.name, asset)).collect()
});

impl Asset {
    fn new(name: &'static str, parts: &[&str]) -> Self {
        let file =
            |part: &&str| Files::get(part).expect("the parts that are named are embedded at build time");
        let parts: Vec<Cow<'static, [u8]>> = parts.iter().map(|part| file(part).data).collect();
        Self::of(name, parts.join(&b'\n'))
    }

    /// Joins the parts in one scope, which no other script can access.
    fn script(name: &'static str, parts: &[&str]) -> Self {
        let parts = Self::new(name, parts).body;
        Self::of(name, [b"(() => {\n\"use strict\";\n", &*parts, b"})();\n"].concat())
    }

    fn state_icon(name: &'static str, colour: &str) -> Self {
        let plain = Files::get("favicon.svg").expect("it is embedded at build time").data;
        let dot = format!(
            r##"  <circle cx="24" cy="24" r="8" fill="{colour}" stroke="#f3f5f2" stroke-width="2"/>"##
        );
        let plain = String::from_utf8_lossy(&plain);
        Self::of(name, plain.replace("</svg>", &format!("{dot}\n</svg>")).into_bytes())
    }

    fn of(name: &'static str, body: Vec<u8>) -> Self {
        let hash = hex::encode(&Sha256::digest(&body)[..HASH_BYTES]);
        Self { name, brotli: brotli(&body), gzip: gzip(&body), body: body.into(), hash }
    }

    fn content_type(&self) -> &'static str {
        match self.name.rsplit_once('.') {
            Some((_, "css")) => "text/css; charset=utf-8",
            Some((_, "js")) => "text/javascript; charset=utf-8",
            Some((_, "svg")) => "image/svg+xml; charset=utf-8",
            _ => "application/octet-stream",
        }
    }
}

/// `GET /favicon.ico`: browsers request it for a download or the sample. Pages name their own icon.
pub async fn favicon() -> HttpResponse {
    let icon = &ASSETS["favicon.svg"];
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, icon.content_type()))
        .insert_header((CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400")))
        .body(icon.body.clone())
}

/// Compresses all assets, so that no request has to wait for it.
pub fn prepare() {
    LazyLock::force(&ASSETS);
}

fn brotli(body: &[u8]) -> Bytes {
    let mut compressed = Vec::new();
    brotli::BrotliCompress(&mut &*body, &mut compressed, &BrotliEncoderParams::default())
        .expect("writing to memory cannot fail");
    compressed.into()
}

fn gzip(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).and_then(|()| encoder.finish()).expect("writing to memory cannot fail").into()
}

/// The addresses that pages link to.
pub struct Urls {
    pub style: String,
    pub script: String,
    pub htmx: String,
    pub favicon: String,
    state_icons: Vec<(&'static str, String)>,
}

impl Urls {
    /// The icon for a page that shows a state of this tone.
    #[must_use]
    pub fn favicon_of(&self, tone: &str) -> &str {
        let icon = self.state_icons.iter().find(|(of, _)| *of == tone);
        icon.map_or(&self.favicon, |(_, url)| url)
    }
}

/// Computed at first use.
pub static URLS: LazyLock<Urls> = LazyLock::new(|| Urls {
    style: url("style.css"),
    script: url("runboard.js"),
    htmx: url("htmx-4.0.1.min.js"),
    favicon: url("favicon.svg"),
    state_icons: STATE_ICONS.iter().map(|(tone, name, _)| (*tone, url(name))).collect(),
});

fn url(name: &str) -> String {
    format!("/assets/{}/{name}", ASSETS[name].hash)
}

/// Shares the files with the replicas of other versions until `tasks` end.
///
/// # Errors
/// If the database fails.
pub async fn share(store: &Store, tasks: &Tasks) -> Result<OtherVersions, store::Error> {
    let ours = ASSETS.values().map(|asset| {
        let [body, brotli, gzip] = [&asset.body, &asset.brotli, &asset.gzip].map(Bytes::clone);
        let stored = StoredAsset { content_type: asset.content_type().to_owned(), body, brotli, gzip };
        (format!("{}/{}", asset.hash, asset.name), stored)
    });
    OtherVersions::share(store, ours.collect(), tasks).await
}

/// `GET /assets/{hash}/{name}`; 404 unless the hash matches the embedded file, or that of another version whose
/// replicas serve too.
pub async fn serve(request: HttpRequest, path: web::Path<(String, String)>) -> Result<HttpResponse, Error> {
    let (wanted, name) = path.into_inner();
    if let Some(asset) = ASSETS.get(name.as_str()).filter(|asset| asset.hash == wanted) {
        return Ok(send(&request, asset.content_type(), [&asset.body, &asset.brotli, &asset.gzip]));
    }
    // Only a process among replicas has it.
    let Some(others) = request.app_data::<web::Data<OtherVersions>>() else {
        return Ok(HttpResponse::NotFound().finish());
    };
    let Some(asset) = others.find(&wanted, &name).await? else {
        return Ok(HttpResponse::NotFound().finish());
    };
    Ok(send(&request, &asset.content_type, [&asset.body, &asset.brotli, &asset.gzip]))
}

fn send(request: &HttpRequest, content_type: &str, [body, brotli, gzip]: [&Bytes; 3]) -> HttpResponse {
    let encoding = compression::negotiate(request, &[ContentEncoding::Brotli, ContentEncoding::Gzip]);
    let body = match encoding {
        ContentEncoding::Brotli => brotli,
        ContentEncoding::Gzip => gzip,
        _ => body,
    };
    let mut response = HttpResponse::Ok();
    response
        .insert_header((CONTENT_TYPE, content_type))
        .insert_header((CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")))
        .insert_header(compression::VARY_BY_ENCODING);
    if encoding != ContentEncoding::Identity {
        response.insert_header((CONTENT_ENCODING, encoding.as_str()));
    }
    response.body(body.clone())
}

#[cfg(test)]
mod tests {
    use actix_web::{App, body::MessageBody, http::StatusCode, test};

    use super::*;

    async fn get(path: &str) -> (StatusCode, String, String, usize) {
        let app = test::init_service(App::new().route(PATH, web::get().to(serve))).await;
        let response = test::call_service(&app, test::TestRequest::get().uri(path).to_request()).await;
        let header = |name| {
            let value = response.headers().get(name);
            value.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
        };
        let (kind, cache) = (header(CONTENT_TYPE), header(CACHE_CONTROL));
        let status = response.status();
        (status, kind, cache, response.into_body().try_into_bytes().unwrap().len())
    }

    #[actix_web::test]
    async fn every_linked_file_is_served_for_ever() {
        for (url, kind) in [
            (&URLS.style, "text/css; charset=utf-8"),
            (&URLS.script, "text/javascript; charset=utf-8"),
            (&URLS.htmx, "text/javascript; charset=utf-8"),
            (&URLS.favicon, "image/svg+xml; charset=utf-8"),
        ] {
            let (status, content_type, cache, length) = get(url).await;
            assert_eq!((status, content_type.as_str()), (StatusCode::OK, kind), "{url}");
            assert_eq!(cache, "public, max-age=31536000, immutable");
            assert!(length > 100, "{url} has {length} bytes");
        }
    }

    #[actix_web::test]
    async fn the_icon_that_browsers_ask_for_unasked_is_there() {
        let app = test::init_service(App::new().route("/favicon.ico", web::get().to(favicon))).await;
        let request = test::TestRequest::get().uri("/favicon.ico").to_request();
        let response = test::call_service(&app, request).await;
        assert_eq!(response.status(), StatusCode::OK);
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        assert_eq!(content_type, Some("image/svg+xml; charset=utf-8"));
        assert_eq!(response.into_body().try_into_bytes().unwrap(), ASSETS["favicon.svg"].body);
    }

    #[actix_web::test]
    async fn each_form_of_a_file_says_the_same() {
        for (name, asset) in &*ASSETS {
            let gzip = std::io::read_to_string(flate2::read::GzDecoder::new(&*asset.gzip)).unwrap();
            let mut brotli = Vec::new();
            brotli::BrotliDecompress(&mut &*asset.brotli, &mut brotli).unwrap();
            assert_eq!(gzip.as_bytes(), &*asset.body, "{name}");
            assert_eq!(brotli, &*asset.body, "{name}");
            let [brotli, gzip, plain] = [&asset.brotli, &asset.gzip, &asset.body].map(Bytes::len);
            assert!(brotli < gzip && gzip < plain, "{name}: {brotli}, {gzip}, {plain}");
        }
    }

    #[actix_web::test]
    async fn another_hash_or_name_is_not_found() {
        let hash = URLS.style.split('/').nth(2).unwrap();
        for path in ["/assets/0000000000000000/style.css".to_owned(), format!("/assets/{hash}/runboard.js")] {
            assert_eq!(get(&path).await.0, StatusCode::NOT_FOUND, "{path}");
        }
    }
}
