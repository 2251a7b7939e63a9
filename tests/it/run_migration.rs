//! Runs that an earlier version recorded still belong to their imports.

use runboard::{
    base::{ids::ImportId, time::UnixMillis},
    csv::Counts,
    inngest::RunStatus,
    store::Store,
};

use crate::support::{database, migration::filled_before};

/// The first version that this file is about.
const VERSION: i64 = 2;

#[tokio::test]
async fn runs_of_the_version_before_keep_their_records() {
    let folder = tempfile::tempdir().unwrap();
    let url = database::empty_url(folder.path());
    let import = ImportId::generate();
    let statements = [
        "INSERT INTO account (id, email, password_hash, created_at) VALUES ('a', 'a@example.org', '', 0)"
            .to_owned(),
        format!(
            "INSERT INTO import (id, account_id, file_name, size_bytes, receiving_at, received_at, event_id) \
             VALUES ('{import}', 'a', 'a.csv', 1, 1, 2, 'e')"
        ),
        format!(
            "INSERT INTO run (run_id, import_id, function_id, status, queued_at, ended_at, processed, failed, output) \
             VALUES ('r1', '{import}', 'f', 'Completed', 3, 4, 98, 2, '{{\"ok\":true}}'), \
                    ('r2', '{import}', 'g', 'Running', 5, NULL, NULL, NULL, NULL)"
        ),
    ];
    filled_before(VERSION, &url, statements).await;

    let store = Store::open(&url).await.unwrap();
    let runs = store.runs_of(&[import]).await.unwrap();
    let [ended, running] = runs.as_slice() else { panic!("{runs:?}") };
    assert_eq!((ended.run_id.as_str(), &ended.status), ("r1", &RunStatus::Completed));
    assert_eq!((ended.queued_at, ended.ended_at), (UnixMillis(3), Some(UnixMillis(4))));
    assert_eq!(ended.counts, Some(Counts { processed: 98, failed: 2 }));
    assert_eq!(&*ended.output.as_ref().unwrap().excerpt, "{\n  \"ok\": true\n}");
    assert_eq!((running.function_id.as_str(), running.ended_at), ("g", None));
    assert_eq!((&running.function_name, running.news_at), (&None, UnixMillis(5)), "nothing newer is known");
    assert!(store.run_is_closed(&ended.run_id).await.unwrap());
    assert!(!store.run_is_closed(&running.run_id).await.unwrap());
}
