//! Imports that an earlier version recorded are in the history with their ends.

use runboard::{
    base::ids::{ImportId, UserId},
    store::{
        Store,
        history::{Between, Filter, Order, StateFilter},
    },
};

use crate::support::{migration::database_before, postgres::on_each_database};

/// The first version that this file is about.
const VERSION: i64 = 4;

#[tokio::test]
async fn imports_of_the_version_before_have_their_state() {
    on_each_database(migrates).await;
}

async fn migrates(url: &str) {
    let before = database_before(VERSION, url).await;
    let owner = UserId::generate();
    sqlx::query("INSERT INTO account (id, email, password_hash, created_at) VALUES ($1, 'a', '', 0)")
        .bind(owner.to_string())
        .execute(&before)
        .await
        .unwrap();
    // The set columns of the import, and its runs: status, end, failed rows.
    type Was = (&'static str, &'static [(&'static str, Option<i64>, Option<i64>)]);
    let table: [(Was, &[StateFilter]); 10] = [
        (("sent_at", &[]), &[]),
        (("refused", &[]), &[StateFilter::Failed]),
        (("cancel_requested_at", &[]), &[StateFilter::Cancelled]),
        (("sent_at", &[("Running", None, None)]), &[]),
        (("sent_at", &[("Completed", Some(3), Some(0))]), &[StateFilter::Completed]),
        (
            ("sent_at", &[("Completed", Some(3), Some(2)), ("Skipped", Some(3), None)]),
            &[StateFilter::Completed, StateFilter::WithFailedRows],
        ),
        (("sent_at", &[("Completed", Some(3), Some(2)), ("Running", None, None)]), &[]),
        (
            ("cancel_requested_at", &[("Completed", Some(3), Some(0)), ("Cancelled", Some(3), None)]),
            &[StateFilter::Cancelled],
        ),
        (("sent_at", &[("Cancelled", Some(3), None), ("Failed", Some(3), None)]), &[StateFilter::Failed]),
        (("sent_at", &[("Overflowed", Some(3), None)]), &[StateFilter::Skipped]),
    ];
    let mut expected = Vec::new();
    // No function accepted the event within a day. The earlier version stored no state for it.
    let given_up = ImportId::generate();
    let sql = format!(
        "INSERT INTO import (id, account_id, file_name, size_bytes, receiving_at, received_at, event_id, sent_at, \
         finished_at) VALUES ('{given_up}', '{owner}', 'Orders.CSV', 1, 1, 2, '{given_up}', 3, 4)"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&before).await.unwrap();
    expected.push((given_up, &[StateFilter::NoFunction][..]));
    for ((set, runs), filters) in table {
        let id = ImportId::generate();
        let value = if set == "refused" { "'no'" } else { "1" };
        let sql = format!(
            "INSERT INTO import (id, account_id, file_name, size_bytes, receiving_at, received_at, event_id, {set}) \
             VALUES ('{id}', '{owner}', 'Orders.CSV', 1, 1, 2, '{id}', {value})"
        );
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&before).await.unwrap();
        for (n, (status, ended_at, failed)) in runs.iter().enumerate() {
            sqlx::query(
                "INSERT INTO run (run_id, import_id, function_id, status, queued_at, ended_at, processed, failed) \
                 VALUES ($1, $2, 'f', $3, 2, $4, 1, $5)",
            )
            .bind(format!("{n}-{id}"))
            .bind(id.to_string())
            .bind(*status)
            .bind(*ended_at)
            .bind(*failed)
            .execute(&before)
            .await
            .unwrap();
        }
        expected.push((id, filters));
    }
    // More names than are folded at once.
    let named: Vec<(ImportId, &str)> = ["KUNDEN-ÜBERSICHT.csv"]
        .into_iter()
        .chain(std::iter::repeat_n("other.csv", 1_000))
        .chain(["Kunden-U\u{308}bersicht.CSV"])
        .map(|name| (ImportId::generate(), name))
        .collect();
    let rows: Vec<String> =
        named.iter().map(|(id, name)| format!("('{id}', '{owner}', '{name}', 1, 1, 2, '{id}', 1)")).collect();
    let sql = format!(
        "INSERT INTO import (id, account_id, file_name, size_bytes, receiving_at, received_at, event_id, sent_at) \
         VALUES {}",
        rows.join(", ")
    );
    sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&before).await.unwrap();
    before.close().await;

    let store = Store::open(url).await.unwrap();
    for filter in [
        StateFilter::Completed,
        StateFilter::WithFailedRows,
        StateFilter::Failed,
        StateFilter::Cancelled,
        StateFilter::Skipped,
        StateFilter::NoFunction,
    ] {
        let mut wanted: Vec<ImportId> =
            expected.iter().filter(|(_, filters)| filters.contains(&filter)).map(|(id, _)| *id).collect();
        wanted.sort();
        let narrow = Filter::new(Some(filter), None, "ORDERS.csv");
        let found =
            store.imports_of(owner, &narrow, Between::default(), Order::OldestFirst, 100).await.unwrap();
        assert_eq!(found.iter().map(|row| row.id).collect::<Vec<_>>(), wanted, "{filter:?}");
        assert!(!wanted.is_empty(), "{filter:?}");
    }
    let narrow = Filter::new(None, None, "übersicht");
    let found = store.imports_of(owner, &narrow, Between::default(), Order::OldestFirst, 100).await.unwrap();
    let mut wanted = [named[0].0, named[1_001].0];
    wanted.sort();
    assert_eq!(found.iter().map(|row| row.id).collect::<Vec<_>>(), wanted);
    let others = Filter::new(None, None, "other");
    assert_eq!(store.count_imports_of(owner, &others, Between::default(), 2_000).await.unwrap(), 1_000);
    store.close().await;
}
