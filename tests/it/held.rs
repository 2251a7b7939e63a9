//! Imports that are looked at before they start.

use std::{fs, path::PathBuf};

use reqwest::{Response, StatusCode};
use runboard::{
    base::ids::ImportId,
    csv::{Choices, Delimiter},
    store::Store,
};
use sqlx::AnyPool;

use crate::support::{
    TestApp,
    binary::{Binary, runboard},
    database, spawn_app, spawn_app_on, until,
    visitor::{Visitor, attributes},
};

const LOOK: (&str, &str) = ("look", "1");
const FILE: (&str, &str) = ("prices.csv", "id,price\n1,2\n2\n");

/// Uploads a file to be looked at first, and returns the path of its import.
async fn held(visitor: &Visitor) -> String {
    Visitor::import_in(visitor.post_with(&[FILE], &[LOOK]).await).await
}

async fn start(visitor: &Visitor, import: &str, fields: &[(&str, &str)]) -> StatusCode {
    visitor.post_form(&format!("{import}/start"), fields).await.status()
}

fn id(import: &str) -> ImportId {
    import.rsplit('/').next().unwrap().parse().unwrap()
}

fn stored(app: &TestApp, import: &str) -> PathBuf {
    app.data.path().join("files/uploads").join(format!("{}.csv", id(import)))
}

fn database(app: &TestApp) -> String {
    database::url(app.data.path())
}

async fn text(visitor: &Visitor, path: &str) -> String {
    visitor.get(path).await.text().await.unwrap()
}

/// The refusal in the page that answers a form.
async fn alert(answer: Response) -> (StatusCode, String) {
    let status = answer.status();
    let page = answer.text().await.unwrap();
    let alerts = page.split("role=\"alert\">").skip(1).map(|rest| rest.split('<').next().unwrap().trim());
    (status, alerts.filter(|alert| !alert.is_empty()).collect())
}

#[tokio::test]
async fn nothing_runs_until_it_is_started_and_it_starts_once() {
    let app = spawn_app().await;
    let database = &database(&app);
    let visitor = app.signed_in().await;
    let import = held(&visitor).await;
    // Another import begins after it and ends.
    let other = visitor.upload("other.csv", "a\n1\n").await;
    visitor.wait_for_state(&other, "Completed").await;

    let panel = visitor.panel(&import).await;
    assert_eq!((panel.state.as_str(), panel.runs.len()), ("Held", 0));
    assert!(
        panel.html.contains("Not started") && panel.html.contains("Nothing runs until"),
        "{}",
        panel.html
    );
    assert!(!panel.html.contains("=\"every ") && !panel.html.contains("data-live"), "{}", panel.html);
    assert!(panel.html.contains(&format!("action=\"{import}/start\"")), "{}", panel.html);
    for gone in ["/retry\"", "/cancel\"", "processed.csv"] {
        assert!(!panel.html.contains(gone), "{gone}: {}", panel.html);
    }
    // The history has it, and no card.
    let page = text(&visitor, "/?state=not-started").await;
    assert_eq!(attributes(&page, "data-import-id"), [id(&import).to_string()], "{page}");
    assert_eq!(attributes(&page, "data-state"), ["Held"], "{page}");
    let live = visitor.fragment("/live").await.text().await.unwrap();
    assert!(!live.contains(&id(&import).to_string()) && !live.contains("hx-trigger"), "{live}");

    let pool = AnyPool::connect(database).await.unwrap();
    let count = async |table: &'static str| -> i64 {
        let sql = format!("SELECT COUNT(*) FROM {table}");
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&pool).await.unwrap()
    };
    assert_eq!((count("outbox").await, count("run").await), (0, 1), "only the other one's");

    // It is no import that has ended.
    assert_eq!(visitor.post_form(&format!("{import}/retry"), &[]).await.status(), StatusCode::CONFLICT);
    assert_eq!(visitor.post_form(&format!("{import}/cancel"), &[]).await.status(), StatusCode::SEE_OTHER);
    assert_eq!(visitor.get(&format!("{import}/processed.csv")).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(visitor.panel(&import).await.state, "Held");

    let (status, why) = alert(visitor.post_form(&format!("{import}/start"), &[("header", "0")]).await).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(why, "Enter the number of the header line, or none.");
    assert_eq!(visitor.panel(&import).await.state, "Held");

    let clicks = (0..5).map(|_| start(&visitor, &import, &[("quote", "double")]));
    for status in futures_util::future::join_all(clicks).await {
        assert_eq!(status, StatusCode::SEE_OTHER);
    }
    let panel = visitor.wait_for_state(&import, "Completed").await;
    assert_eq!(panel.counts(), (1, 1));
    assert_eq!(
        start(&visitor, &import, &[("quote", "none")]).await,
        StatusCode::SEE_OTHER,
        "nothing changes"
    );
    assert_eq!((count("run").await, count("engine_event").await >= 2), (2, true));
    let store = Store::open(database).await.unwrap();
    let row = store.import(id(&import)).await.unwrap().unwrap();
    assert_eq!(row.choices.quote, Some(runboard::csv::Quote::Double));
    assert_eq!(visitor.post_form(&format!("{import}/retry"), &[]).await.status(), StatusCode::SEE_OTHER);
    app.stop().await;
}

#[tokio::test]
async fn what_was_chosen_with_the_upload_holds_unless_the_start_says_otherwise() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let mut made = Vec::new();
    for fields in [&[][..], &[("delimiter", "detect"), ("header", "2")]] {
        let upload = visitor.post_with(&[FILE], &[("delimiter", "semicolon"), LOOK]).await;
        let import = Visitor::import_in(upload).await;
        assert_eq!(start(&visitor, &import, fields).await, StatusCode::SEE_OTHER);
        visitor.wait_for(&import, "its end", |panel| ["Completed", "Failed"].contains(&&*panel.state)).await;
        made.push(import);
    }
    // Without `look` it starts at once.
    let at_once = visitor.post_with(&[FILE], &[("delimiter", ";"), ("look", "0")]).await;
    let at_once = Visitor::import_in(at_once).await;
    visitor.wait_for(&at_once, "its end", |panel| ["Completed", "Failed"].contains(&&*panel.state)).await;
    made.push(at_once);
    let store = Store::open(&database(&app)).await.unwrap();
    let mut chosen = Vec::new();
    for import in made {
        let choices = store.import(id(&import)).await.unwrap().unwrap().choices;
        chosen.push((choices.delimiter, choices.header.map(|at| at.to_string())));
    }
    let semicolon = Some(Delimiter::named(";").unwrap());
    assert_eq!(chosen, [(semicolon, None), (None, Some("2".to_owned())), (semicolon, None)]);
    app.stop().await;
}

#[tokio::test]
async fn several_files_are_held_each_and_what_cannot_be_looked_at_is_refused() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let answer = visitor.post_with(&[FILE, ("two.csv", "a\n1\n")], &[LOOK]).await;
    assert_eq!(
        (answer.status(), answer.headers()["location"].to_str().unwrap()),
        (StatusCode::SEE_OTHER, "/")
    );
    assert_eq!(attributes(&text(&visitor, "/").await, "data-state"), ["Held", "Held"]);

    let answer = visitor.post_with(&[], &[LOOK, ("url", "https://files.example/a.csv")]).await;
    let (status, why) = alert(answer).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        why,
        "An address cannot be looked at first. Untick it, or download the file and give it here."
    );
    let (status, why) = alert(visitor.post_with(&[FILE], &[("header_rows", "9"), LOOK]).await).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(why, "A header has 1, 2 or 3 rows. Nothing was imported.");
    assert_eq!(attributes(&text(&visitor, "/").await, "data-state"), ["Held", "Held"]);
    app.stop().await;
}

#[tokio::test]
async fn it_can_be_discarded_and_counts_in_the_quota_until_then() {
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.quota_bytes = Some(1_000)).await;
    let visitor = app.signed_in().await;
    let large = format!("a\n{}", "1\n".repeat(300));
    let answer = visitor.post_with(&[("large.csv", &large)], &[LOOK]).await;
    let import = Visitor::import_in(answer).await;
    let refused = visitor.post_with(&[("large.csv", &large)], &[LOOK]).await;
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(text(&visitor, &format!("{import}/delete")).await.contains("large.csv"));
    assert!(stored(&app, &import).exists());
    assert_eq!(visitor.post_form(&format!("{import}/delete"), &[]).await.status(), StatusCode::SEE_OTHER);
    assert!(!stored(&app, &import).exists());
    assert_eq!(visitor.get(&import).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(start(&visitor, &import, &[]).await, StatusCode::NOT_FOUND);
    let answer = visitor.post_with(&[("large.csv", &large)], &[LOOK]).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    app.stop().await;
}

#[tokio::test]
async fn it_goes_by_itself_after_its_time_and_a_start_before_keeps_it() {
    let app = spawn_app().await;
    let mut visitor = app.signed_in().await;
    let (past, kept, started) = (held(&visitor).await, held(&visitor).await, held(&visitor).await);
    start(&visitor, &started, &[]).await;
    visitor.wait_for_state(&started, "Completed").await;
    let data = app.stop().await;
    let pool = AnyPool::connect(&database::url(data.path())).await.unwrap();
    let late = sqlx::query("UPDATE import SET held_until = 1 WHERE id = $1").bind(id(&past).to_string());
    late.execute(&pool).await.unwrap();
    let hours: i64 =
        sqlx::query_scalar("SELECT (held_until - received_at) / 3600000 FROM import WHERE id = $1")
            .bind(id(&kept).to_string())
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(hours, 24);
    pool.close().await;

    let app = spawn_app_on(data, |_| {}).await;
    visitor.origin.clone_from(&app.origin);
    until("the file is deleted", || !stored(&app, &past).exists()).await;
    assert_eq!(visitor.get(&past).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(visitor.panel(&kept).await.state, "Held");
    assert!(stored(&app, &kept).exists());
    assert_eq!(visitor.panel(&started).await.state, "Completed");
    app.stop().await;
}

#[tokio::test]
async fn it_survives_a_kill_and_starts_afterwards() {
    let data = tempfile::tempdir().unwrap();
    let server = Binary::start(&mut runboard(data.path()));
    let mut visitor = Visitor::new(&server.origin);
    visitor.sign_up("mira@example.org").await;
    let (import, started) = (held(&visitor).await, held(&visitor).await);
    assert_eq!(start(&visitor, &started, &[]).await, StatusCode::SEE_OTHER);
    server.kill();
    let server = Binary::start(&mut runboard(data.path()));
    let visitor = visitor.at(&server.origin);
    assert_eq!(visitor.wait_for_state(&started, "Completed").await.counts(), (1, 1));
    assert_eq!(visitor.panel(&import).await.state, "Held");
    assert_eq!(start(&visitor, &import, &[]).await, StatusCode::SEE_OTHER);
    assert_eq!(visitor.wait_for_state(&import, "Completed").await.counts(), (1, 1));
    assert!(
        !data.path().join("files/quarantine").exists()
            || fs::read_dir(data.path().join("files/quarantine")).unwrap().count() == 0
    );
}

#[tokio::test]
async fn its_rows_are_shown_as_they_would_be_read_and_nothing_is_run() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let import = held(&visitor).await;
    let rows = async |query: &str| {
        let answer = visitor.fragment(&format!("{import}/rows{query}")).await;
        (answer.status(), answer.text().await.unwrap())
    };
    let (status, fragment) = rows("").await;
    assert_eq!(status, StatusCode::OK);
    assert!(fragment.contains("Separated by commas") && fragment.contains(">price<"), "{fragment}");
    assert!(fragment.contains("1 field, expected 2"), "{fragment}");
    let (status, fragment) = rows("?quote=triple").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(fragment.contains("The quote is double, single or none."), "{fragment}");
    // Without the script the page itself shows them.
    let answer = visitor.get(&format!("{import}/rows?delimiter=%3B&look=x")).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()["location"], format!("{import}?delimiter=%3B&look=x"));
    assert_eq!(visitor.get(&format!("{import}?delimiter=%3B")).await.status(), StatusCode::OK);
    assert_eq!(visitor.panel(&import).await.state, "Held");

    // What is no CSV is said.
    let page = visitor.post_with(&[("page.csv", "<!doctype html><title>Sign in</title>")], &[LOOK]).await;
    let page = Visitor::import_in(page).await;
    let fragment = visitor.fragment(&format!("{page}/rows")).await.text().await.unwrap();
    assert!(fragment.contains("not a CSV"), "{fragment}");
    // On top, and the page no longer leads to Import.
    let import_button = "type=\"submit\"><span class=\"label\">Import</span>";
    let html = text(&visitor, &page).await;
    let told = html.split("id=\"unreadable\" role=\"alert\">").nth(1).expect("the reason");
    assert!(told.starts_with("This is a web page"), "{told}");
    assert!(html.contains(&format!("<button class=\"button\" {import_button}")), "{html}");
    let html = text(&visitor, &import).await;
    assert!(html.contains("id=\"unreadable\" role=\"alert\" hidden></p>"), "{html}");
    assert!(html.contains(&format!("<button class=\"button primary\" {import_button}")), "{html}");

    // Also of an import that is over.
    let over = visitor.upload("over.csv", "a,b\n1,2\n").await;
    visitor.wait_for_state(&over, "Completed").await;
    let answer = visitor.fragment(&format!("{over}/rows?delimiter=comma")).await;
    assert!(answer.text().await.unwrap().contains(">a<"));
    fs::remove_file(stored(&app, &over)).unwrap();
    let fragment = visitor.fragment(&format!("{over}/rows")).await.text().await.unwrap();
    assert!(fragment.contains("The file is no longer stored here."), "{fragment}");
    let store = Store::open(&database(&app)).await.unwrap();
    assert_eq!(store.import(id(&over)).await.unwrap().unwrap().choices, Choices::default());
    app.stop().await;
}
