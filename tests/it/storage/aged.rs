//! What no row names in a bucket is deleted by its age.

use std::time::Duration;

use runboard::{
    app::sweep_stored_files,
    base::{ids::ImportId, time::UnixMillis},
    files::{Key, MemoryBucket, STORAGE_AWAY, Storage, UNNAMED_FOR},
    store::Store,
};
use sqlx::AnyPool;

use super::{LARGE, blocking, bytes, output, run_id, store};
use crate::support::{postgres::on_each_database, record_call};

async fn execute(url: &str, sql: &str, values: &[String]) {
    let pool = AnyPool::connect(url).await.unwrap();
    let query = values
        .iter()
        .fold(sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())), |query, value| query.bind(value));
    query.execute(&pool).await.unwrap();
    pool.close().await;
}

#[tokio::test]
async fn old_files_without_a_row_are_deleted_and_no_others() {
    on_each_database(deletes_old_ones).await;
}

async fn deletes_old_ones(url: &str) {
    let (rows, folder) = (Store::open(url).await.unwrap(), tempfile::tempdir().unwrap());
    let bucket = MemoryBucket::default();
    let storage = Storage::in_memory(bucket.clone(), folder.path()).unwrap();
    record_call(&rows, &run_id()).await;
    let [left, pending] = [(); 2].map(|()| Key::upload(ImportId::generate()));
    store(&storage, &left, b"a\n").await;
    storage.duplicate(&left, &pending).await.unwrap();
    let its = storage.clone();
    let [uncommitted, committed] = blocking(move || [1, 2].map(|size| output(&its, &[(size, true)]).0)).await;
    storage.settled(&uncommitted);
    storage.settled(&committed);
    execute(
        url,
        "INSERT INTO step (run_id, step_id, position, result, processed, failed, end_byte, processed_file, \
         started_at, committed_at) VALUES ($1, 'rows-1', 1, '', 0, 0, 0, $2, 0, 0)",
        &[run_id().as_str().to_owned(), committed.as_str().to_owned()],
    )
    .await;
    // One that a killed process has left: nobody drops it.
    let mut killed = storage.receive_upload(0).await.unwrap();
    killed.write(&bytes(LARGE)).await.unwrap();

    let before = bucket.names();
    sweep_stored_files(&storage, &rows).await.unwrap();
    assert_eq!((bucket.names(), bucket.unfinished_uploads()), (before.clone(), 1), "all are young");
    bucket.date_back(UnixMillis::wall().minus(UNNAMED_FOR - Duration::from_secs(600)));
    sweep_stored_files(&storage, &rows).await.unwrap();
    assert_eq!((bucket.names(), bucket.unfinished_uploads()), (before, 1), "all are too young");

    bucket.date_back(UnixMillis::wall().minus(UNNAMED_FOR + Duration::from_secs(1)));
    sweep_stored_files(&storage, &rows).await.unwrap();
    let mut kept = [committed.object_name(), pending.object_name()];
    kept.sort();
    assert_eq!((bucket.names(), bucket.unfinished_uploads()), (kept.to_vec(), 0));
    std::mem::forget(killed);
    rows.close().await;
}

#[tokio::test]
async fn files_without_a_row_stay_during_an_outage_and_while_a_bucket_is_newly_joined_or_that_of_another_database()
 {
    on_each_database(deletes_none_too_early).await;
}

async fn deletes_none_too_early(url: &str) {
    let (rows, folder) = (Store::open(url).await.unwrap(), tempfile::tempdir().unwrap());
    let bucket = MemoryBucket::default();
    let storage = Storage::in_memory(bucket.clone(), folder.path()).unwrap();
    for _ in 0..3 {
        store(&storage, &Key::upload(ImportId::generate()), b"a\n").await;
    }
    bucket.date_back(UnixMillis(1));
    let objects = storage.bucket().unwrap();
    objects.set_installation("another one").await.unwrap();
    let refused = sweep_stored_files(&storage, &rows).await.unwrap_err();
    assert!(refused.to_string().starts_with("The database is not the one of the files in"), "{refused}");
    rows.change_setting("installation", "this one").await.unwrap();
    objects.set_installation("this one").await.unwrap();
    sweep_stored_files(&storage, &rows).await.unwrap();
    assert_eq!(bucket.names().len(), 4, "they were joined just now");
    bucket.date_back(UnixMillis(1));
    bucket.set_away(true);
    sweep_stored_files(&storage, &rows).await.unwrap_err();
    let key = Key::upload(ImportId::generate());
    assert_eq!(storage.size(&key).await.unwrap_err().kind(), STORAGE_AWAY);
    bucket.set_away(false);
    assert_eq!(bucket.names().len(), 4);
    sweep_stored_files(&storage, &rows).await.unwrap();
    assert_eq!(bucket.names(), ["installation"], "however many they are");
    rows.close().await;
}
