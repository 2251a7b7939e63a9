//! The same on Postgres: one SQL text serves both.

use crate::support::{postgres::spawn_app_on_postgres, spawn_app_on};

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
