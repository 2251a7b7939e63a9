//! How a running server checks its stored files: which it moves, and which it leaves in place.

use std::{fs, path::Path};

use runboard::{
    app::sweep_stored_files,
    base::ids::{ImportId, RunId},
    files::{Key, Storage},
    store::Store,
};
use sqlx::AnyPool;

use crate::support::{files_under, postgres::on_each_database, record_call};

fn output(storage: &Storage, run: &RunId) -> Key {
    let mut file = storage.create_output(run).unwrap();
    file.write(b"1,2\r\n").unwrap();
    file.finish_here();
    file.finish().unwrap();
    file.keep()
}

fn in_quarantine(folder: &Path) -> usize {
    let quarantine = folder.join("quarantine");
    if quarantine.exists() { files_under(&quarantine) } else { 0 }
}

#[tokio::test]
async fn what_is_being_written_stays_until_its_writer_has_settled_it() {
    on_each_database(leaves_writers_alone).await;
}

async fn leaves_writers_alone(url: &str) {
    let store = Store::open(url).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::open(folder.path()).unwrap();
    let run = RunId::from("01M852CE07000000000000001".to_owned());
    record_call(&store, &run).await;
    let unfinished = storage.create_output(&run).unwrap();
    let uncommitted = output(&storage, &run);
    let [import, retry] = [(); 2].map(|()| ImportId::generate());
    let mut arriving = storage.receive(Key::upload(import), 0).await.unwrap();
    arriving.write(b"a,b\n").await.unwrap();
    storage.record_soon(import).await.unwrap();
    arriving.keep().await.unwrap();
    storage.duplicate(&Key::upload(import), &Key::upload(retry)).await.unwrap();

    let before = files_under(folder.path());
    sweep_stored_files(&storage, &store).await.unwrap();
    assert_eq!((files_under(folder.path()), in_quarantine(folder.path())), (before, 0));

    // No one writes them any more, and no row names them.
    drop(unfinished);
    storage.settled(&uncommitted);
    storage.recorded(import).await;
    storage.settled(&Key::upload(retry));
    sweep_stored_files(&storage, &store).await.unwrap();
    assert_eq!(in_quarantine(folder.path()), 3);
    assert_eq!(files_under(folder.path()), 3);

    // A new process writes none of the files of the last one.
    output(&storage, &run);
    sweep_stored_files(&storage, &store).await.unwrap();
    assert_eq!(in_quarantine(folder.path()), 3);
    sweep_stored_files(&Storage::open(folder.path()).unwrap(), &store).await.unwrap();
    assert_eq!(in_quarantine(folder.path()), 4);
    store.close().await;
}

#[tokio::test]
async fn none_of_many_files_without_a_row_is_moved() {
    on_each_database(moves_none_of_many).await;
}

async fn moves_none_of_many(url: &str) {
    let store = Store::open(url).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::open(folder.path()).unwrap();
    for number in 0..3 {
        let name = format!("uploads/01M8532JEX1SP78PSANCV2SA{number:02}.csv");
        fs::write(folder.path().join(name), "left").unwrap();
    }
    let refused = sweep_stored_files(&storage, &store).await.unwrap_err();
    assert!(refused.to_string().contains("names 3 of 3 stored files"), "{refused}");
    assert_eq!((in_quarantine(folder.path()), files_under(folder.path())), (0, 3));

    fs::remove_file(folder.path().join("uploads/01M8532JEX1SP78PSANCV2SA00.csv")).unwrap();
    sweep_stored_files(&storage, &store).await.unwrap();
    assert_eq!(in_quarantine(folder.path()), 2);
    store.close().await;
}

#[tokio::test]
async fn a_deletion_removes_its_own_files() {
    on_each_database(leaves_deletions_alone).await;
}

async fn leaves_deletions_alone(url: &str) {
    let store = Store::open(url).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::open(folder.path()).unwrap();
    let (import, run) = (ImportId::generate(), RunId::from("01M852CE07000000000000001".to_owned()));
    let key = output(&storage, &run);
    storage.settled(&key);
    fs::write(storage.local().unwrap().path(&Key::upload(import)), "a,b\n").unwrap();
    let pool = AnyPool::connect(url).await.unwrap();
    sqlx::query("INSERT INTO deletion (import_id, files) VALUES ($1, $2)")
        .bind(import.to_string())
        .bind(key.as_str())
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
    sweep_stored_files(&storage, &store).await.unwrap();
    assert_eq!((files_under(folder.path()), in_quarantine(folder.path())), (2, 0));
    store.finish_deletion(import).await.unwrap();
    sweep_stored_files(&storage, &store).await.unwrap();
    assert_eq!(in_quarantine(folder.path()), 2);
    store.close().await;
}

/// More steps than one statement reads.
const STEPS: usize = 2_300;

#[tokio::test]
async fn files_of_a_run_whose_id_is_no_ulid_are_known_by_its_steps() {
    on_each_database(knows_all_steps).await;
}

async fn knows_all_steps(url: &str) {
    let store = Store::open(url).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::open(folder.path()).unwrap();
    let pool = AnyPool::connect(url).await.unwrap();
    let mut rows = Vec::new();
    for step in 0..STEPS {
        let run = RunId::from(format!("an engine's/own:id-{}", step % 7));
        let key = Key::output(&run);
        fs::write(storage.local().unwrap().path(&key), "1,2\r\n").unwrap();
        rows.push(format!(
            "('{}', 'rows-{step}', {step}, '', 0, 0, 0, '{}', 0, 0)",
            run.as_str().replace('\'', "''"),
            key.as_str()
        ));
    }
    for rows in rows.chunks(500) {
        let sql = format!(
            "INSERT INTO step (run_id, step_id, position, result, processed, failed, end_byte, processed_file, \
             started_at, committed_at) VALUES {}",
            rows.join(", ")
        );
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&pool).await.unwrap();
    }
    pool.close().await;
    let left = output(&storage, &RunId::from("an engine's/own:id-1".to_owned()));
    storage.settled(&left);
    sweep_stored_files(&storage, &store).await.unwrap();
    assert_eq!((in_quarantine(folder.path()), files_under(&folder.path().join("runs"))), (1, STEPS));
    assert!(!storage.local().unwrap().path(&left).exists());
    store.close().await;
}
