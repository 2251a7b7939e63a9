//! What people choose about how a file is read, in the database: of an earlier version, and each choice once.

use runboard::{
    base::{
        ids::{ImportId, RunId, UserId},
        time::UnixMillis,
    },
    csv::{Choices, Notes},
    results::findings,
    store::{
        Store,
        imports::{ImportRow, Relative, RetryOf},
        last_choices::HeaderHash,
        record::{NewImport, Recording},
    },
};

use sqlx::{AnyPool, Row};

use crate::support::{import_row::event_row, migration::filled_before, postgres::on_each_database};

/// The first version that this file is about.
const VERSION: i64 = 21;

/// What a person chose in these form fields.
pub fn chosen(fields: &[(&str, &str)]) -> Choices {
    let mut choices = Choices::default();
    for (field, value) in fields {
        assert_eq!(choices.set(field, value), Ok(true));
    }
    choices
}

#[tokio::test]
async fn a_parent_of_the_version_before_has_a_retry_for_each_distinct_reading() {
    on_each_database(each_distinct_reading).await;
}

async fn each_distinct_reading(url: &str) {
    let (owner, parent, retry) = (UserId::generate(), ImportId::generate(), ImportId::generate());
    let statements = [
        format!(
            "INSERT INTO account (id, email, password_hash, created_at) VALUES ('{owner}', 'a@example.org', '', 0)"
        ),
        format!(
            "INSERT INTO import (id, account_id, file_name, size_bytes, receiving_at, received_at, event_id, \
             parent_id, retry_of) VALUES ('{parent}', '{owner}', 'a.csv', 1, 1, 2, 'e', NULL, NULL), \
             ('{retry}', '{owner}', 'a.csv', 1, 1, 2, 'f', '{parent}', 'all')"
        ),
        "INSERT INTO step (run_id, step_id, position, result, processed, failed, end_byte, started_at, committed_at) \
         VALUES ('r', 'rows-1', 1, '{}', 1, 0, 9, 3, 4)"
            .to_owned(),
    ];
    filled_before(VERSION, url, statements).await;

    let store = Store::open(url).await.unwrap();
    let row = store.import(parent).await.unwrap().unwrap();
    assert_eq!((row.held_until, &row.choices), (None, &Choices::default()));
    assert_eq!(store.choices_of_event(&row.event_id).await.unwrap(), Choices::default());
    assert_eq!(store.choices_of_event(&"unknown".to_owned().into()).await.unwrap(), Choices::default());
    let run = RunId::from("r".to_owned());
    assert_eq!(store.remarks(&run).await.unwrap().notes, Notes::default());
    assert_eq!(findings::of(&store, &run).await.unwrap().notes, Notes::default());

    let again = async |retry_of, choices: &Choices| {
        let id = ImportId::generate();
        let new = ImportRow {
            id,
            event_id: id.to_string().into(),
            choices: choices.clone(),
            parent: Some(Relative {
                id: parent,
                file_name: "a.csv".to_owned(),
                retry_of,
                choices: choices.clone(),
            }),
            ..row.clone()
        };
        let event = event_row(&new);
        let recording = NewImport { event: Some(&event), ..NewImport::new(&new) };
        let recorded = match store.create_import(recording).await.unwrap() {
            Recording::RetriedBefore(first) => first,
            recorded => {
                assert_eq!(recorded, Recording::Done);
                id
            }
        };
        if recorded == id {
            assert_eq!(store.import(id).await.unwrap().unwrap(), new);
            assert_eq!(store.choices_of_event(&new.event_id).await.unwrap(), *choices);
        }
        recorded
    };
    let detected = Choices::default();
    let semicolons = chosen(&[("delimiter", "semicolon")]);
    // The same choices in another order, with another name of the encoding.
    let latin = chosen(&[("delimiter", ";"), ("encoding", "latin1"), ("header", "6")]);
    let the_same = chosen(&[("header", "6"), ("encoding", "windows-1252"), ("delimiter", "semicolon")]);
    assert_eq!(again(RetryOf::All, &detected).await, retry, "the plain retry of before");
    let with_semicolons = again(RetryOf::All, &semicolons).await;
    let with_latin = again(RetryOf::All, &latin).await;
    let failed = again(RetryOf::Failed, &detected).await;
    assert_eq!(again(RetryOf::All, &semicolons).await, with_semicolons);
    assert_eq!(again(RetryOf::All, &the_same).await, with_latin);
    assert_eq!(again(RetryOf::Failed, &detected).await, failed);

    let retries = store.retries_of(&[parent]).await.unwrap();
    let made: Vec<_> =
        retries.into_iter().map(|(_, retry)| (retry.id, retry.retry_of, retry.choices)).collect();
    assert_eq!(
        made,
        [
            (retry, RetryOf::All, detected.clone()),
            (with_semicolons, RetryOf::All, semicolons),
            (with_latin, RetryOf::All, latin),
            (failed, RetryOf::Failed, detected),
        ]
    );
    store.close().await;
}

#[tokio::test]
async fn the_newest_thousand_headers_of_an_account_are_remembered() {
    on_each_database(remembers).await;
}

async fn remembers(url: &str) {
    let (owner, other) = (UserId::generate(), UserId::generate());
    let account = |id: UserId| {
        format!("INSERT INTO account (id, email, password_hash, created_at) VALUES ('{id}', '{id}', '', 0)")
    };
    // 999 headers of before.
    let older = format!(
        "INSERT INTO last_choices (account_id, header_hash, choices, chosen_at) \
         WITH RECURSIVE number (n) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT n + 1 FROM number WHERE n < 999) \
         SELECT '{owner}', 'header ' || n, '{{}}', n FROM number"
    );
    filled_before(i64::MAX, url, [account(owner), account(other), older]).await;
    let store = Store::open(url).await.unwrap();
    let semicolons = chosen(&[("delimiter", "semicolon"), ("header", "3")]);
    let pipes = chosen(&[("delimiter", "pipe")]);
    let header = HeaderHash::of(&["id;price"]);
    assert_ne!(HeaderHash::of(&["a", "bc"]), HeaderHash::of(&["ab", "c"]));
    assert_eq!(store.last_choices(owner, &header).await.unwrap(), None);
    for choices in [&pipes, &semicolons] {
        store.remember_choices(owner, &header, choices, UnixMillis(2_000)).await.unwrap();
    }
    assert_eq!(store.last_choices(owner, &header).await.unwrap(), Some(semicolons), "the last one");
    assert_eq!(store.last_choices(other, &header).await.unwrap(), None);
    store.remember_choices(other, &header, &pipes, UnixMillis(1)).await.unwrap();

    let pool = AnyPool::connect(url).await.unwrap();
    let oldest = async || -> (i64, i64) {
        let row = sqlx::query("SELECT COUNT(*), MIN(chosen_at) FROM last_choices WHERE account_id = $1")
            .bind(owner.to_string())
            .fetch_one(&pool)
            .await
            .unwrap();
        (row.get(0), row.get(1))
    };
    assert_eq!(oldest().await, (1_000, 1));
    store.remember_choices(owner, &HeaderHash::of(&["id"]), &pipes, UnixMillis(2_001)).await.unwrap();
    assert_eq!(oldest().await, (1_000, 2));
    assert_eq!(store.last_choices(other, &header).await.unwrap(), Some(pipes));
    pool.close().await;
    store.close().await;
}
