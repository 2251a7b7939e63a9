//! The fragments that an open page receives: only news, and nothing that moves while somebody uses the page.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use runboard::base::time::UnixMillis;

use crate::support::{
    Busy, TestApp, spawn_app, spawn_app_on,
    visitor::{Panel, Visitor, attributes},
};

const DEADLINE: Duration = Duration::from_secs(60);

/// Older than any import, so that all imports count as news.
const EARLIEST: &str = "00000000000000000000000000";

/// An import that waits for its turn and does not change.
async fn waiting() -> (TestApp, Visitor, String, Busy) {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let busy = app.busy().await;
    let import = visitor.upload("second.csv", "a\n1\n").await;
    let queued = |panel: &Panel| panel.runs.iter().any(|run| run.status == "Running");
    visitor.wait_for(&import, "its turn", queued).await;
    (app, visitor, import, busy)
}

fn live_path(html: &str) -> String {
    attributes(html, "hx-get")[0].replace("&#38;", "&")
}

/// Polls until the page is unchanged as of a time after `before`, which needs a new answer of the engine.
async fn as_of_after(visitor: &Visitor, path: &str, before: UnixMillis) -> UnixMillis {
    let start = Instant::now();
    loop {
        let answer = visitor.fragment(path).await;
        assert_eq!(answer.status(), StatusCode::NO_CONTENT, "{path}");
        let as_of = UnixMillis::from_rfc3339(answer.headers()["x-runboard-as-of"].to_str().unwrap()).unwrap();
        assert!(answer.bytes().await.unwrap().is_empty());
        if as_of > before {
            return as_of;
        }
        assert!(start.elapsed() < DEADLINE, "still as of {as_of}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn id_of(import: &str) -> &str {
    import.rsplit('/').next().unwrap()
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again_but_as_of_when() {
    let (app, visitor, import, _busy) = waiting().await;
    let page = visitor.get(&import).await.text().await.unwrap();
    let id = id_of(&import).to_owned();
    // The page contains the address of its polls and its version.
    for path in [
        live_path(&page),
        live_path(
            &visitor.fragment(&format!("/live?keep={id}&since={EARLIEST}")).await.text().await.unwrap(),
        ),
    ] {
        let before = UnixMillis::now();
        let as_of = as_of_after(&visitor, &path, before).await;
        assert!(as_of <= UnixMillis::now());
        let other = path.replace("version=", "version=0");
        assert_eq!(visitor.fragment(&other).await.status(), StatusCode::OK, "another version: {other}");
    }
    // Changes are sent.
    let path = live_path(&visitor.get(&import).await.text().await.unwrap());
    visitor.post_form(&format!("{import}/cancel"), &[]).await;
    let answer = visitor.fragment(&path).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.text().await.unwrap().contains("data-import-id"));
    app.stop().await;
}

#[tokio::test]
async fn imports_from_elsewhere_wait_to_be_let_in() {
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.processor = false).await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let oldest = visitor.upload("first.csv", "a\n1\n").await;
    let import = visitor.upload("second.csv", "a\n1\n").await;
    for import in [&oldest, &import] {
        // No function accepts the event, so nothing changes.
        visitor.wait_for_state(import, "Sent").await;
    }
    let dashboard = visitor.get("/").await.text().await.unwrap();
    let shown = attributes(&dashboard, "data-import-id");
    assert_eq!(shown, [id_of(&import), id_of(&oldest)]);
    let path = live_path(&dashboard);
    assert_eq!(visitor.fragment(&path).await.status(), StatusCode::NO_CONTENT);

    let third = visitor.upload("third.csv", "a\n1\n").await;
    let fourth = visitor.upload("fourth.csv", "a\n1\n").await;
    let live = visitor.fragment(&path).await.text().await.unwrap();
    assert_eq!(attributes(&live, "data-import-id"), shown, "nothing has moved");
    assert!(live.contains(">Show 2 new imports<"), "{live}");
    // The next poll still holds the news back, and reports nothing new.
    assert_eq!(visitor.fragment(&live_path(&live)).await.status(), StatusCode::NO_CONTENT);

    let let_in = attributes(&live, "hx-get")[1].replace("&#38;", "&");
    let live = visitor.fragment(&let_in).await.text().await.unwrap();
    let expected = [id_of(&fourth), id_of(&third), id_of(&import), &shown[1]];
    assert_eq!(attributes(&live, "data-import-id"), expected);
    assert!(!live.contains("id=\"news\""), "{live}");

    // Imports of others are not news.
    let mut stranger = app.visitor();
    stranger.sign_up("eve@example.org").await;
    let since = &shown[1];
    let live = stranger.fragment(&format!("/live?keep={since}&since={since}")).await.text().await.unwrap();
    assert!(attributes(&live, "data-import-id").is_empty() && !live.contains("id=\"news\""), "{live}");
    app.stop().await;
}

/// The imports with a card, and those in the history below.
fn cards_and_rows(html: &str) -> [Vec<String>; 2] {
    let (cards, rows) = html.split_once("id=\"history\"").unwrap_or((html, ""));
    [cards, rows].map(|part| attributes(part, "data-import-id"))
}

#[tokio::test]
async fn of_many_imports_some_have_cards_and_the_rest_is_counted() {
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.processor = false).await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let mut imports = Vec::new();
    for _ in 0..30 {
        imports.push(id_of(&visitor.upload("many.csv", "a\n1\n").await).to_owned());
    }
    for import in &imports {
        visitor.wait_for_state(&format!("/imports/{import}"), "Sent").await;
    }
    imports.reverse();
    let (newest, older) = imports.split_at(24);
    // Imports without a card are in the history, also if it is filtered.
    for path in ["/", "/?state=in-progress"] {
        let page = visitor.get(path).await.text().await.unwrap();
        assert_eq!(cards_and_rows(&page), [newest, older], "{path}");
        assert!(page.contains("6 more are in progress.") && page.contains("<title>30 running"), "{page}");
        assert!(page.contains("href=\"/?state=in-progress#history\""), "{page}");
    }
    assert!(cards_and_rows(&visitor.get("/?state=completed").await.text().await.unwrap())[1].is_empty());
    let dashboard = visitor.get("/").await.text().await.unwrap();
    let path = live_path(&dashboard);
    assert_eq!(visitor.fragment(&path).await.status(), StatusCode::NO_CONTENT);

    // A card keeps its place when its import ends, and no other replaces it.
    visitor.post_form(&format!("/imports/{}/cancel", newest[20]), &[]).await;
    let live = visitor.fragment(&path).await.text().await.unwrap();
    assert_eq!(attributes(&live, "data-import-id"), newest);
    assert!(live.contains("6 more are in progress."), "{live}");
    // A page with fewer cards gets more, below its own.
    let few = format!("/live?keep={}&since={}", newest[..2].join(","), newest[0]);
    let live = visitor.fragment(&few).await.text().await.unwrap();
    let expected: Vec<&String> = imports.iter().filter(|import| **import != newest[20]).take(24).collect();
    assert_eq!(attributes(&live, "data-import-id").iter().collect::<Vec<_>>(), expected);
    assert!(live.contains("5 more are in progress."), "{live}");
    // Even if a page asks to keep many.
    let all = format!("/live?keep={}", imports.join(","));
    let live = visitor.fragment(&all).await.text().await.unwrap();
    assert_eq!(attributes(&live, "data-import-id"), newest);
    app.stop().await;
}

#[tokio::test]
async fn the_tab_says_how_it_stands() {
    let (app, visitor, import, _busy) = waiting().await;
    let page = visitor.get(&import).await.text().await.unwrap();
    assert!(page.contains("<title>Queued · second.csv · Runboard</title>"), "{page}");
    assert!(page.contains("/favicon-live.svg\""), "{page}");
    let dashboard = visitor.get("/").await.text().await.unwrap();
    assert!(dashboard.contains("<title>1 running · Runboard</title>"), "{dashboard}");
    visitor.post_form(&format!("{import}/cancel"), &[]).await;
    let panel = visitor.wait_for_state(&import, "Cancelled").await;
    assert_eq!(attributes(&panel.html, "data-tab-title"), ["Cancelled · second.csv · Runboard"]);
    let icon = &attributes(&panel.html, "data-tab-icon")[0];
    assert!(icon.ends_with("/favicon-still.svg"), "{icon}");
    assert_eq!(visitor.get(icon).await.status(), StatusCode::OK);
    app.stop().await;
}
