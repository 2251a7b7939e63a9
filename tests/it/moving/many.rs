//! How long a move takes. `--nocapture` shows it.

use std::{fs, time::Instant};

use runboard::{base::time::UnixMillis, store::Store};
use sqlx::{AnyPool, AssertSqlSafe};

use super::{columns, moving, on_sqlite, open, used};
use crate::support::{
    binary::{Binary, run},
    database,
};

/// How many times the rows of one import are copied.
const COPIES: usize = 100_000;

/// The tables that have rows of an import, each after those that it refers to.
const TABLES: [&str; 6] = ["import", "run", "execution", "step", "engine_event", "engine_run"];

/// Whose values are in the rows of an import, and have to differ.
const IDS: &str = "SELECT id FROM import UNION SELECT event_id FROM import UNION SELECT run_id FROM run \
                   UNION SELECT run_id FROM execution UNION SELECT run_id FROM step \
                   UNION SELECT run_id FROM engine_run UNION SELECT event_id FROM engine_event \
                   UNION SELECT own_event_id FROM engine_run WHERE own_event_id IS NOT NULL";

/// Copies all rows of the only import, with other ids. Fast, because SQLite does it alone.
async fn multiply(pool: &AnyPool) {
    let ids: Vec<String> = sqlx::query_scalar(IDS).fetch_all(pool).await.unwrap();
    for table in TABLES {
        let columns = columns(pool, table).await;
        let names: Vec<String> = columns.iter().map(|(name, ..)| format!("\"{name}\"")).collect();
        let value = |(name, is_number, _): &(String, bool, bool)| {
            let name = format!("\"{name}\"");
            if *is_number {
                return name;
            }
            // The front of an id is the time at which it was made. Behind it are numbers of which none is used twice.
            ids.iter().enumerate().fold(name, |text, (place, id)| {
                let (front, count) = (&id[..id.len().min(10)], ids.len());
                format!("replace({text}, '{id}', printf('{front}%016d', n.number * {count} + {place}))")
            })
        };
        let values: Vec<String> = columns.iter().map(value).collect();
        let insert = format!(
            "WITH RECURSIVE n (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM n WHERE number < {COPIES}) \
             INSERT INTO \"{table}\" ({}) SELECT {} FROM n CROSS JOIN \"{table}\"",
            names.join(", "),
            values.join(", ")
        );
        sqlx::query(AssertSqlSafe(insert)).execute(pool).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "a minute or more: for the figure in docs/deploy.md"]
async fn a_hundred_thousand_imports_arrive() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (visitor, import) = used(data.path()).await;
    let url = database::in_file(data.path());
    let pool = open(&url).await;
    // A server would go on with what has not ended, in each copy.
    sqlx::query("DELETE FROM engine_run WHERE ended_at IS NULL").execute(&pool).await.unwrap();
    let store = Store::open(&url).await.unwrap();
    let id = import.rsplit('/').next().unwrap().parse().unwrap();
    assert!(store.finish_import(id, false, UnixMillis::now()).await.unwrap());
    store.close().await;
    let start = Instant::now();
    multiply(&pool).await;
    pool.close().await;
    let size = fs::metadata(data.path().join("runboard.db")).unwrap().len() >> 20;
    println!("made a database of {size} MiB in {:.1?}", start.elapsed());

    let url = database::on_postgres(folder.path());
    let start = Instant::now();
    let output = run(&mut moving(data.path(), &url));
    let took = start.elapsed();
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    println!("{told}moved in {took:.1?}");
    let imports = told.lines().find(|line| line.split_whitespace().next() == Some("import")).unwrap();
    assert_eq!(imports.split_whitespace().last(), Some((COPIES + 1).to_string().as_str()), "{imports}");
    let server = Binary::start(on_sqlite(data.path()).env("RUNBOARD_DATABASE_URL", &url));
    assert_eq!(visitor.at(&server.origin).panel(&import).await.counts(), (2, 1));
    server.kill();
}
