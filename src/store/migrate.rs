//! Brings the tables up to date, in one process at a time. Those that a newer program has extended are left as they are.

use sqlx::{
    AnyConnection, AnyPool, Connection,
    migrate::{MigrateError, Migrator},
};

use super::{
    Error, Result,
    program_age::{can_use, migrator},
    turn::{self, is_lock_timeout},
};

/// How long a migration waits for another program that uses the tables.
const TABLES_FREE_WITHIN: &str = "SET lock_timeout = '15s'";

pub(super) async fn migrate(pool: &AnyPool, is_postgres: bool) -> Result<()> {
    let mut migrator = migrator();
    if !is_postgres {
        // One process has the file.
        let mut connection = pool.acquire().await?;
        allow_newer(&mut migrator, &mut connection).await?;
        return Ok(migrator.run(&mut *connection).await?);
    }
    migrator.set_locking(false);
    // A connection of its own, which takes the lock with it wherever this ends.
    let mut connection = pool.acquire().await?.detach();
    // Of processes that start at once the first one does the work for the others.
    turn::take(&mut connection, "runboard tables ").await?;
    allow_newer(&mut migrator, &mut connection).await?;
    run(&migrator, &mut connection).await?;
    connection.close().await?;
    Ok(())
}

/// Allows migrations of newer programs whose tables this one can use.
async fn allow_newer(migrator: &mut Migrator, connection: &mut AnyConnection) -> Result<()> {
    let can_use = can_use(migrator, connection).await?;
    migrator.set_ignore_missing(can_use);
    Ok(())
}

async fn run(migrator: &Migrator, connection: &mut AnyConnection) -> Result<()> {
    sqlx::raw_sql(TABLES_FREE_WITHIN).execute(&mut *connection).await?;
    migrator.run(connection).await.map_err(|error| match &error {
        MigrateError::Execute(sqlx::Error::Database(why))
        | MigrateError::ExecuteMigration(sqlx::Error::Database(why), _)
            if is_lock_timeout(&**why) =>
        {
            Error::TablesInUse
        }
        _ => Error::Migrate(error),
    })
}
