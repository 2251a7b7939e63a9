//! A person's browser over HTTP, without a browser.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, future::ready, stream};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode, header, redirect};

/// How long a condition may take to become true.
const DEADLINE: Duration = Duration::from_secs(60);

/// The upload form as a browser sends it: its content type, and the parts before and after the file.
pub const FORM_TYPE: &str = "multipart/form-data; boundary=----a-boundary-that-no-test-file-has";
pub const FORM_END: &str = "\r\n------a-boundary-that-no-test-file-has--\r\n";

fn address_field(address: &str) -> String {
    format!(
        "\r\n------a-boundary-that-no-test-file-has\r\n\
         Content-Disposition: form-data; name=\"url\"\r\n\r\n{address}"
    )
}

pub fn form_start(name: &str) -> String {
    format!(
        "------a-boundary-that-no-test-file-has\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         Content-Type: text/csv\r\n\r\n"
    )
}

#[derive(Clone)]
pub struct Visitor {
    http: reqwest::Client,
    pub origin: String,
    pub cookie: Option<String>,
}

/// A panel's content, read as a script would.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Panel {
    pub state: String,
    pub runs: Vec<RunOnPage>,
    pub html: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOnPage {
    pub run_id: String,
    pub status: String,
    /// Empty while unknown.
    pub processed: String,
    pub failed: String,
}

impl Visitor {
    pub fn new(origin: &str) -> Self {
        // A second installation is refused, which is harmless.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .timeout(DEADLINE)
            // A test that generates a large file for seconds would otherwise send it on a connection that was
            // closed as idle.
            .pool_max_idle_per_host(0)
            .build()
            .unwrap();
        Self { http, origin: origin.to_owned(), cookie: None }
    }

    /// The same person with the same session, on a restarted server.
    pub fn at(&self, origin: &str) -> Self {
        Self { cookie: self.cookie.clone(), ..Self::new(origin) }
    }

    /// A request that no page of ours makes, without the session.
    pub fn foreign_request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.origin))
    }

    /// A request as one of our pages makes it, with the session's cookie.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.foreign_request(method, path).header(header::ORIGIN, &self.origin);
        match &self.cookie {
            Some(cookie) => request.header(header::COOKIE, cookie),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    /// A request as htmx makes it.
    pub async fn fragment(&self, path: &str) -> Response {
        self.request(Method::GET, path).header("HX-Request", "true").send().await.unwrap()
    }

    pub async fn post_form(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.request(Method::POST, path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .await
            .unwrap()
    }

    /// Creates an account and stays signed in.
    pub async fn sign_up(&mut self, email: &str) {
        let response = self.post_form("/sign-up", &[("email", email), ("password", "correct horse")]).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER, "sign-up");
        self.keep_cookie(&response);
    }

    /// Stays signed in with the session that `response` began.
    pub fn keep_cookie(&mut self, response: &Response) {
        let cookie = response.headers().get(header::SET_COOKIE).expect("a session cookie").to_str().unwrap();
        self.cookie = cookie.split(';').next().map(str::to_owned);
    }

    /// Posts the upload form with a file.
    pub async fn post_file(&self, name: &str, bytes: impl AsRef<[u8]>) -> Response {
        self.post_import(name, bytes, "").await
    }

    /// Posts the upload form as a browser does, with both fields even if they are empty.
    pub async fn post_import(&self, name: &str, bytes: impl AsRef<[u8]>, address: &str) -> Response {
        let address = address_field(address);
        let body =
            [form_start(name).as_bytes(), bytes.as_ref(), address.as_bytes(), FORM_END.as_bytes()].concat();
        self.post_form_data(body.into()).await
    }

    /// Posts the upload form with files and other fields.
    pub async fn post_with(&self, files: &[(&str, &str)], fields: &[(&str, &str)]) -> Response {
        let files = files.iter().map(|(name, bytes)| format!("{}{bytes}\r\n", form_start(name)));
        let fields = fields.iter().map(|(name, value)| {
            format!(
                "------a-boundary-that-no-test-file-has\r\n\
                 Content-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            )
        });
        let parts: String = files.chain(fields).collect();
        self.post_form_data([&parts, &FORM_END[2..]].concat().into()).await
    }

    /// Posts the upload form with a file of any bytes and other fields.
    pub async fn post_bytes_with(&self, name: &str, bytes: &[u8], fields: &[(&str, &str)]) -> Response {
        let fields = fields.iter().map(|(name, value)| {
            format!(
                "\r\n------a-boundary-that-no-test-file-has\r\n\
                 Content-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}"
            )
        });
        let behind: String = fields.chain([FORM_END.to_owned()]).collect();
        self.post_form_data([form_start(name).as_bytes(), bytes, behind.as_bytes()].concat().into()).await
    }

    /// Posts the form of an address, which has no field for files.
    pub async fn post_address(&self, address: &str) -> Response {
        self.post_form_data([&address_field(address)[2..], FORM_END].concat().into()).await
    }

    /// The same as [`Visitor::post_file`], but the file is streamed, and its size is not announced.
    pub async fn post_stream(
        &self,
        name: &str,
        chunks: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Response {
        let start = stream::once(ready(Bytes::from(form_start(name))));
        let end = stream::once(ready(Bytes::from(FORM_END)));
        self.post_form_data(Body::wrap_stream(start.chain(chunks).chain(end).map(Ok::<_, Infallible>))).await
    }

    /// Posts the upload form with several files, as a browser does if they were chosen together.
    pub async fn post_files(&self, files: &[(&str, &str)], address: &str) -> Response {
        let parts: Vec<String> =
            files.iter().map(|(name, bytes)| format!("{}{bytes}", form_start(name))).collect();
        let body = [parts.join("\r\n"), address_field(address), FORM_END.to_owned()].concat();
        self.post_form_data(body.into()).await
    }

    async fn post_form_data(&self, body: Body) -> Response {
        self.form_data(body).send().await.unwrap()
    }

    /// The upload form with a file, not sent yet.
    pub fn file_form(&self, name: &str, bytes: impl AsRef<[u8]>) -> RequestBuilder {
        let body = [form_start(name).as_bytes(), bytes.as_ref(), FORM_END.as_bytes()].concat();
        self.form_data(body.into())
    }

    fn form_data(&self, body: Body) -> RequestBuilder {
        self.request(Method::POST, "/imports").header(header::CONTENT_TYPE, FORM_TYPE).body(body)
    }

    /// Uploads a file and returns the path of its import.
    pub async fn upload(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        Self::import_in(self.post_file(name, bytes).await).await
    }

    /// Imports an address and returns the path of its import.
    pub async fn import_address(&self, address: &str) -> String {
        Self::import_in(self.post_import("", "", address).await).await
    }

    /// The path of the import that the answer to a form leads to.
    pub async fn import_in(response: Response) -> String {
        let status = response.status();
        let location = response.headers().get(header::LOCATION).map(|to| to.to_str().unwrap().to_owned());
        assert_eq!(status, StatusCode::SEE_OTHER, "{}", response.text().await.unwrap());
        location.expect("303 comes with a location")
    }

    pub async fn panel(&self, import: &str) -> Panel {
        let response = self.fragment(&format!("{import}/panel")).await;
        assert_eq!(response.status(), StatusCode::OK, "{import}/panel");
        Panel::read(response.text().await.unwrap())
    }

    /// Polls the panel until `condition` holds.
    pub async fn wait_for(&self, import: &str, what: &str, condition: impl Fn(&Panel) -> bool) -> Panel {
        let start = Instant::now();
        loop {
            let panel = self.panel(import).await;
            if condition(&panel) {
                return panel;
            }
            assert!(
                start.elapsed() < DEADLINE,
                "waited for {what}, last seen: {} {:?}",
                panel.state,
                panel.runs
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn wait_for_state(&self, import: &str, state: &str) -> Panel {
        self.wait_for(import, state, |panel| panel.state == state).await
    }

    pub async fn download(&self, path: &str) -> Vec<u8> {
        let response = self.get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.bytes().await.unwrap().to_vec()
    }
}

impl Panel {
    pub fn read(html: String) -> Self {
        let states = attributes(&html, "data-state");
        let [state] = states.as_slice() else { panic!("one data-state on a panel: {html}") };
        let columns = ["data-run-id", "data-status", "data-processed", "data-failed"]
            .map(|name| attributes(&html, name));
        let [ids, statuses, processed, failed] = columns;
        let runs = ids
            .into_iter()
            .zip(statuses)
            .zip(processed)
            .zip(failed)
            .map(|(((run_id, status), processed), failed)| RunOnPage { run_id, status, processed, failed })
            .collect();
        Self { state: state.clone(), runs, html }
    }

    /// The counts of the only run.
    pub fn counts(&self) -> (u64, u64) {
        let [run] = self.runs.as_slice() else { panic!("one run: {:?}", self.runs) };
        (run.processed.parse().unwrap(), run.failed.parse().unwrap())
    }
}

/// The values of an attribute, in the order of the page.
pub fn attributes(html: &str, name: &str) -> Vec<String> {
    let start = format!(" {name}=\"");
    html.split(&start).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}
