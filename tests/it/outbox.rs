//! The outbox of an earlier version.

use runboard::{
    base::{
        ids::{ImportId, UserId},
        time::UnixMillis,
    },
    store::Store,
};

use crate::support::{migration::filled_before, postgres::on_each_database};

/// The first version whose events have an owner.
const VERSION: i64 = 13;

#[tokio::test]
async fn events_of_the_version_before_are_their_owners() {
    on_each_database(migrates).await;
}

async fn migrates(url: &str) {
    let owners = [UserId::generate(), UserId::generate()];
    let mut statements = Vec::new();
    for (place, owner) in owners.iter().enumerate() {
        statements.push(format!(
            "INSERT INTO account (id, email, password_hash, created_at) VALUES ('{owner}', '{owner}', '', 0)"
        ));
        for due_at in [20 + place, 10 + place] {
            let import = ImportId::generate();
            statements.push(format!(
                "INSERT INTO import (id, account_id, file_name, size_bytes, receiving_at, received_at, event_id) \
                 VALUES ('{import}', '{owner}', 'a.csv', 1, 1, 2, '{import}')"
            ));
            statements.push(format!(
                "INSERT INTO outbox (event_id, import_id, name, data, seed, attempts, next_attempt_at) \
                 VALUES ('{import}', '{import}', 'n', '{{}}', 's', 0, {due_at})"
            ));
        }
    }
    filled_before(VERSION, url, statements).await;

    let store = Store::open(url).await.unwrap();
    let mut senders = store.outbox_senders().await.unwrap();
    senders.sort_by_key(|(_, due_at)| *due_at);
    assert_eq!(senders, [(owners[0], UnixMillis(10)), (owners[1], UnixMillis(11))]);
    for (owner, due_at) in senders {
        let row = store.next_outbox(owner).await.unwrap().unwrap();
        assert_eq!((row.owner, row.next_attempt_at), (owner, due_at));
    }
    store.close().await;
}
