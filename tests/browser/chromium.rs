//! A headless Chromium for a test, with its driver on a free port.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::{LoggingPrefsLogLevel, prelude::*};

use crate::DEADLINE;

pub struct Chromium {
    pub driver: WebDriver,
    process: Child,
    downloads: TempDir,
    files: TempDir,
    profile: TempDir,
}

/// Headless, able to run as root, and without connections to any host but ours.
const ARGUMENTS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
];

impl Chromium {
    pub async fn start() -> Self {
        Self::start_with(json!({})).await
    }

    /// A browser in which a person has filled in the form at `path`: sign-up or sign-in.
    pub async fn start_signed_in(origin: &str, path: &str) -> Self {
        let chromium = Self::start().await;
        chromium.driver.goto(format!("{origin}{path}")).await.unwrap();
        chromium.fill_in_account("mira@example.org").await;
        chromium
    }

    /// A browser that runs no script of a page. The driver's own scripts still run.
    pub async fn start_without_scripts() -> Self {
        Self::start_with(json!({ "profile.managed_default_content_settings.javascript": 2 })).await
    }

    async fn start_with(mut preferences: Value) -> Self {
        // The driver's client needs a provider. A second installation is refused, which is harmless.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("chromedriver is installed (make setup)");
        let port = BufReader::new(process.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                line.split_once("successfully on port ")
                    .map(|(_, port)| port.trim_end_matches('.').to_owned())
            })
            .expect("chromedriver prints its port");
        let downloads = tempfile::tempdir().unwrap();
        let (files, profile) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut capabilities = DesiredCapabilities::chrome();
        for argument in ARGUMENTS {
            capabilities.add_arg(argument).unwrap();
        }
        capabilities.add_arg(&format!("--user-data-dir={}", profile.path().display())).unwrap();
        preferences["download.default_directory"] = json!(downloads.path());
        capabilities.add_experimental_option("prefs", preferences).unwrap();
        capabilities.set_browser_log_level(LoggingPrefsLogLevel::All).unwrap();
        let driver = WebDriver::new(format!("http://127.0.0.1:{port}"), capabilities).await.unwrap();
        let chromium = Self { driver, process, downloads, files, profile };
        // Times and numbers have British formats, whatever the machine's language.
        chromium.command("Emulation.setLocaleOverride", json!({ "locale": "en-GB" })).await;
        chromium
    }

    /// The folder of files to choose.
    pub fn folder(&self) -> &Path {
        self.files.path()
    }

    /// A command of the DevTools protocol.
    pub async fn command(&self, name: &str, parameters: Value) -> Value {
        self.driver.cdp().send_raw(name, parameters).await.unwrap()
    }

    /// Sets the size of the viewport, whatever the window's size.
    pub async fn resize(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.command("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// The browser's default font size in pixels, which is the unit of `rem`, in media queries too.
    pub async fn set_font(&self, pixels: u32) {
        self.command("Page.setFontSizes", json!({ "fontSizes": { "standard": pixels } })).await;
    }

    /// Cuts the browser's connection, or restores it.
    pub async fn set_offline(&self, is_offline: bool) {
        self.command("Network.enable", json!({})).await;
        let conditions =
            json!({ "offline": is_offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1 });
        self.command("Network.emulateNetworkConditions", conditions).await;
    }

    /// The preferences of the person's system: `light` or `dark`, and possibly reduced motion.
    pub async fn prefer(&self, scheme: &str, motion: &str) {
        let features = json!({ "features": [
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": motion },
        ]});
        self.command("Emulation.setEmulatedMedia", features).await;
    }

    /// Runs `script` in every page from now on, before the page's own scripts.
    pub async fn run_first(&self, script: &str) {
        self.command("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await;
    }

    /// The return value of a script that is the body of a function.
    pub async fn evaluate(&self, script: &str) -> Value {
        self.driver.execute(script, Vec::new()).await.unwrap().json().clone()
    }

    /// Fills in the only form of a page without a session: sign-in, or sign-up. Ends on the dashboard.
    pub async fn fill_in_account(&self, email: &str) {
        let page = &self.driver;
        page.find(By::Name("email")).await.unwrap().send_keys(email).await.unwrap();
        page.find(By::Name("password")).await.unwrap().send_keys("correct horse").await.unwrap();
        page.find(By::Css("main button[type=submit]")).await.unwrap().click().await.unwrap();
        self.wait_for("the dashboard", async || page.current_url().await.unwrap().path() == "/").await;
    }

    /// Presses a key in the focused element.
    pub async fn press(&self, key: Key) {
        self.driver.action_chain().send_keys(key).perform().await.unwrap();
    }

    /// An attribute of the first matching element at this moment.
    pub async fn attribute(&self, selector: &str, name: &str) -> Option<String> {
        // A single script, so that no swap can happen between finding and reading.
        let script = "return document.querySelector(arguments[0])?.getAttribute(arguments[1]) ?? null";
        let value = self.driver.execute(script, vec![selector.into(), name.into()]).await.unwrap();
        value.json().as_str().map(str::to_owned)
    }

    /// Waits until the first import on the page is in this state.
    pub async fn wait_for_state(&self, state: &str) {
        let is_so = async || self.attribute("[data-import-id]", "data-state").await.as_deref() == Some(state);
        self.wait_for(state, is_so).await;
    }

    pub async fn wait_for(&self, what: &str, mut condition: impl AsyncFnMut() -> bool) {
        let start = Instant::now();
        while !condition().await {
            if start.elapsed() > DEADLINE {
                let source = self.driver.source().await.unwrap();
                panic!("waited for {what}; the page is\n{source}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The first finished download whose name ends with `ending`.
    pub async fn wait_for_download(&self, ending: &str) -> Vec<u8> {
        let start = Instant::now();
        loop {
            let names: Vec<_> =
                self.downloads.path().read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
            if let Some(path) = names.iter().find(|path| path.to_string_lossy().ends_with(ending)) {
                return std::fs::read(path).unwrap();
            }
            assert!(start.elapsed() < DEADLINE, "waited for a download of {ending}, there are {names:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends the browser. The console must be empty: no error, no warning, and nothing refused by the content
    /// policy.
    pub async fn stop(self) {
        self.stop_after(&[]).await;
    }

    /// Ends a browser whose requests were refused: the console must contain these refusals, and nothing else.
    pub async fn stop_after(self, refusals: &[&str]) {
        let log = self.driver.browser_log().await.unwrap();
        let unexpected: Vec<_> = log
            .iter()
            .filter(|entry| !refusals.iter().any(|refusal| entry.message.contains(refusal)))
            .collect();
        assert!(unexpected.is_empty(), "{unexpected:#?}");
        self.driver.clone().quit().await.unwrap();
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        // After a failed test the browser would otherwise continue to use the machine.
        let profile = self.profile.path().display().to_string();
        let _ = Command::new("pkill").args(["-KILL", "-f", "--", &profile]).status();
    }
}
