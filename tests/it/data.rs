//! The database and the data folder: which belong together, what happens to files that no row names, and who
//! may read them. Uses the real program.

mod permissions;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use reqwest::StatusCode;
use sqlx::AnyPool;

use crate::{
    another::{completed_by_both, spawn_app_with_another_function},
    start_and_stop::refusal,
    support::{
        binary::{Binary, run, runboard},
        database, files_under, spawn_app, until_equal,
        visitor::Visitor,
    },
};

const IMPORTS: usize = 5;

/// A data folder with some ended imports, and their paths.
async fn used(data: &Path, imports: usize) -> Vec<String> {
    let mut server = Binary::start(&mut runboard(data));
    let mut visitor = Visitor::new(&server.origin);
    visitor.sign_up("mira@example.org").await;
    let paths = import(&visitor, imports).await;
    server.terminate();
    server.wait();
    paths
}

async fn import(visitor: &Visitor, count: usize) -> Vec<String> {
    let mut paths = Vec::new();
    for number in 0..count {
        let path = visitor.upload(&format!("{number}.csv"), "a,b\n1,2\n3\n").await;
        visitor.wait_for_state(&path, "Completed").await;
        paths.push(path);
    }
    paths
}

async fn sign_in(origin: &str) -> Visitor {
    let mut visitor = Visitor::new(origin);
    let fields = [("email", "mira@example.org"), ("password", "correct horse")];
    let answer = visitor.post_form("/sign-in", &fields).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    visitor.keep_cookie(&answer);
    visitor
}

fn adopt(command: &mut Command) -> String {
    let output = run(command.arg("adopt").env("RUST_LOG", "off"));
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The files in the quarantine, or among those set aside.
fn moved(data: &Path, prefix: &str) -> usize {
    let entries = fs::read_dir(data.join("files")).unwrap().map(|entry| entry.unwrap().path());
    let folders = entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix));
    folders.map(|folder| files_under(&folder)).sum()
}

#[tokio::test]
async fn a_folder_that_was_used_refuses_an_empty_database_and_keeps_its_files() {
    let data = tempfile::tempdir().unwrap();
    let imports = used(data.path(), IMPORTS).await;
    let before = files_under(&data.path().join("files"));
    let folder = tempfile::tempdir().unwrap();
    let other = database::url(folder.path());
    for _ in 0..2 {
        let mut command = runboard(data.path());
        let line = refusal(&run(command.env("RUNBOARD_DATABASE_URL", &other).env("RUST_LOG", "off")));
        assert!(line.starts_with("The database is empty, but the data folder "), "{line}");
        assert!(line.contains("`runboard adopt`"), "{line}");
        assert_eq!(files_under(&data.path().join("files")), before);
    }

    // Adopting deletes nothing, and the old database is no longer accepted with this folder.
    let told = adopt(runboard(data.path()).env("RUNBOARD_DATABASE_URL", &other));
    assert!(told.contains(&format!("set aside     {before} that no import names")), "{told}");
    assert_eq!((moved(data.path(), "set-aside-"), files_under(&data.path().join("files"))), (before, before));
    let line = refusal(&run(runboard(data.path()).env("RUST_LOG", "off")));
    assert!(line.starts_with("The database is not the one of the data folder "), "{line}");
    let server = Binary::start(runboard(data.path()).env("RUNBOARD_DATABASE_URL", &other));
    assert_eq!(Visitor::new(&server.origin).get(&imports[0]).await.status(), StatusCode::SEE_OTHER);
    server.kill();
    assert_eq!(moved(data.path(), "set-aside-"), before, "a start does not delete them");
}

#[tokio::test]
async fn a_database_that_is_older_than_the_files_is_refused_until_it_is_adopted() {
    let data = tempfile::tempdir().unwrap();
    let backup = tempfile::tempdir().unwrap();
    let kept = used(data.path(), IMPORTS).await;
    database::copy(data.path(), backup.path());
    let server = Binary::start(&mut runboard(data.path()));
    let lost = import(&sign_in(&server.origin).await, IMPORTS).await;
    server.kill();
    let before = files_under(&data.path().join("files"));
    database::copy(backup.path(), data.path());

    let line = refusal(&run(runboard(data.path()).env("RUST_LOG", "off")));
    assert!(line.contains(&format!("of {before} stored files")), "{line}");
    assert!(line.contains("`runboard adopt`"), "{line}");
    assert_eq!((moved(data.path(), "quarantine"), files_under(&data.path().join("files"))), (0, before));

    adopt(&mut runboard(data.path()));
    assert_eq!(files_under(&data.path().join("files")), before);
    let server = Binary::start(&mut runboard(data.path()));
    let visitor = sign_in(&server.origin).await;
    assert_eq!(visitor.panel(&kept[0]).await.counts(), (1, 1));
    assert!(!visitor.download(&format!("{}/failed.csv", kept[0])).await.is_empty());
    assert_eq!(visitor.get(&lost[0]).await.status(), StatusCode::NOT_FOUND);
    server.kill();
}

#[tokio::test]
async fn what_a_kill_leaves_goes_to_the_quarantine_and_after_a_day_there_away() {
    let data = tempfile::tempdir().unwrap();
    let imports = used(data.path(), 1).await;
    let files = data.path().join("files");
    let id = imports[0].rsplit('/').next().unwrap();
    for name in ["incoming/01M8532JEX1SP78PSANCV2SARF", "uploads/01M8532JEX1SP78PSANCV2SARF.csv", "runs/r-1"]
    {
        fs::write(files.join(name), "left").unwrap();
    }
    let before = files_under(&files);
    let server = Binary::start(&mut runboard(data.path()));
    assert_eq!(
        fs::read_dir(files.join("incoming")).unwrap().count(),
        0,
        "unfinished uploads are moved at start"
    );
    until_equal("all of them to be moved", || moved(data.path(), "quarantine"), 3).await;
    assert_eq!(files_under(&files), before, "nothing is deleted");
    assert!(files.join(format!("uploads/{id}.csv")).exists(), "the import's own file stays");
    server.kill();

    // A day later; the name of a folder is the time of the move.
    let quarantine = files.join("quarantine");
    let moves: Vec<PathBuf> = fs::read_dir(&quarantine).unwrap().map(|entry| entry.unwrap().path()).collect();
    for (second, moved) in moves.iter().enumerate() {
        fs::rename(moved, quarantine.join(format!("20200101T00000{second}.000Z"))).unwrap();
    }
    let server = Binary::start(&mut runboard(data.path()));
    until_equal("the sweep", || moved(data.path(), "quarantine"), 0).await;
    server.kill();
    assert_eq!(files_under(&files), before - 3);
}

/// Writes `count` uploads that no row names.
fn leave_uploads(files: &Path, count: usize) {
    for number in 0..count {
        fs::write(files.join(format!("uploads/01M8532JEX1SP78PSANCV2SA{number:02}.csv")), "left").unwrap();
    }
}

#[tokio::test]
async fn a_small_folder_of_which_most_files_have_no_row_is_refused_as_a_large_one_is() {
    let data = tempfile::tempdir().unwrap();
    let _imports = used(data.path(), 1).await;
    let files = data.path().join("files");
    // One upload and the output of its run.
    let named = files_under(&files);
    leave_uploads(&files, 5);
    let line = refusal(&run(runboard(data.path()).env("RUST_LOG", "off")));
    assert!(line.contains(&format!("names 5 of {} stored files", named + 5)), "{line}");
    assert_eq!(moved(data.path(), "quarantine"), 0);
    for number in 1..5 {
        fs::remove_file(files.join(format!("uploads/01M8532JEX1SP78PSANCV2SA{number:02}.csv"))).unwrap();
    }
    let server = Binary::start(&mut runboard(data.path()));
    assert_eq!(moved(data.path(), "quarantine"), 1, "one is what a kill leaves");
    server.kill();
}

/// More files than a start looks up.
const NAMED: usize = 560;
/// More than a tenth of the newest ones, and less than a tenth of all.
const LOST: usize = 55;

#[tokio::test]
async fn a_database_that_lacks_the_newest_imports_is_refused_however_many_older_ones_it_has() {
    let data = tempfile::tempdir().unwrap();
    let _imports = used(data.path(), 1).await;
    let uploads = data.path().join("files/uploads");
    let database = database::url(data.path());
    sqlx::any::install_default_drivers();
    let pool = AnyPool::connect(&database).await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    for number in 0..NAMED {
        let id = format!("{number:026}");
        sqlx::query(
            "INSERT INTO import (id, account_id, file_name, size_bytes, receiving_at, received_at, event_id, \
             search_name, finished_at) SELECT $1, account_id, file_name, size_bytes, receiving_at, received_at, \
             $1, search_name, finished_at FROM import LIMIT 1",
        )
        .bind(&id)
        .execute(&mut *tx)
        .await
        .unwrap();
        fs::write(uploads.join(format!("{id}.csv")), "kept").unwrap();
    }
    tx.commit().await.unwrap();
    pool.close().await;
    for number in 0..LOST {
        fs::write(uploads.join(format!("7{number:025}.csv")), "lost").unwrap();
    }
    let line = refusal(&run(runboard(data.path()).env("RUST_LOG", "off")));
    assert!(line.contains(&format!("names {LOST} of ")), "{line}");
    assert_eq!(moved(data.path(), "quarantine"), 0);
}

/// Many uploads had arrived and waited for the database when the process was killed.
#[tokio::test]
async fn uploads_that_a_kill_kept_from_being_recorded_do_not_stop_the_next_start() {
    let data = tempfile::tempdir().unwrap();
    let _imports = used(data.path(), 1).await;
    let files = data.path().join("files");
    leave_uploads(&files, 20);
    for number in 0..20 {
        fs::write(files.join(format!("incoming/01M8532JEX1SP78PSANCV2SA{number:02}.recording")), "").unwrap();
    }
    let server = Binary::start(&mut runboard(data.path()));
    assert_eq!(moved(data.path(), "quarantine"), 40);
    assert_eq!(fs::read_dir(files.join("incoming")).unwrap().count(), 0);
    server.kill();
}

/// An older backup of the same database is used for a while; then the newer one is restored.
#[tokio::test]
async fn what_a_restored_database_names_comes_back_from_the_quarantine() {
    let data = tempfile::tempdir().unwrap();
    let backup = tempfile::tempdir().unwrap();
    let imports = used(data.path(), 1).await;
    database::copy(data.path(), backup.path());
    let files = data.path().join("files");
    let name = Path::new(&imports[0]).file_name().unwrap().to_str().unwrap();
    let upload = files.join(format!("uploads/{name}.csv"));
    let written: Vec<PathBuf> =
        fs::read_dir(files.join("runs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!written.is_empty(), "the run wrote files");

    // As a start with the older database leaves it, longer than a day ago.
    let quarantine = files.join("quarantine/20200101T000000.000Z");
    for folder in ["incoming", "uploads", "runs"] {
        fs::create_dir_all(quarantine.join(folder)).unwrap();
    }
    fs::rename(&upload, quarantine.join(format!("uploads/{name}.csv"))).unwrap();
    for path in &written {
        fs::rename(path, quarantine.join("runs").join(path.file_name().unwrap())).unwrap();
    }
    fs::write(quarantine.join("uploads/01M8532JEX1SP78PSANCV2SARF.csv"), "of no import").unwrap();

    let server = Binary::start(&mut runboard(data.path()));
    assert!(upload.exists() && written.iter().all(|path| path.exists()), "back before the server works");
    let visitor = sign_in(&server.origin).await;
    assert!(!visitor.download(&format!("{}/failed.csv", imports[0])).await.is_empty());
    until_equal("the sweep", || moved(data.path(), "quarantine"), 0).await;
    assert!(!files.join("uploads/01M8532JEX1SP78PSANCV2SARF.csv").exists());
    server.kill();
}

#[tokio::test]
async fn a_server_at_work_and_an_unknown_folder_cannot_be_adopted() {
    let data = tempfile::tempdir().unwrap();
    let _server = Binary::start(&mut runboard(data.path()));
    let line = refusal(&run(runboard(data.path()).arg("adopt").env("RUST_LOG", "off")));
    assert!(line.contains("is in use by another Runboard"), "{line}");
    let nowhere = data.path().join("nowhere");
    let line = refusal(&run(runboard(&nowhere).arg("adopt").env("RUST_LOG", "off")));
    assert!(line.starts_with(&format!("There is no folder {}.", nowhere.display())), "{line}");
    assert!(!nowhere.exists());
}

#[tokio::test]
async fn a_folder_that_takes_no_files_is_not_ready() {
    let app = spawn_app().await;
    let visitor = app.visitor();
    let readyz = async || {
        let answer = visitor.get("/readyz").await;
        (answer.status(), answer.text().await.unwrap())
    };
    assert_eq!(readyz().await, (StatusCode::OK, "database: ready\nfiles: ready\nengine: ready\n".to_owned()));
    // Root may write anywhere, but not into a path that is not a folder.
    let incoming = app.data.path().join("files/incoming");
    fs::remove_dir(&incoming).unwrap();
    fs::write(&incoming, "").unwrap();
    let (status, body) = readyz().await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("files: cannot be written\n"), "{body}");
    fs::remove_file(&incoming).unwrap();
    fs::create_dir(&incoming).unwrap();
    assert_eq!(readyz().await.0, StatusCode::OK);
    assert_eq!(files_under(&incoming), 0, "looking leaves nothing");
    app.stop().await;
}

/// SQLite continues to write to a deleted file, whose contents are lost.
#[tokio::test]
async fn while_the_database_is_gone_nothing_is_called_safe() {
    if database::is_skipped_on_postgres("it moves SQLite's file away") {
        return;
    }
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    fs::rename(app.data.path().join("runboard.db"), app.data.path().join("away.db")).unwrap();
    let readyz = visitor.get("/readyz").await;
    assert_eq!(readyz.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(readyz.text().await.unwrap().contains("database: gone\n"));
    let answer = visitor.post_file("a.csv", "a\n1\n").await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let page = answer.text().await.unwrap();
    assert!(page.contains("cannot reach its database. Nothing was stored"), "{page}");
    assert_eq!(files_under(&app.data.path().join("files")), 0, "nothing of it is left");
    app.stop().await;
}

#[tokio::test]
async fn an_import_whose_file_is_missing_says_so_when_it_is_to_be_run_again() {
    let (app, _others) = spawn_app_with_another_function(|_| {}).await;
    let visitor = app.signed_in().await;
    let import = completed_by_both(&visitor, "a.csv", "a,b\n1,2\n3\n").await;
    let id = import.rsplit('/').next().unwrap();
    fs::remove_file(app.data.path().join(format!("files/uploads/{id}.csv"))).unwrap();
    for fields in [&[][..], &[("only", "failed")]] {
        let answer = visitor.post_form(&format!("{import}/retry"), fields).await;
        assert_eq!(answer.status(), StatusCode::GONE, "{fields:?}");
        let page = answer.text().await.unwrap();
        assert!(page.contains("The stored file of this import is missing"), "{page}");
    }
    assert_eq!(files_under(&app.data.path().join("files/incoming")), 0);
    app.stop().await;
}
