//! A rolling restart: programs of two versions on one database.

use reqwest::{StatusCode, header};
use runboard::{
    base::time::UnixMillis,
    store::{Store, assets::StoredAsset},
};

use crate::{
    start_and_stop::{account, refusal},
    support::{
        binary::{Binary, run, runboard},
        database,
        s3::S3Server,
        spawn_app, spawn_app_on,
        visitor::{Visitor, attributes},
    },
};

/// Longer than a file is kept that no process uses.
const LONG: UnixMillis = UnixMillis(31 * 24 * 60 * 60 * 1000);

const PATH: &str = "0123456789abcdef/style.css";

fn asset() -> StoredAsset {
    StoredAsset {
        content_type: "text/css; charset=utf-8".to_owned(),
        body: "p { color: red }".into(),
        brotli: "as brotli".into(),
        gzip: "as gzip".into(),
    }
}

#[tokio::test]
async fn a_replica_gives_the_files_of_a_version_that_it_does_not_know() {
    let (bucket, data) = (S3Server::start().await, tempfile::tempdir().unwrap());
    let url = database::on_postgres(data.path());
    let app = spawn_app_on(data, |config| {
        config.bucket = Some(bucket.config());
        config.database_url = url.clone().into();
    })
    .await;
    let visitor = app.signed_in().await;
    let store = Store::open(&url).await.unwrap();

    // A replica of another version finds the files of this one.
    let page = visitor.get("/").await.text().await.unwrap();
    let kept = store.asset_paths().await.unwrap();
    let own: Vec<String> = [attributes(&page, "href"), attributes(&page, "src")].concat();
    let own = own.iter().filter_map(|path| path.strip_prefix("/assets/"));
    let own: Vec<&str> = own.collect();
    assert!(own.len() >= 3, "{page}");
    for path in own {
        assert!(kept.iter().any(|kept| kept == path), "{path} is not in {kept:?}");
        let kept = store.asset(path).await.unwrap().unwrap();
        assert_eq!(visitor.download(&format!("/assets/{path}")).await, kept.body, "{path}");
    }

    // It starts, and its page asks this one.
    let path = format!("/assets/{PATH}");
    assert_eq!(visitor.get(&path).await.status(), StatusCode::NOT_FOUND);
    store.keep_asset(PATH, &asset(), UnixMillis::wall()).await.unwrap();
    for _ in 0..2 {
        let answer = visitor.get(&path).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/css; charset=utf-8");
        assert_eq!(answer.headers()[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
        assert_eq!(answer.text().await.unwrap(), "p { color: red }");
    }
    for unknown in
        ["/assets/0123456789abcdef/runboard.js", "/assets/fedcba9876543210/style.css", "/assets/x/y"]
    {
        assert_eq!(visitor.get(unknown).await.status(), StatusCode::NOT_FOUND, "{unknown}");
    }
    store.close().await;
    app.stop().await;
}

#[tokio::test]
async fn a_process_that_has_the_database_for_itself_neither_writes_nor_looks_up_files() {
    let app = spawn_app().await;
    let store = Store::open(&database::url(app.data.path())).await.unwrap();
    assert!(store.asset_paths().await.unwrap().is_empty());
    store.keep_asset(PATH, &asset(), UnixMillis::wall()).await.unwrap();
    let answer = app.visitor().get(&format!("/assets/{PATH}")).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    store.close().await;
    app.stop().await;
}

#[tokio::test]
async fn files_that_no_process_has_written_for_a_month_are_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&database::url(folder.path())).await.unwrap();
    for path in [PATH, "0123456789abcdef/old.css"] {
        store.keep_asset(path, &asset(), UnixMillis(0)).await.unwrap();
    }
    store.keep_asset(PATH, &asset(), LONG).await.unwrap();
    store.forget_assets(LONG).await.unwrap();
    assert_eq!(store.asset_paths().await.unwrap(), [PATH]);
    assert_eq!(store.asset(PATH).await.unwrap(), Some(asset()));
    store.close().await;
}

/// A hash with a seed of the process would send every page again whenever it reaches another replica.
#[tokio::test]
async fn a_page_that_shows_what_another_process_sent_is_sent_nothing_again() {
    let data = tempfile::tempdir().unwrap();
    let mut first = Binary::start(&mut runboard(data.path()));
    let mut visitor = Visitor::new(&first.origin);
    visitor.sign_up("mira@example.org").await;
    let page = visitor.get("/").await.text().await.unwrap();
    let poll = attributes(&page, "data-live")[0].replace("&#38;", "&");
    assert_eq!(visitor.fragment(&poll).await.status(), StatusCode::NO_CONTENT, "{poll}");
    first.terminate();
    first.wait();

    let second = Binary::start(&mut runboard(data.path()));
    visitor.origin.clone_from(&second.origin);
    assert_eq!(visitor.fragment(&poll).await.status(), StatusCode::NO_CONTENT, "{poll}");
    // A page of another version sends its own, and perhaps a field that is not known here.
    let (before, _) = poll.split_once("version=").unwrap();
    for version in ["version=0123456789abcdef", "version=", "version=of-another-form&more=1"] {
        let answer = visitor.fragment(&format!("{before}{version}")).await;
        assert_eq!(answer.status(), StatusCode::OK, "{version}");
        assert!(answer.text().await.unwrap().contains("data-live="), "a whole fragment");
    }
}

/// What a newer program has recorded of a migration that this one does not have.
async fn record_newer(data: &std::path::Path, description: &str) {
    let pool = database::pool(data).await;
    let insert = sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9000, $1, TRUE, $2, 0)",
    );
    insert.bind(description).bind(vec![0_u8]).execute(&pool).await.unwrap();
    sqlx::query("ALTER TABLE import ADD COLUMN of_the_future TEXT").execute(&pool).await.unwrap();
    pool.close().await;
}

#[tokio::test]
async fn a_program_starts_and_works_on_tables_that_a_newer_one_has_extended() {
    let data = tempfile::tempdir().unwrap();
    let mut newer = Binary::start(&mut runboard(data.path()));
    let mut visitor = Visitor::new(&newer.origin);
    visitor.sign_up("mira@example.org").await;
    newer.terminate();
    newer.wait();
    record_newer(data.path(), "of the future").await;

    let mut older = Binary::start(&mut runboard(data.path()));
    visitor.origin.clone_from(&older.origin);
    let import = visitor.upload("a.csv", "a,b\n1,2\n").await;
    visitor.wait_for_state(&import, "Completed").await;
    older.terminate();
    older.wait();
    let listed = account(data.path(), &["list"], "");
    assert!(listed.status.success(), "{listed:?}");
    assert!(String::from_utf8(listed.stdout).unwrap().contains("mira@example.org"));
}

#[tokio::test]
async fn a_program_is_refused_whose_tables_a_newer_one_has_taken_away() {
    let data = tempfile::tempdir().unwrap();
    let mut newer = Binary::start(&mut runboard(data.path()));
    newer.terminate();
    newer.wait();
    record_newer(data.path(), "of the future (contracts 8999)").await;

    let line = refusal(&run(runboard(data.path()).env("RUST_LOG", "off")));
    let expected =
        "The database cannot be used: a newer version of Runboard has changed its tables (migration 9000)";
    assert!(line.starts_with(expected), "{line}");
    let line = refusal(&account(data.path(), &["list"], ""));
    assert!(line.contains("was last used by another version of Runboard"), "{line}");
}

/// An older program may lack a migration between its own: that one was not made after it.
#[tokio::test]
async fn a_program_that_lacks_a_migration_between_its_own_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let url = database::url(data.path());
    Store::open(&url).await.unwrap().close().await;
    let pool = database::pool(data.path()).await;
    let insert = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                  VALUES (8, 'of a branch', TRUE, $1, 0)";
    sqlx::query(insert).bind(vec![0_u8]).execute(&pool).await.unwrap();
    pool.close().await;
    let error = Store::open(&url).await.expect_err("it is unknown").to_string();
    assert!(error.contains("migration 8 "), "{error}");
}
