//! Databases of earlier versions.

use sqlx::{AnyPool, migrate::Migrator};

/// The database at `url` with the migrations before `version`, to be filled as that program would have.
pub async fn database_before(version: i64, url: &str) -> AnyPool {
    sqlx::any::install_default_drivers();
    let before = AnyPool::connect(url).await.unwrap();
    let mut migrator: Migrator = sqlx::migrate!();
    migrator.migrations = migrator.iter().filter(|step| step.version < version).cloned().collect();
    migrator.run(&before).await.unwrap();
    before
}

/// Fills the database at `url`, with the migrations before `version`, by `statements`.
pub async fn filled_before(version: i64, url: &str, statements: impl IntoIterator<Item = String>) {
    let before = database_before(version, url).await;
    for statement in statements {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&before).await.unwrap();
    }
    before.close().await;
}
