//! `POST /account/delete`.

use std::{fs, path::Path};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::StatusCode;
use sqlx::AnyPool;
use tokio::sync::oneshot;

use super::{PASSWORD, is_signed_in, refused_with, sign_in, signed_in};
use crate::support::{
    TestApp, database,
    host::{Host, Reply},
    spawn_app, spawn_app_on, until, until_seen,
    visitor::Visitor,
};

async fn leave(visitor: &Visitor) -> (StatusCode, String) {
    let answer = visitor.post_form("/account/delete", &[("password", PASSWORD)]).await;
    (answer.status(), answer.text().await.unwrap())
}

/// Waits until no row has the address of the account, and no file is left.
async fn nothing_is_left(app: &TestApp) {
    let is_gone = async || {
        columns_with(app, "mira@example.org").await.is_empty() && stored_files(app.data.path()).is_empty()
    };
    until_seen("nothing of the account to be left", is_gone, true).await;
}

async fn columns_with(app: &TestApp, text: &str) -> Vec<String> {
    database::columns_with(app.data.path(), text).await
}

async fn id_of(app: &TestApp, email: &str) -> String {
    let url = database::url(app.data.path());
    let pool = AnyPool::connect(&url).await.unwrap();
    let id = sqlx::query_scalar("SELECT id FROM account WHERE email = $1").bind(email).fetch_one(&pool).await;
    pool.close().await;
    id.unwrap()
}

/// The stored files of all users.
fn stored_files(data: &Path) -> Vec<String> {
    let folders = ["uploads", "runs", "incoming", "quarantine"].map(|folder| data.join("files").join(folder));
    let files = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    files.map(|file| file.unwrap().path().display().to_string()).collect()
}

#[tokio::test]
async fn a_deleted_account_leaves_nothing_in_the_database_or_the_folder() {
    let app = spawn_app().await;
    let mut keeper = app.visitor();
    keeper.sign_up("keeper@example.org").await;
    let kept = keeper.upload("kept.csv", "a\n1\n").await;
    keeper.wait_for_state(&kept, "Completed").await;
    let files_before = stored_files(app.data.path());
    let mut mira = app.visitor();
    mira.sign_up("mira@example.org").await;
    let import = mira.upload("hers.csv", "a,b\n1,2\n3\n").await;
    mira.wait_for_state(&import, "Completed").await;
    let again =
        Visitor::import_in(mira.post_form(&format!("{import}/retry"), &[("header", "none")]).await).await;
    mira.wait_for_state(&again, "Completed").await;
    let held = Visitor::import_in(mira.post_with(&[("held.csv", "a\n1\n")], &[("look", "1")]).await).await;
    let user = id_of(&app, "mira@example.org").await;
    assert!(!columns_with(&app, &user).await.is_empty());
    let elsewhere = signed_in(&app, "mira@example.org", PASSWORD).await;

    let answer = mira.post_form("/account/delete", &[("password", "wrong")]).await;
    let status = answer.status();
    let page = answer.text().await.unwrap();
    refused_with(status, &page, "This is not your password.", StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(mira.get(&import).await.status(), StatusCode::OK, "a refused form changes nothing");

    let (status, page) = leave(&mira).await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("Your account is deleted"), "{page}");
    assert!(!is_signed_in(&mira).await && !is_signed_in(&elsewhere).await);
    assert_eq!(
        sign_in(&app.visitor(), "mira@example.org", PASSWORD).await.status(),
        StatusCode::UNAUTHORIZED
    );
    for text in [&user, "mira@example.org", "hers.csv"]
        .into_iter()
        .chain([&import, &again, &held].map(|import| import.rsplit('/').next().unwrap()))
    {
        assert_eq!(columns_with(&app, text).await, [""; 0], "{text}");
    }
    assert_eq!(stored_files(app.data.path()), files_before);
    assert_eq!(keeper.get(&kept).await.status(), StatusCode::OK, "others keep theirs");
    mira.sign_up("mira@example.org").await;
    app.stop().await;
}

#[tokio::test]
async fn a_running_import_is_cancelled_before_its_account_is_deleted() {
    let host = Host::start(|_, _| {
        Reply::Hold(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\na,b\n1,2\n".to_vec())
    })
    .await;
    let allowed = host.allowed().parse().unwrap();
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.allow_addresses = allowed).await;
    let mira = app.signed_in().await;
    let import = mira.import_address(&host.url("/slow.csv")).await;
    mira.wait_for(&import, "the run", |panel| panel.runs.iter().any(|run| run.status == "Running")).await;
    let busy = app.busy().await;
    let waiting = mira.upload("waiting.csv", "a\n1\n").await;
    mira.wait_for(&waiting, "its run", |panel| !panel.runs.is_empty()).await;
    let user = id_of(&app, "mira@example.org").await;

    let (status, page) = leave(&mira).await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        page.contains("Your account is deleted") || page.contains("Your account is being deleted"),
        "{page}"
    );
    assert!(!is_signed_in(&mira).await);
    nothing_is_left(&app).await;
    let left: Vec<String> = columns_with(&app, &user).await;
    assert!(left.iter().all(|column| column.starts_with("engine_")), "{left:?}");
    drop(busy);
    app.stop().await;
}

/// A kill between the click and the end of the deletion.
#[tokio::test]
async fn a_restart_finishes_the_deletion() {
    let app = spawn_app().await;
    let mira = app.signed_in().await;
    let import = mira.upload("hers.csv", "a\n1\n").await;
    mira.wait_for_state(&import, "Completed").await;
    app.sql("UPDATE account SET deleting_at = 1").await;
    let data = app.stop().await;
    let app = spawn_app_on(data, |_| {}).await;
    nothing_is_left(&app).await;
    app.stop().await;
}

#[tokio::test]
async fn an_upload_that_arrives_after_the_deletion_is_not_kept() {
    let app = spawn_app().await;
    let mira = app.signed_in().await;
    let (go_on, rest) = oneshot::channel::<Bytes>();
    let begin = stream::once(async { Bytes::from_static(b"a,b\n1,2\n") });
    let rest = stream::once(async { rest.await.unwrap() });
    let uploading = {
        let mira = mira.clone();
        tokio::spawn(async move { mira.post_stream("late.csv", begin.chain(rest)).await.status() })
    };
    until("the file arrives", || !stored_files(app.data.path()).is_empty()).await;
    let (_, page) = leave(&mira).await;
    assert!(page.contains("Your account is deleted"), "{page}");
    go_on.send(Bytes::from_static(b"3,4\n")).unwrap();
    let status = uploading.await.unwrap();
    assert!(status.is_client_error() || status.is_server_error(), "{status}");
    until("the file is gone", || stored_files(app.data.path()).is_empty()).await;
    assert_eq!(columns_with(&app, "late.csv").await, [""; 0]);
    app.stop().await;
}

#[tokio::test]
async fn the_last_admin_stays_as_long_as_there_are_others() {
    let app = spawn_app().await;
    let admin = app.signed_in().await;
    let mut eve = app.visitor();
    eve.sign_up("eve@example.org").await;
    let (status, page) = leave(&admin).await;
    refused_with(status, &page, "You are the only admin", StatusCode::UNPROCESSABLE_ENTITY);
    assert!(is_signed_in(&admin).await);
    // Eve is no admin, and leaves.
    assert!(leave(&eve).await.1.contains("Your account is deleted"));
    assert!(leave(&admin).await.1.contains("Your account is deleted"), "the only account");
    // The next account is the first one again, and an admin's.
    eve.sign_up("eve@example.org").await;
    assert_eq!(eve.get("/admin").await.status(), StatusCode::OK);
    app.stop().await;
}
