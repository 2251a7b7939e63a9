//! The databases of the servers that tests start. A data folder has one: a SQLite file in it or, with
//! `RUNBOARD_TEST_DATABASE=postgres`, a database of its own on one Postgres that all tests of the process share.

use std::{
    collections::HashMap,
    env, fs,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use runboard::store::Store;
use sqlx::{AnyPool, AssertSqlSafe};

use super::postgres::Shared;

/// Whether the servers of the tests use Postgres.
pub fn is_postgres() -> bool {
    static IS: LazyLock<bool> = LazyLock::new(|| match env::var("RUNBOARD_TEST_DATABASE").as_deref() {
        Err(_) | Ok("" | "sqlite") => false,
        Ok("postgres") => true,
        Ok(other) => panic!("RUNBOARD_TEST_DATABASE is {other:?}: it can be sqlite or postgres"),
    });
    *IS
}

/// The URL of the database of a data folder. On Postgres it has its tables, and no rows.
pub fn url(data: &Path) -> String {
    if is_postgres() { on_postgres(data) } else { in_file(data) }
}

/// The same of a database on Postgres, whatever the others use.
pub fn on_postgres(data: &Path) -> String {
    databases().url(data, Some(TEMPLATE))
}

/// The URL of a SQLite file in the folder.
pub fn in_file(data: &Path) -> String {
    format!("sqlite://{}?mode=rwc", data.join("runboard.db").display())
}

/// The same without tables, for those of an earlier version.
pub fn empty_url(data: &Path) -> String {
    if is_postgres() { empty_on_postgres(data) } else { in_file(data) }
}

/// The URL of a database on Postgres that has no tables yet.
pub fn empty_on_postgres(folder: &Path) -> String {
    databases().url(folder, None)
}

/// Whether a test that is about SQLite alone ends at once, and why.
pub fn is_skipped_on_postgres(why: &str) -> bool {
    if is_postgres() {
        println!("not for Postgres: {why}");
    }
    is_postgres()
}

/// Connections to the database of a data folder.
pub async fn pool(data: &Path) -> AnyPool {
    sqlx::any::install_default_drivers();
    AnyPool::connect(&url(data)).await.unwrap()
}

/// Makes the database of `to` a copy of that of `from`, which no server uses meanwhile.
pub fn copy(from: &Path, to: &Path) {
    if is_postgres() {
        let mut databases = databases();
        databases.url(from, Some(TEMPLATE));
        let from = databases.made[from].name.clone();
        databases.drop_of(to);
        databases.url(to, Some(&from));
        return;
    }
    fs::create_dir_all(to).unwrap();
    for name in ["runboard.db", "runboard.db-wal"] {
        let _ = fs::remove_file(to.join(name));
        if from.join(name).exists() {
            fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
    let _ = fs::remove_file(to.join("runboard.db-shm"));
}

/// The columns, as `table.column`, of which a row contains `text`.
pub async fn columns_with(data: &Path, text: &str) -> Vec<String> {
    let pool = pool(data).await;
    let columns = if is_postgres() {
        "SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT) FROM information_schema.columns \
         WHERE table_schema = 'public'"
    } else {
        "SELECT sqlite_master.name, columns.name FROM sqlite_master \
         JOIN pragma_table_info(sqlite_master.name) AS columns WHERE sqlite_master.type = 'table'"
    };
    let columns: Vec<(String, String)> = sqlx::query_as(columns).fetch_all(&pool).await.unwrap();
    assert!(columns.len() > 50, "the columns are seen: {columns:?}");
    let mut found = Vec::new();
    for (table, column) in columns {
        let count = format!(
            "SELECT COUNT(*) FROM \"{table}\" WHERE CAST(\"{column}\" AS TEXT) LIKE '%' || $1 || '%'"
        );
        let rows: i64 = sqlx::query_scalar(AssertSqlSafe(count)).bind(text).fetch_one(&pool).await.unwrap();
        if rows > 0 {
            found.push(format!("{table}.{column}"));
        }
    }
    pool.close().await;
    found
}

/// A database with the tables of today.
const TEMPLATE: &str = "migrated";

/// Of all tests, of which some may have failed meanwhile.
fn databases() -> MutexGuard<'static, Databases> {
    static DATABASES: LazyLock<Mutex<Databases>> = LazyLock::new(|| Mutex::new(Databases::start()));
    DATABASES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The databases on the shared Postgres, by data folder.
struct Databases {
    server: Shared,
    made: HashMap<PathBuf, Made>,
    /// How many were made.
    count: usize,
}

struct Made {
    name: String,
    /// Once this folder is gone, so is the test.
    anchor: PathBuf,
}

impl Databases {
    fn start() -> Self {
        let server = Shared::start();
        server.sql(&format!("CREATE DATABASE {TEMPLATE}"));
        let url = server.url(TEMPLATE);
        on_another_thread(async move || Store::open(&url).await.unwrap().close().await);
        Self { server, made: HashMap::new(), count: 0 }
    }

    /// Makes the database of `data` with the first call.
    fn url(&mut self, data: &Path, template: Option<&str>) -> String {
        if !self.made.contains_key(data) {
            self.drop_abandoned();
            self.count += 1;
            let name = format!("test_{}", self.count);
            let template = template.unwrap_or("template1");
            self.server.sql(&format!("CREATE DATABASE {name} TEMPLATE {template}"));
            let anchor = data.ancestors().find(|folder| folder.exists()).unwrap_or(data).to_owned();
            self.made.insert(data.to_owned(), Made { name, anchor });
        }
        self.server.url(&self.made[data].name)
    }

    /// Each database takes 10 MB.
    fn drop_abandoned(&mut self) {
        let gone = self.made.iter().filter(|(_, made)| !made.anchor.exists());
        for data in gone.map(|(data, _)| data.clone()).collect::<Vec<_>>() {
            self.drop_of(&data);
        }
    }

    fn drop_of(&mut self, data: &Path) {
        if let Some(made) = self.made.remove(data) {
            self.server.sql(&format!("DROP DATABASE {} WITH (FORCE)", made.name));
        }
    }
}

/// A test's own runtime cannot be blocked for asynchronous work.
fn on_another_thread(work: impl AsyncFnOnce() + Send + 'static) {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::spawn(move || runtime().block_on(work())).join().unwrap();
}
