//! Lighthouse's scores for the dashboard: `make lighthouse`.

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use crate::support::spawn_app;

/// The imports on the dashboard.
const IMPORTS: usize = 50;

/// The lowest accepted scores, in per cent.
const MARKS: [(&str, u64); 3] = [("accessibility", 100), ("best-practices", 100), ("performance", 95)];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "half a minute, and a measure of speed: make lighthouse"]
async fn lighthouse() {
    let app = spawn_app().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    for number in 1..=IMPORTS {
        let import = visitor.upload(&format!("prices-{number}.csv"), "a,b\n1,2\n3\n").await;
        visitor.wait_for_state(&import, "Completed").await;
    }
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/node_modules/lighthouse");
    let profile = tempfile::tempdir().unwrap();
    let report = profile.path().join("report.json");
    let output = Command::new("node")
        .arg(package.join("cli/index.js"))
        .arg(&app.origin)
        .args(["--quiet", "--no-enable-error-reporting", "--output=json"])
        .arg(format!("--output-path={}", report.display()))
        .arg(format!("--extra-headers={}", json!({ "Cookie": visitor.cookie })))
        .arg(format!("--only-categories={}", MARKS.map(|(name, _)| name).join(",")))
        .arg(
            "--chrome-flags=--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run \
             --disable-background-networking --disable-component-update --disable-sync",
        )
        .env("CHROME_PATH", "/usr/bin/chromium")
        .output()
        .expect("Node is installed (make setup)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    assert!(report["finalDisplayedUrl"].as_str().unwrap().ends_with('/'), "it saw another page: sign-in?");
    for (name, least) in MARKS {
        let category = &report["categories"][name];
        let mark = (category["score"].as_f64().unwrap() * 100.0).round() as u64;
        println!("{name}: {mark}");
        let audits = category["auditRefs"].as_array().unwrap().iter();
        let lost: Vec<_> = audits
            .map(|audit| &report["audits"][audit["id"].as_str().unwrap()])
            .filter(|audit| audit["score"].as_f64().is_some_and(|score| score < 1.0))
            .map(|audit| format!("{} {}", audit["title"], audit["displayValue"]))
            .collect();
        assert!(mark >= least, "{name} is {mark}, for {lost:#?}");
    }
    app.stop().await;
}
