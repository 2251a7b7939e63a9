//! `runboard move`: from the SQLite file of a data folder to a Postgres, and from the folder to a bucket.

mod files;
mod many;

use std::{fs, path::Path, process::Command, time::Duration};

use runboard::store::{ProcessLock, Sharing, Store};
use sqlx::{AnyPool, AssertSqlSafe};

use crate::{
    start_and_stop::refusal,
    support::{
        binary::{Binary, run, runboard},
        database,
        visitor::Visitor,
    },
};

/// The program with its SQLite file, whatever the other tests use.
fn on_sqlite(data: &Path) -> Command {
    let mut command = runboard(data);
    command.env_remove("RUNBOARD_DATABASE_URL").env("RUST_LOG", "off");
    command
}

fn moving(data: &Path, to: &str) -> Command {
    let mut command = on_sqlite(data);
    command.args(["move", "--to", to]);
    command
}

async fn open(url: &str) -> AnyPool {
    sqlx::any::install_default_drivers();
    AnyPool::connect(url).await.unwrap()
}

/// A data folder that a server has used, with one import.
async fn used(data: &Path) -> (Visitor, String) {
    let mut server = Binary::start(&mut on_sqlite(data));
    let mut visitor = Visitor::new(&server.origin);
    visitor.sign_up("mira@example.org").await;
    let import = visitor.upload("orders.csv", "id,name\n1,Ada\n2\n3,Zoë\n").await;
    visitor.wait_for_state(&import, "Completed").await;
    server.terminate();
    server.wait();
    (visitor, import)
}

/// The tables of a SQLite database, each after those that it refers to.
async fn tables(pool: &AnyPool) -> Vec<String> {
    let mut left: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> '_sqlx_migrations' ORDER BY name",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let mut sorted = Vec::new();
    while !left.is_empty() {
        let before = left.len();
        for name in std::mem::take(&mut left) {
            let others = references(pool, &name).await;
            let is_ready = others.iter().all(|(_, other, _)| *other == name || sorted.contains(other));
            if is_ready { sorted.push(name) } else { left.push(name) }
        }
        assert!(left.len() < before, "{left:?} refer to each other");
    }
    sorted
}

/// The columns of a table that refer to others: column, table, column there.
async fn references(pool: &AnyPool, table: &str) -> Vec<(String, String, String)> {
    sqlx::query_as(
        "SELECT CAST(\"from\" AS TEXT), CAST(\"table\" AS TEXT), CAST(\"to\" AS TEXT) \
         FROM pragma_foreign_key_list($1)",
    )
    .bind(table)
    .fetch_all(pool)
    .await
    .unwrap()
}

/// The columns of a table, and whether each is a number and may be NULL.
async fn columns(pool: &AnyPool, table: &str) -> Vec<(String, bool, bool)> {
    let columns: Vec<(String, String, i64, i64)> = sqlx::query_as(
        "SELECT CAST(name AS TEXT), CAST(type AS TEXT), CAST(\"notnull\" AS BIGINT), CAST(pk AS BIGINT) \
         FROM pragma_table_info($1)",
    )
    .bind(table)
    .fetch_all(pool)
    .await
    .unwrap();
    let column = |(name, kind, not_null, key): (String, String, i64, i64)| {
        (name, kind == "BIGINT", not_null == 0 && key == 0)
    };
    columns.into_iter().map(column).collect()
}

/// Adds two rows to every table: one with a value in each column, and one with NULL where that may be.
async fn fill(pool: &AnyPool, tables: &[String]) {
    for table in tables {
        let references = references(pool, table).await;
        let columns = columns(pool, table).await;
        for row in [1, 2] {
            let value = |(name, is_number, may_be_null): &(String, bool, bool)| {
                let reference = references.iter().find(|(column, _, _)| column == name);
                match (reference, is_number) {
                    _ if row == 2 && *may_be_null => "NULL".to_owned(),
                    // The row of that table with the same number.
                    (Some((_, other, there)), _) => format!("'{other}.{there} {row} ä \"\n\t\\ '''"),
                    (None, true) => format!("{}", i64::MAX - row),
                    (None, false) => format!("'{table}.{name} {row} ä \"\n\t\\ '''"),
                }
            };
            let values: Vec<String> = columns.iter().map(value).collect();
            let names: Vec<&str> = columns.iter().map(|(name, _, _)| name.as_str()).collect();
            let insert = format!(
                "INSERT INTO \"{table}\" (\"{}\") VALUES ({})",
                names.join("\", \""),
                values.join(", ")
            );
            sqlx::query(AssertSqlSafe(insert.clone()))
                .execute(pool)
                .await
                .unwrap_or_else(|error| panic!("{insert}: {error}"));
        }
    }
}

/// All values of a table as text, row by row, in an order of their own.
async fn values(pool: &AnyPool, table: &str, columns: &[(String, bool, bool)]) -> Vec<String> {
    let texts: Vec<String> = columns
        .iter()
        .map(|(name, _, _)| {
            format!("COALESCE(LENGTH(CAST(\"{name}\" AS TEXT)) || ':' || CAST(\"{name}\" AS TEXT), 'NULL')")
        })
        .collect();
    let select = format!("SELECT {} FROM \"{table}\"", texts.join(" || ' ' || "));
    let mut rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(select)).fetch_all(pool).await.unwrap();
    rows.sort_unstable();
    rows
}

#[tokio::test]
async fn every_value_of_every_table_arrives() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let _used = used(data.path()).await;
    let source = open(&database::in_file(data.path())).await;
    let tables = tables(&source).await;
    assert!(tables.len() > 20, "{tables:?}");
    fill(&source, &tables).await;
    let url = database::empty_on_postgres(folder.path());
    let output = run(&mut moving(data.path(), &url));
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();

    let target = open(&url).await;
    let mut all = 0;
    for table in &tables {
        let columns = columns(&source, table).await;
        let (mut before, mut after) =
            (values(&source, table, &columns).await, values(&target, table, &columns).await);
        let line = told.lines().find(|line| line.split_whitespace().next() == Some(table.as_str())).unwrap();
        assert_eq!(line.split_whitespace().last(), Some(before.len().to_string().as_str()), "{line}");
        all += before.len();
        if table == "setting" {
            // The new database and the folder have a new common id.
            before.retain(|row| !row.starts_with("12:installation "));
            after.retain(|row| !row.starts_with("12:installation "));
        }
        assert!(before.len() >= 2, "{table} has rows");
        assert_eq!(after, before, "{table}");
    }
    assert!(told.contains(&format!("Copied {all} rows of {} tables", tables.len())), "{told}");
    source.close().await;
    target.close().await;
}

#[tokio::test]
async fn a_server_goes_on_with_the_moved_database_and_the_old_one_is_refused() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (visitor, import) = used(data.path()).await;
    // Its tables may be there already.
    let url = database::on_postgres(folder.path());
    let output = run(&mut moving(data.path(), &url));
    assert!(output.status.success(), "{output:?}");

    let line = refusal(&run(&mut on_sqlite(data.path())));
    assert!(line.starts_with("The database is not the one of the data folder "), "{line}");
    let server = Binary::start(on_sqlite(data.path()).env("RUNBOARD_DATABASE_URL", &url));
    let visitor = visitor.at(&server.origin);
    assert_eq!(visitor.panel(&import).await.counts(), (2, 1));
    let processed = String::from_utf8(visitor.download(&format!("{import}/processed.csv")).await).unwrap();
    assert!(processed.contains("3,Zoë"), "{processed}");
    let next = visitor.upload("next.csv", "a\n1\n").await;
    visitor.wait_for_state(&next, "Completed").await;
    server.kill();
}

#[tokio::test]
async fn a_move_whose_last_step_fails_says_how_it_is_finished() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (visitor, import) = used(data.path()).await;
    let url = database::on_postgres(folder.path());
    // Where the new id of the folder is written first.
    let obstacle = data.path().join("installation.new");
    fs::create_dir(&obstacle).unwrap();
    let output = run(&mut moving(data.path(), &url));
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), line.lines().count()), (Some(1), 1), "{line}");
    let said = "All rows are in the Postgres database; finish with `runboard adopt` with RUNBOARD_DATABASE_URL \
                set to it. The last step failed: The data folder ";
    assert!(line.starts_with(said), "{line}");

    // One of the two databases is accepted, not both.
    let on_postgres = || {
        let mut command = on_sqlite(data.path());
        command.env("RUNBOARD_DATABASE_URL", &url);
        command
    };
    let line = refusal(&run(&mut on_postgres()));
    assert!(line.starts_with("The database is not the one of the data folder "), "{line}");
    Binary::start(&mut on_sqlite(data.path())).kill();
    fs::remove_dir(&obstacle).unwrap();
    let line = refusal(&run(&mut moving(data.path(), &url)));
    assert!(line.contains(" of the new database has rows already"), "{line}");

    let output = run(on_postgres().arg("adopt"));
    assert!(output.status.success(), "{output:?}");
    let line = refusal(&run(&mut on_sqlite(data.path())));
    assert!(line.starts_with("The database is not the one of the data folder "), "{line}");
    let server = Binary::start(&mut on_postgres());
    assert_eq!(visitor.at(&server.origin).panel(&import).await.counts(), (2, 1));
    server.kill();
}

#[tokio::test]
async fn an_error_says_which_database_it_is_about() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let _used = used(data.path()).await;
    let url = database::on_postgres(folder.path());
    let holder = ProcessLock::take(&url, Sharing::Nobody, Duration::ZERO).await.unwrap().unwrap();
    let line = refusal(&run(&mut moving(data.path(), &url)));
    assert!(line.starts_with("The new database (--to) is in use by another Runboard"), "{line}");
    assert!(!line.contains("RUNBOARD_DATABASE_URL"), "{line}");
    drop(holder);
    let line = refusal(&run(&mut moving(data.path(), "postgres://nobody@127.0.0.1:1/nothing")));
    assert!(line.starts_with("The new database (--to) cannot be used: "), "{line}");
    // The changes that are not in the file yet would be read instead of it.
    for name in ["runboard.db-wal", "runboard.db-shm"] {
        let _ = fs::remove_file(data.path().join(name));
    }
    fs::write(data.path().join("runboard.db"), "no database".repeat(500)).unwrap();
    let line = refusal(&run(&mut moving(data.path(), &url)));
    assert!(line.starts_with("The present database cannot be used: "), "{line}");
}

#[tokio::test]
async fn what_cannot_be_moved_says_why_and_nothing_changes() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = database::on_postgres(folder.path());
    let refused = |data: &Path, to: &str| refusal(&run(&mut moving(data, to)));
    let line = refused(data.path(), "sqlite:other.db?secret");
    assert_eq!(line, "--to must be a postgres:// address.");
    assert!(refused(data.path(), &url).starts_with("No Runboard has been started with "));
    assert!(refused(&data.path().join("nowhere"), &url).starts_with("There is no folder "));

    let (visitor, import) = used(data.path()).await;
    let server = Binary::start(&mut on_sqlite(data.path()));
    assert!(refused(data.path(), &url).contains("is in use by another Runboard"));
    assert_eq!(visitor.at(&server.origin).panel(&import).await.counts(), (2, 1), "it goes on");
    server.kill();

    // A text that Postgres cannot store, after other tables were copied.
    let source = open(&database::in_file(data.path())).await;
    sqlx::query("UPDATE step SET result = result || char(0)").execute(&source).await.unwrap();
    let output = run(&mut moving(data.path(), &url));
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), line.lines().count()), (Some(1), 1), "{line}");
    assert!(
        line.contains("the table step has a text in the column result that Postgres cannot store"),
        "{line}"
    );
    let target = open(&url).await;
    let accounts: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM account").fetch_one(&target).await.unwrap();
    assert_eq!(accounts, 0, "nothing is left of it");
    // SQLite's length ends before it.
    let restore = "UPDATE step SET result = substr(result, 1, length(result))";
    sqlx::query(restore).execute(&source).await.unwrap();

    let store = Store::open(&url).await.unwrap();
    store.change_setting("used", "1").await.unwrap();
    store.close().await;
    let line = refused(data.path(), &url);
    assert_eq!(line, "The move failed: the table setting of the new database has rows already.");
    sqlx::query("DELETE FROM setting").execute(&target).await.unwrap();
    source.close().await;
    target.close().await;

    // A start finds everything as it was, and a move is still possible.
    Binary::start(&mut on_sqlite(data.path())).kill();
    let output = run(&mut moving(data.path(), &url));
    assert!(output.status.success(), "{output:?}");
    let mut again = moving(data.path(), &url);
    let line = refusal(&run(again.env("RUNBOARD_DATABASE_URL", &url)));
    assert!(line.starts_with("The database is not a SQLite file."), "{line}");
}
