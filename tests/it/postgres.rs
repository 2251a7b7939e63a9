//! The same on Postgres: one SQL text serves both.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use runboard::store::Store;

use crate::support::{
    postgres::{Postgres, spawn_app_on_postgres},
    spawn_app_on,
};

/// Far above what a page takes whose database hangs (5 s), on a machine that runs other tests as well, and far
/// below what it takes without a limit of ours.
const LONG: Duration = Duration::from_secs(25);

#[tokio::test]
async fn an_import_goes_its_whole_way_on_postgres_and_outlives_a_restart() {
    let (app, postgres) = spawn_app_on_postgres().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let again =
        visitor.post_form("/sign-up", &[("email", "mira@example.org"), ("password", "correct horse")]).await;
    assert!(again.status().is_client_error() || again.status().is_redirection(), "{}", again.status());
    let rows = include_str!("../fixtures/airports.csv");
    let import = visitor.upload("airports.csv", format!("{rows}CUT,only two\n")).await;
    let panel = visitor.wait_for_state(&import, "Completed").await;
    assert_eq!(panel.counts(), (3_376, 1));
    let processed = String::from_utf8(visitor.download(&format!("{import}/processed.csv")).await).unwrap();
    assert_eq!(processed.replace("\r\n", "\n"), rows.replace("\r\n", "\n"));

    // Cancelled before it is read.
    let _busy = app.busy().await;
    let long = visitor.upload("long.csv", "a,b\n1,2\n").await;
    visitor.wait_for(&long, "a run", |panel| !panel.runs.is_empty()).await;
    visitor.post_form(&format!("{long}/cancel"), &[]).await;
    visitor.wait_for_state(&long, "Cancelled").await;

    let data = app.stop().await;
    let app = spawn_app_on(data, |config| config.database_url = postgres.url.clone().into()).await;
    visitor.origin.clone_from(&app.origin);
    assert_eq!(visitor.panel(&import).await.counts(), (3_376, 1));
    assert_eq!(visitor.panel(&long).await.state, "Cancelled");
    let history = visitor.get("/").await.text().await.unwrap();
    assert!(history.contains("airports.csv") && history.contains("long.csv"));
    app.stop().await;
}

#[tokio::test]
async fn while_the_database_hangs_pages_say_so_soon_and_go_on_after_it() {
    let (app, postgres) = spawn_app_on_postgres().await;
    let visitor = app.signed_in().await;
    let import = visitor.upload("before.csv", "a\n1\n").await;
    visitor.wait_for_state(&import, "Completed").await;
    assert_eq!(visitor.get("/readyz").await.status(), StatusCode::OK);

    let hung = postgres.hang();
    let said = "The database is not answering. Nothing is lost; try again in a moment.";
    // The second time, the connections that hung are gone, and new ones hang.
    for _ in 0..2 {
        let start = Instant::now();
        let ready = visitor.get("/readyz").await;
        assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(ready.text().await.unwrap().contains("database: not answering"));
        // More than there are connections.
        let pages = (0..8).map(|_| visitor.get("/?name=before"));
        for page in futures_util::future::join_all(pages).await {
            assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert!(page.text().await.unwrap().contains(said));
        }
        let upload = visitor.post_file("while.csv", "a\n1\n").await;
        assert!(upload.status().is_server_error(), "{}", upload.status());
        assert!(start.elapsed() < LONG, "{:?}", start.elapsed());
    }

    drop(hung);
    let import = visitor.upload("after.csv", "a\n1\n").await;
    visitor.wait_for_state(&import, "Completed").await;
    app.stop().await;
}

#[tokio::test]
async fn a_database_that_takes_tls_alone_is_used() {
    let postgres = Postgres::start_with_tls();
    let plain = Store::open(&format!("{}?sslmode=disable", postgres.url)).await;
    assert!(plain.is_err(), "this Postgres takes TLS alone");
    let store = Store::open(&format!("{}?sslmode=require", postgres.url)).await.unwrap();
    store.ping().await.unwrap();
    store.close().await;
}
