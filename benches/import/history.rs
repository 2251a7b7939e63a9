//! Pages of a history of a million imports, compared with the first page of a thousand.

use std::time::{Duration, Instant};

use runboard::base::time::UnixMillis;
use sqlx::AnyPool;
use ulid::Ulid;

use super::{Server, Visitor, median};

const FEW: u64 = 1_000;
const MANY: u64 = 1_000_000;
/// Keeps all imports within a year.
const APART: Duration = Duration::from_secs(30);
const BATCH: u64 = 50_000;
/// A page takes milliseconds, so a single measurement is easily disturbed.
const ROUNDS: usize = 21;

pub async fn history() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    sqlx::any::install_default_drivers();
    let url = format!("sqlite://{}", data.path().join("data/runboard.db").display());
    let database = AnyPool::connect(&url).await.unwrap();
    let owner = async |email: &str, count: u64| {
        let mut visitor = Visitor::new(&server.origin);
        visitor.sign_up(email).await;
        let middle = fill(&database, email, count).await;
        (visitor, middle)
    };
    let (few, _) = owner("few@example.org", FEW).await;
    let (many, middle) = owner("many@example.org", MANY).await;
    database.close().await;

    let reference = page(&few, "/").await;
    println!("the history of {MANY} imports, median of {ROUNDS}:");
    println!("  first page of {FEW} imports           {:>8.1} ms", millis(reference));
    for (what, query) in [
        ("first page", String::new()),
        ("a page deep in", format!("before={middle}")),
        ("the page before that", format!("after={middle}")),
        ("failed ones", "state=failed".to_owned()),
        ("with failed rows, of a month", "state=failed-rows&time=month".to_owned()),
        ("a state that none is in", "state=skipped".to_owned()),
        ("a search that matches all", "name=orders".to_owned()),
        ("a search that matches one", "name=-0500000.".to_owned()),
        ("a search that matches nothing", "name=nothing-like-it".to_owned()),
        ("the same among failed ones", "name=nothing-like-it&state=failed".to_owned()),
    ] {
        let took = page(&many, &format!("/?{query}")).await;
        let times = took.as_secs_f64() / reference.as_secs_f64();
        println!("  {what:<36} {:>8.1} ms   {times:.1} times as long", millis(took));
    }
}

async fn page(visitor: &Visitor, path: &str) -> Duration {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let answer = visitor.get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        answer.bytes().await.unwrap();
        times.push(start.elapsed());
    }
    median(times)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// Inserts imports of `email`, each with a run: one in ten has failed, one in twenty was cancelled. Returns
/// the id of the middle one.
async fn fill(database: &AnyPool, email: &str, count: u64) -> String {
    let now = u64::try_from(UnixMillis::now().0).unwrap();
    let apart = u64::try_from(APART.as_millis()).unwrap();
    let id = |n: u64| Ulid::from_parts(now - n * apart, rand::random()).to_string();
    let mut middle = String::new();
    for batch in (0..count).step_by(usize::try_from(BATCH).unwrap()) {
        let ids: Vec<String> = (batch..count.min(batch + BATCH)).map(id).collect();
        if (batch..batch + BATCH).contains(&(count / 2)) {
            middle.clone_from(&ids[usize::try_from(count / 2 - batch).unwrap()]);
        }
        let ids = serde_json::to_string(&ids).unwrap();
        let state = "CASE WHEN key % 10 = 0 THEN 'Failed' WHEN key % 20 = 1 THEN 'Cancelled' \
                     ELSE 'Completed' END";
        let import = format!(
            "INSERT INTO import (id, account_id, file_name, size_bytes, receiving_at, received_at, event_id, \
             sent_at, finished_at, state, failed_rows, search_name) \
             SELECT value, (SELECT id FROM account WHERE email = $1), \
             printf('Orders-%07d.csv', $2 + key), 1000000, $3, $3, value, $3, $3, {state}, key % 7, \
             printf('orders-%07d.csv', $2 + key) FROM json_each($4)"
        );
        let run = format!(
            "INSERT INTO run (run_id, import_id, function_id, status, queued_at, ended_at, processed, failed) \
             SELECT value, value, 'process-csv-upload', {state}, $1, $1 + 1000, 1000, key % 7 \
             FROM json_each($2)"
        );
        let (at, first) = (i64::try_from(now).unwrap(), i64::try_from(batch).unwrap());
        let imports = sqlx::query(sqlx::AssertSqlSafe(import)).bind(email).bind(first).bind(at);
        imports.bind(&ids).execute(database).await.unwrap();
        let runs = sqlx::query(sqlx::AssertSqlSafe(run)).bind(at);
        runs.bind(&ids).execute(database).await.unwrap();
    }
    middle
}
