//! Deleting an import with its files.

use std::{
    fs,
    time::{Duration, Instant},
};

use reqwest::{StatusCode, header};
use runboard::{
    base::{
        ids::{ImportId, RunId},
        time::UnixMillis,
    },
    csv::Counts,
    inngest::{Run, RunStatus},
    store::{
        Store,
        delete::{Deletable, Deleted},
    },
};
use sqlx::{AnyPool, Row};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::support::{
    TestApp, database, files_under, spawn_app, spawn_app_on,
    visitor::{Visitor, attributes},
};

const MIXED: &str = "a,b\n1,2\n3\n";

async fn completed(visitor: &Visitor, name: &str) -> String {
    let import = visitor.upload(name, MIXED).await;
    visitor.wait_for_state(&import, "Completed").await;
    import
}

async fn delete(visitor: &Visitor, import: &str) -> StatusCode {
    visitor.post_form(&format!("{import}/delete"), &[]).await.status()
}

fn files(app: &TestApp) -> usize {
    files_under(&app.data.path().join("files"))
}

fn database(app: &TestApp) -> String {
    database::url(app.data.path())
}

fn id(import: &str) -> &str {
    import.rsplit('/').next().unwrap()
}

/// The number of rows about an import and its runs, by table.
async fn rows(database: &str) -> Vec<(&'static str, i64)> {
    let pool = AnyPool::connect(database).await.unwrap();
    let mut rows = Vec::new();
    // The end of a run is reported by runs of the engine's own events.
    let going_on = "SELECT COUNT(*) FROM engine_run WHERE ended_at IS NULL";
    let begun = Instant::now();
    while sqlx::query(going_on).fetch_one(&pool).await.unwrap().get::<i64, _>(0) > 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "a run of the engine is unfinished");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for table in ["import", "run", "step", "execution", "outbox", "engine_event", "engine_run", "engine_step"]
    {
        let sql = format!("SELECT COUNT(*) FROM {table}");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_one(&pool).await.unwrap();
        rows.push((table, row.get::<i64, _>(0)));
    }
    pool.close().await;
    rows
}

#[tokio::test]
async fn a_deleted_import_is_nowhere_any_more() {
    let app = spawn_app().await;
    let database = &database(&app);
    let visitor = app.signed_in().await;
    let kept = completed(&visitor, "kept.csv").await;
    let (rows_before, files_before) = (rows(database).await, files(&app));
    let import = completed(&visitor, "orders.csv").await;
    let rows_with_it = rows(database).await;
    assert!(rows_with_it.iter().zip(&rows_before).filter(|(with, without)| with.1 > without.1).count() >= 6);
    let link = signed_link(database, id(&import)).await;
    assert_eq!(visitor.get(&link).await.status(), StatusCode::OK);
    let own = visitor.get(&import).await.text().await.unwrap();
    assert!(own.contains(&format!("href=\"{import}/delete\">Delete this import</a>")), "{own}");

    let question = visitor.get(&format!("{import}/delete")).await.text().await.unwrap();
    for said in [
        "Delete <bdi>orders.csv</bdi>?",
        "The file, 10 bytes",
        "1 processed row<",
        "1 failed row and its reason",
        "Keep it",
    ] {
        assert!(question.contains(said), "{said}: {question}");
    }
    assert_eq!(visitor.get(&import).await.status(), StatusCode::OK, "asking changes nothing");

    let answer = visitor.post_form(&format!("{import}/delete"), &[]).await;
    assert_eq!(
        (answer.status(), &answer.headers()[header::LOCATION]),
        (StatusCode::SEE_OTHER, &"/#history".parse().unwrap())
    );
    assert_eq!(files(&app), files_before);
    assert_eq!(rows(database).await, rows_before);
    for path in ["", "/panel", "/delete", "/processed.csv", "/failed.csv"] {
        assert_eq!(visitor.get(&format!("{import}{path}")).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(delete(&visitor, &import).await, StatusCode::NOT_FOUND, "a second time");
    assert_eq!(visitor.post_form(&format!("{import}/retry"), &[]).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(visitor.get(&link).await.status(), StatusCode::NOT_FOUND, "the signed link");
    let live = visitor.fragment(&format!("/live?keep={},{}", id(&import), id(&kept))).await;
    assert_eq!(attributes(&live.text().await.unwrap(), "data-import-id"), [id(&kept)]);
    let page = visitor.get("/").await.text().await.unwrap();
    assert_eq!(attributes(&page, "data-import-id"), [id(&kept)]);
    assert_eq!(visitor.panel(&kept).await.counts(), (1, 1));
    assert!(!visitor.download(&format!("{kept}/processed.csv")).await.is_empty());
    app.stop().await;
}

/// The link in the event of an import.
async fn signed_link(database: &str, id: &str) -> String {
    let pool = AnyPool::connect(database).await.unwrap();
    let body: String = sqlx::query_scalar(
        "SELECT body FROM engine_event WHERE event_id = (SELECT event_id FROM import WHERE id = $1)",
    )
    .bind(id)
    .fetch_one(&pool)
    .await
    .unwrap();
    pool.close().await;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let link: url::Url = body["data"]["file"].as_str().unwrap().parse().unwrap();
    format!("{}?{}", link.path(), link.query().unwrap())
}

#[tokio::test]
async fn only_ones_own_import_that_is_over_is_deleted() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let mut stranger = app.visitor();
    stranger.sign_up("eve@example.org").await;
    let over = completed(&visitor, "over.csv").await;
    assert_eq!(delete(&stranger, &over).await, StatusCode::NOT_FOUND);
    assert_eq!(visitor.get(&over).await.status(), StatusCode::OK, "still there");

    let _busy = app.busy().await;
    let long = visitor.upload("waits.csv", "a,b\n1,2\n").await;
    let question = visitor.get(&format!("{long}/delete")).await;
    assert_eq!(question.status(), StatusCode::CONFLICT);
    assert!(question.text().await.unwrap().contains("Cancel it first"));
    assert_eq!(delete(&visitor, &long).await, StatusCode::CONFLICT);
    assert!(!visitor.get(&long).await.text().await.unwrap().contains("Delete this import"));
    visitor.wait_for(&long, "a run", |panel| !panel.runs.is_empty()).await;
    visitor.post_form(&format!("{long}/cancel"), &[]).await;
    visitor.wait_for_state(&long, "Cancelled").await;
    assert_eq!(delete(&visitor, &long).await, StatusCode::SEE_OTHER);
    assert_eq!(delete(&visitor, &over).await, StatusCode::SEE_OTHER);
    assert_eq!(files(&app), 0);
    app.stop().await;
}

/// A late run of a cancelled import must find the request to cancel.
#[tokio::test]
async fn what_was_cancelled_before_its_run_came_stays_until_none_can_come() {
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.processor = false).await;
    let visitor = app.signed_in().await;
    let import = visitor.upload("nobody.csv", MIXED).await;
    visitor.wait_for_state(&import, "Sent").await;
    visitor.post_form(&format!("{import}/cancel"), &[]).await;
    visitor.wait_for_state(&import, "Cancelled").await;
    let answer = visitor.post_form(&format!("{import}/delete"), &[]).await;
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    assert!(answer.text().await.unwrap().contains("once the engine reports that none is left"));
    assert_eq!(visitor.panel(&import).await.state, "Cancelled");
    app.stop().await;
}

#[tokio::test]
async fn retries_stay_and_a_deleted_retry_can_be_made_anew() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let parent = completed(&visitor, "parent.csv").await;
    let retry = async |of: &str| {
        let answer = visitor.post_form(&format!("{of}/retry"), &[]).await;
        let to = answer.headers()[header::LOCATION].to_str().unwrap().to_owned();
        visitor.wait_for_state(&to, "Completed").await;
        to
    };
    let page = async |path: &str| visitor.get(path).await.text().await.unwrap();
    let first = retry(&parent).await;
    assert!(page(&first).await.contains("Re-run of"));
    assert_eq!(delete(&visitor, &first).await, StatusCode::SEE_OTHER);
    assert!(!page(&parent).await.contains("Re-run as"), "it is not linked any more");
    let second = retry(&parent).await;
    assert_ne!(second, first);

    assert!(page(&format!("{parent}/delete")).await.contains("Its re-runs are separate imports"));
    assert_eq!(delete(&visitor, &parent).await, StatusCode::SEE_OTHER);
    assert!(!page(&second).await.contains("Re-run of"), "no link that leads nowhere");
    assert_eq!(visitor.panel(&second).await.counts(), (1, 1));
    let third = retry(&second).await;
    assert_eq!(visitor.panel(&third).await.counts(), (1, 1), "the file is its own");

    // The same, read from the database.
    let data = app.stop().await;
    let app = spawn_app_on(data, |_| {}).await;
    let mut again = visitor.clone();
    again.origin.clone_from(&app.origin);
    let html = again.get(&second).await.text().await.unwrap();
    assert!(html.contains("Re-run as") && !html.contains("Re-run of"), "{html}");
    app.stop().await;
}

#[tokio::test]
async fn a_kill_between_the_rows_and_the_files_leaves_files_that_the_next_start_puts_in_quarantine() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let kept = completed(&visitor, "kept.csv").await;
    let files_before = files(&app);
    let import = completed(&visitor, "orders.csv").await;
    let url = database(&app);
    let data = app.stop().await;

    let store = Store::open(&url).await.unwrap();
    let deleted = store.delete_import(id(&import).parse().unwrap(), Deletable::Ended).await.unwrap();
    let Deleted::Gone(remains) = deleted else { panic!("{deleted:?}") };
    assert_eq!((remains.runs.len(), remains.files.len()), (1, 3));
    store.close().await;
    assert_eq!(files_under(&data.path().join("files")), files_before + 4);

    let app = spawn_app_on(data, |_| {}).await;
    assert_eq!(files_under(&app.data.path().join("files/quarantine")), 4);
    assert_eq!(files(&app), files_before + 4);
    let store = Store::open(&database(&app)).await.unwrap();
    assert_eq!(store.unfinished_deletions().await.unwrap(), []);
    store.close().await;
    let mut again = visitor.clone();
    again.origin.clone_from(&app.origin);
    assert!(!again.download(&format!("{kept}/failed.csv")).await.is_empty());
    app.stop().await;
}

#[tokio::test]
async fn a_run_that_two_imports_have_is_known_until_both_are_gone() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let [one, other] = [completed(&visitor, "one.csv").await, completed(&visitor, "other.csv").await];
    let run: RunId = visitor.panel(&one).await.runs[0].run_id.clone().into();
    let url = database(&app);
    let data = app.stop().await;
    let store = Store::open(&url).await.unwrap();
    let [one, other]: [ImportId; 2] = [&one, &other].map(|import| id(import).parse().unwrap());
    let shared = Run {
        run_id: run.clone(),
        function_id: "f".to_owned(),
        function_name: None,
        event_id: "e".to_owned().into(),
        status: RunStatus::Completed,
        run_started_at: UnixMillis(4),
        ended_at: Some(UnixMillis(5)),
        output: None,
    };
    store.record_run(other, &shared, Some(Counts::default()), UnixMillis(6)).await.unwrap();
    let Deleted::Gone(remains) = store.delete_import(one, Deletable::Ended).await.unwrap() else { panic!() };
    assert_eq!((remains.runs.len(), remains.files.len()), (0, 0));
    assert!(!store.steps(&run).await.unwrap().is_empty());
    let Deleted::Gone(remains) = store.delete_import(other, Deletable::Ended).await.unwrap() else {
        panic!()
    };
    assert!(remains.runs.contains(&run) && remains.runs.len() == 2, "{remains:?}");
    assert!(store.steps(&run).await.unwrap().is_empty());
    // A late report finds no import.
    store.record_run(other, &shared, None, UnixMillis(7)).await.unwrap();
    assert_eq!(store.runs_of(&[other]).await.unwrap(), []);
    assert_eq!(store.delete_import(other, Deletable::Ended).await.unwrap(), Deleted::NotThere);
    store.close().await;
    drop(data);
}

/// A download whose reader reads slowly.
async fn slow_download(visitor: &Visitor, path: &str) -> TcpStream {
    let host = visitor.origin.strip_prefix("http://").unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    let mut connection = socket.connect(host.parse().unwrap()).await.unwrap();
    let cookie = visitor.cookie.as_deref().unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    connection
}

#[tokio::test]
async fn a_download_that_is_under_way_harms_nobody() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let import = visitor.upload("long.csv", format!("a,b\n{}", "1,2\n".repeat(1_500_000))).await;
    visitor.wait_for_state(&import, "Completed").await;
    // More than the kernel buffers for a slow reader.
    let mut download = slow_download(&visitor, &format!("{import}/processed.csv")).await;
    let mut body = vec![0; 1 << 10];
    download.read_exact(&mut body).await.unwrap();
    assert!(body.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&body));
    assert_eq!(delete(&visitor, &import).await, StatusCode::SEE_OTHER);
    assert_eq!(files(&app), 0);
    // An open part is read to its end. A part that is not open aborts the answer before its announced length.
    let read = download.read_to_end(&mut body).await;
    assert!(body.len() < 7_600_000, "{read:?}");
    assert_eq!(visitor.get("/").await.status(), StatusCode::OK);

    // The rows exist but the files do not, which is not an internal error.
    let import = completed(&visitor, "short.csv").await;
    for file in fs::read_dir(app.data.path().join("files/runs")).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    let answer = visitor.get(&format!("{import}/processed.csv")).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    app.stop().await;
}
