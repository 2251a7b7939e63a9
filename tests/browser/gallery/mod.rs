//! Every state of every page, rendered from made-up imports and served as in the program: the same assets,
//! the same headers, and answered polls.

mod account;
mod dashboards;
mod doors;
mod imports;
mod readings;
mod share;
#[path = "../../it/views/snapshots.rs"]
#[allow(dead_code)]
mod snapshots;
mod webhook;

use std::{collections::HashMap, future::pending, net::TcpListener, time::Duration};

use actix_web::{
    HttpResponse, HttpServer, dev::ServerHandle, http::header::ContentType, middleware::from_fn, web,
};
use runboard::http::{assets, compression, headers};
use serde_json::json;

use crate::chromium::Chromium;

/// The pace of the pages' polls.
const PACE: Duration = Duration::from_millis(500);

/// A page in a state.
pub struct Page {
    pub name: &'static str,
    pub html: String,
    /// What the browser must do to bring the page into that state.
    pub prepare: Option<Prepare>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Prepare {
    /// Hold a file over the window.
    HeldOver,
    /// Choose a file larger than the limit.
    TooLarge,
    /// Choose a file whose upload never ends.
    Sending,
}

pub struct Gallery {
    origin: String,
    pub pages: Vec<Page>,
    server: ServerHandle,
}

impl Page {
    fn new(name: &'static str, html: String) -> Self {
        Self { name, html, prepare: None }
    }
}

impl Gallery {
    pub fn start() -> Self {
        let pages = [
            imports::pages(),
            readings::pages(),
            dashboards::pages(),
            doors::pages(),
            account::pages(),
            share::pages(),
            webhook::pages(),
        ];
        let pages: Vec<Page> = pages.into_iter().flatten().collect();
        let by_name: HashMap<String, String> =
            pages.iter().map(|page| (page.name.to_owned(), page.html.clone())).collect();
        assert_eq!(by_name.len(), pages.len(), "two pages have one name");
        let by_name = web::Data::new(by_name);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let server = HttpServer::new(move || {
            actix_web::App::new()
                .app_data(by_name.clone())
                .route(assets::PATH, web::get().to(assets::serve))
                .route("/gallery/{name}", web::get().to(show))
                .route("/live", web::get().to(nothing_new))
                .route("/imports/{id}/panel", web::get().to(nothing_new))
                .route("/shared/{token}/panel", web::get().to(nothing_new))
                .route("/imports/{id}/rows", web::get().to(nothing_new))
                .route("/imports", web::post().to(take_for_ever))
                .wrap(from_fn(compression::in_one_piece))
                .wrap(from_fn(headers::secure))
        });
        let server = server.workers(1).disable_signals().listen(listener).unwrap().run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { origin, pages, server: handle }
    }

    /// Opens a page and brings it into its state.
    pub async fn open(&self, chromium: &Chromium, page: &Page) {
        // A page that sends a file asks before it is left.
        chromium.evaluate("document.querySelector('.is-receiving .upload button')?.click()").await;
        chromium.driver.goto(format!("{}/gallery/{}", self.origin, page.name)).await.unwrap();
        if let Some(prepare) = page.prepare {
            prepare.on(chromium).await;
        }
    }

    pub fn page(&self, name: &str) -> &Page {
        self.pages.iter().find(|page| page.name == name).unwrap_or_else(|| panic!("no page {name}"))
    }

    pub async fn stop(self) {
        self.server.stop(false).await;
    }
}

/// Stops the page's clock at the time of its data, in UTC.
pub async fn stop_the_clock(chromium: &Chromium) {
    chromium.command("Emulation.setTimezoneOverride", json!({ "timezoneId": "UTC" })).await;
    let now = snapshots::report_inputs().now;
    let script = format!(
        "{{ const Real = Date; \
         globalThis.Date = class extends Real {{ \
           constructor(...given) {{ if (given.length) super(...given); else super('{now}'); }} \
         }}; \
         performance.now = () => 0; }}"
    );
    chromium.run_first(&script).await;
}

impl Prepare {
    async fn on(self, chromium: &Chromium) {
        match self {
            Self::HeldOver => {
                let script = "const dataTransfer = new DataTransfer(); \
                     dataTransfer.items.add(new File(['a'], 'held.csv')); \
                     document.body.dispatchEvent(new DragEvent('dragover', { dataTransfer, bubbles: true }));";
                chromium.evaluate(script).await;
                is_there(chromium, ".drop-zone.held").await;
            }
            Self::TooLarge => {
                choose(chromium, "archive-2019-2026.csv", dashboards::LIMIT + 2_400_000_000).await;
                is_there(chromium, ".drop-zone.refused").await;
            }
            Self::Sending => {
                choose(chromium, "telemetry-week-47.csv", 100_000_000).await;
                is_there(chromium, ".is-receiving .upload .bar:not([aria-valuenow='0'])").await;
            }
        }
    }
}

/// Chooses a sparse file of zeros.
async fn choose(chromium: &Chromium, name: &str, bytes: u64) {
    let path = chromium.folder().join(name);
    std::fs::File::create(&path).unwrap().set_len(bytes).unwrap();
    let input = chromium.driver.find(thirtyfour::By::Id("file")).await.unwrap();
    input.send_keys(path.to_str().unwrap()).await.unwrap();
}

async fn is_there(chromium: &Chromium, selector: &str) {
    let found = async || chromium.attribute(selector, "class").await.is_some();
    chromium.wait_for(selector, found).await;
}

async fn show(pages: web::Data<HashMap<String, String>>, name: web::Path<String>) -> HttpResponse {
    match pages.get(name.as_str()) {
        Some(html) => HttpResponse::Ok().content_type(ContentType::html()).body(html.clone()),
        None => HttpResponse::NotFound().finish(),
    }
}

/// A poll's answer that leaves the page unchanged.
async fn nothing_new() -> HttpResponse {
    HttpResponse::NoContent().finish()
}

/// An upload that continues until the browser aborts it.
async fn take_for_ever(_held: web::Payload) -> HttpResponse {
    pending().await
}
