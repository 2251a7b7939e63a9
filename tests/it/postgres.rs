//! The same behaviour on Postgres, with the same SQL.

mod lock;

use std::time::{Duration, Instant};

use reqwest::{StatusCode, header};
use runboard::{
    base::config::DatabasePool,
    store::{ProcessLock, Sharing, Store},
};
use url::Url;

use crate::{
    start_and_stop::refusal,
    support::{
        binary::{Binary, run, runboard},
        database, files_under,
        postgres::{Postgres, spawn_app_on_postgres},
        spawn_app_on,
        tcp::Wire,
        until_equal,
    },
};

/// Much longer than a page with a hanging database takes (5 s), even on a busy machine, and much shorter than
/// without our limits.
const LONG: Duration = Duration::from_secs(25);

#[tokio::test]
async fn an_import_goes_its_whole_way_on_postgres_and_outlives_a_restart() {
    let (app, postgres) = spawn_app_on_postgres().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let again = app.visitor();
    let again =
        again.post_form("/sign-up", &[("email", "mira@example.org"), ("password", "correct horse")]).await;
    assert_eq!(again.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(again.headers().get(header::SET_COOKIE).is_none(), "no second session comes of it");
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
    // The second time, the hanging connections are gone, and new ones hang.
    for _ in 0..2 {
        let start = Instant::now();
        let ready = visitor.get("/readyz").await;
        assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(ready.text().await.unwrap().contains("database: not answering"));
        // More than there are connections.
        let pages = (0..8).map(|_| visitor.get("/?name=before"));
        for page in futures_util::future::join_all(pages).await {
            assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(page.headers()["retry-after"], "5");
            assert!(page.text().await.unwrap().contains(said));
        }
        let waited = Instant::now();
        let upload = visitor.post_file("while.csv", "a\n1\n").await;
        println!("an upload is answered after {:?}", waited.elapsed());
        assert_eq!(upload.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(upload.headers()["retry-after"], "5");
        let page = upload.text().await.unwrap();
        assert!(page.contains("cannot reach its database. Nothing was stored"), "{page}");
        assert!(start.elapsed() < LONG, "{:?}", start.elapsed());
    }

    drop(hung);
    let import = visitor.upload("after.csv", "a\n1\n").await;
    visitor.wait_for_state(&import, "Completed").await;
    app.stop().await;
}

/// Makes each commit of an import wait for the lock 1, and fail if the table `doomed` exists.
const SLOW_COMMITS: &str = "\
    CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
        PERFORM pg_advisory_xact_lock(1); \
        IF to_regclass('doomed') IS NOT NULL THEN RAISE 'doomed'; END IF; \
        RETURN NULL; \
    END $$; \
    CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON import \
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()";

#[tokio::test]
async fn an_import_whose_commit_is_confirmed_late_is_followed_and_the_file_of_one_that_fails_goes() {
    let (app, postgres) = spawn_app_on_postgres().await;
    let visitor = app.signed_in().await;
    let uploads = || app.data.path().join("files/uploads").read_dir().unwrap().count();
    let ended = || postgres.sql("SELECT COUNT(*) FROM run WHERE ended_at IS NOT NULL");
    postgres.sql(SLOW_COMMITS);
    for doomed in [false, true] {
        if doomed {
            postgres.sql("CREATE TABLE doomed (id BIGINT)");
        }
        let lock = postgres.hold_lock(1);
        let answer = visitor.post_file("late.csv", "a\n1\n").await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        let page = answer.text().await.unwrap();
        assert!(page.contains("stopped answering while the import was being recorded"), "{page}");
        assert_eq!(uploads(), 1 + usize::from(doomed), "its file stays until the database has answered");
        drop(lock);
        until_equal("the doubt to be settled", || (uploads(), ended()), (1, "1".to_owned())).await;
    }
    assert_eq!(postgres.sql("SELECT COUNT(*) FROM import"), "1");
    app.stop().await;
}

#[tokio::test]
async fn a_form_of_many_files_asks_a_database_that_is_away_once_and_leaves_nothing() {
    let (app, postgres) = spawn_app_on_postgres().await;
    let visitor = app.signed_in().await;
    assert_eq!(visitor.get("/").await.status(), StatusCode::OK, "the session is in memory");
    let hung = postgres.hang();
    let start = Instant::now();
    let names: Vec<String> = (0..20).map(|number| format!("{number}.csv")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "a\n1\n")).collect();
    let answer = visitor.post_files(&files, "").await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let page = answer.text().await.unwrap();
    assert!(page.contains("id=\"upload-error\""), "the form says it: {page}");
    assert!(page.contains("1.csv was not tried, because the database is not answering."), "{page}");
    // Each file that waits for the database would take its whole patience: a minute for 20 files.
    assert!(start.elapsed() < LONG, "{:?}", start.elapsed());
    assert_eq!(files_under(&app.data.path().join("files")), 0);
    drop(hung);
    app.stop().await;
}

#[tokio::test]
async fn an_address_that_comes_while_the_database_is_away_stays_in_its_field() {
    // With a quota the database is used before the form is read, without one after it.
    for quota in [None, Some(1 << 30)] {
        let postgres = Postgres::start();
        let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| {
            config.database_url = postgres.url.clone().into();
            config.quota_bytes = quota;
        })
        .await;
        let visitor = app.signed_in().await;
        assert_eq!(visitor.get("/").await.status(), StatusCode::OK, "the session is in memory");
        let hung = postgres.hang();
        let answer = visitor.post_address("files.example/a.csv").await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        let page = answer.text().await.unwrap();
        assert!(page.contains("name=\"url\" value=\"files.example/a.csv\""), "{page}");
        assert!(
            page.contains("id=\"address-error\" role=\"alert\">Runboard cannot reach its database."),
            "{page}"
        );
        drop(hung);
        app.stop().await;
    }
}

#[tokio::test]
async fn a_start_does_not_wait_for_ever_for_a_database_that_hangs() {
    let postgres = Postgres::start();
    let hung = postgres.hang();
    let taken =
        tokio::time::timeout(LONG, ProcessLock::take(&postgres.url, Sharing::Nobody, Duration::ZERO)).await;
    let error = taken.expect("it gives up").expect_err("nothing answers");
    assert_eq!(error.to_string(), "it does not answer");
    drop(hung);
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

#[test]
fn tls_that_sslmode_asks_for_and_that_fails_stops_the_start_with_a_line() {
    let postgres = Postgres::start_with_tls();
    let data = tempfile::tempdir().unwrap();
    let start = |url: &str, asked: &str| {
        let mut command = runboard(data.path());
        command.env("RUNBOARD_DATABASE_URL", format!("{url}?sslmode={asked}")).env("RUST_LOG", "off");
        command
    };
    const FAILED: &str = "The database cannot be used: TLS failed, for which `sslmode` in its address asks: ";
    // Nobody vouches for the certificate.
    for mode in ["verify-ca", "verify-full"] {
        let line = refusal(&run(&mut start(&postgres.url, mode)));
        assert!(line.starts_with(FAILED) && line.contains("certificate"), "{mode}: {line}");
    }
    let named = format!("sslrootcert={}", postgres.certificate().display());
    for mode in ["require", "verify-ca", "verify-full"] {
        Binary::start(&mut start(&postgres.url, &format!("{mode}&{named}"))).kill();
    }
    // It is for another address.
    let url = postgres.url.replace("127.0.0.1", "localhost");
    let line = refusal(&run(&mut start(&url, &format!("verify-full&{named}"))));
    assert!(line.starts_with(FAILED), "{line}");

    let without = Postgres::start();
    let line = refusal(&run(&mut start(&without.url, "require")));
    assert_eq!(line, format!("{FAILED}server does not support TLS"));
}

#[tokio::test]
async fn processes_that_start_at_once_bring_the_tables_up_to_date_together() {
    let folder = tempfile::tempdir().unwrap();
    let url = &database::empty_on_postgres(folder.path());
    let stores = futures_util::future::join_all((0..4).map(|_| Store::open(url))).await;
    for store in stores {
        store.expect("it takes its turn").close().await;
    }
}

/// `url` through a wire.
async fn wired(url: &str) -> (Wire, String) {
    let mut url = Url::parse(url).unwrap();
    let wire = Wire::to(url.port().unwrap()).await;
    url.set_port(Some(wire.port)).unwrap();
    (wire, url.to_string())
}

#[tokio::test]
async fn a_statement_costs_one_way_to_the_database_and_one_after_it_to_give_the_connection_back() {
    const STATEMENTS: usize = 50;
    let postgres = Postgres::start();
    let (wire, url) = wired(&postgres.url).await;
    let store =
        Store::open_with(&url, DatabasePool { connections: 1, ..DatabasePool::default() }).await.unwrap();
    // The first use prepares the statement.
    store.ping().await.unwrap();
    let before = wire.sent();
    for _ in 0..STATEMENTS {
        store.ping().await.unwrap();
    }
    let sent = wire.sent() - before;
    println!("{sent} messages for {STATEMENTS} statements");
    // On a very busy machine a connection may be idle for longer, and is tested.
    assert!(sent <= 2 * STATEMENTS + STATEMENTS / 5, "{sent}");
    store.close().await;
}

#[tokio::test]
async fn a_start_is_refused_while_another_program_holds_tables_that_are_to_be_changed() {
    let postgres = Postgres::start();
    Store::open(&postgres.url).await.unwrap().close().await;
    // The last migration must run again.
    postgres.sql("DELETE FROM _sqlx_migrations WHERE version = 15");
    postgres.sql("DROP INDEX engine_run_leased");
    postgres.sql("ALTER TABLE engine_run DROP COLUMN idle_turns");
    let url = &postgres.url;
    let holder = sqlx::PgPool::connect(url).await.unwrap();
    let mut tx = holder.begin().await.unwrap();
    sqlx::query("LOCK TABLE engine_run IN ACCESS EXCLUSIVE MODE").execute(&mut *tx).await.unwrap();
    let opened = tokio::time::timeout(2 * LONG, Store::open(url)).await.expect("it gives up");
    let error = opened.expect_err("the table is locked").to_string();
    assert!(error.contains("another program uses its tables"), "{error}");
    tx.rollback().await.unwrap();
    Store::open(url).await.unwrap().close().await;
}
