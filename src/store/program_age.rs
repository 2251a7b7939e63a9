//! Which programs can use the tables that a newer one has changed.
//!
//! During a rolling restart a program works on tables that the next version has migrated already. That is why a
//! migration only adds. One that does more begins with [`HEADER`] and the number of the oldest migration that a program
//! must know to use its tables. sqlx records it in the migration's row and transaction, as a part of the description.

use sqlx::{
    AnyConnection,
    migrate::{Migration, Migrator},
};

use super::{Error, Result};

/// Begins a migration that takes away what older programs use.
const HEADER: &str = "-- contracts: ";

/// The end of such a migration's description. Programs of all versions read it, so it never changes.
const NOTE: (&str, &str) = (" (contracts ", ")");

/// The migrations of this program, with what they need in their descriptions.
pub(super) fn migrator() -> Migrator {
    let mut migrator = sqlx::migrate!();
    migrator.migrations.to_mut().iter_mut().for_each(describe);
    migrator
}

fn describe(migration: &mut Migration) {
    let first = migration.sql.as_str().lines().next().unwrap_or_default();
    if let Some(oldest) = first.strip_prefix(HEADER).and_then(|number| number.trim().parse::<i64>().ok()) {
        migration.description = format!("{}{}{oldest:04}{}", migration.description, NOTE.0, NOTE.1).into();
    }
}

/// Whether this program can use the tables as they are: all of its migrations were applied, and no other one but newer
/// ones.
///
/// # Errors
/// [`Error::TooOld`]: a newer program has taken away what this one uses.
pub(super) async fn can_use(migrator: &Migrator, connection: &mut AnyConnection) -> Result<bool> {
    let applied: Vec<(i64, String)> =
        sqlx::query_as("SELECT version, description FROM _sqlx_migrations WHERE success")
            .fetch_all(connection)
            .await
            .or_else(|error| if is_missing_table(&error) { Ok(Vec::new()) } else { Err(error) })?;
    let newest = migrator.iter().map(|migration| migration.version).max().unwrap_or_default();
    let (known, unknown): (Vec<_>, Vec<_>) =
        applied.iter().partition(|(version, _)| migrator.version_exists(*version));
    for (version, description) in &unknown {
        if oldest_program(description).is_some_and(|oldest| oldest > newest) {
            return Err(Error::TooOld { migration: *version });
        }
    }
    Ok(known.len() == migrator.iter().count() && unknown.iter().all(|(version, _)| *version > newest))
}

/// The number in a migration's description.
fn oldest_program(description: &str) -> Option<i64> {
    description.strip_suffix(NOTE.1)?.rsplit_once(NOTE.0)?.1.parse().ok()
}

/// SQLite has one error code for everything that is wrong with a statement.
pub(super) fn is_missing_table(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    error.code().is_some_and(|code| code == "42P01") || error.message().starts_with("no such table")
}

#[cfg(test)]
mod tests {
    use sqlx::{SqlSafeStr, migrate::MigrationType};

    use super::*;

    #[test]
    fn a_migration_that_contracts_says_so_in_its_description() {
        let described = |sql: &'static str| {
            let mut migration =
                Migration::new(41, "plain names".into(), MigrationType::Simple, sql.into_sql_str(), false);
            describe(&mut migration);
            migration.description
        };
        let contracts = described("-- contracts: 0040\nALTER TABLE import DROP COLUMN a;");
        assert_eq!(contracts, "plain names (contracts 0040)");
        assert_eq!(oldest_program(&contracts), Some(40));
        assert_eq!(described("ALTER TABLE import ADD COLUMN a TEXT;"), "plain names");
    }

    #[test]
    fn only_the_number_at_the_end_of_a_description_counts() {
        for (description, oldest) in [
            ("share link (contracts 0040)", Some(40)),
            ("share link", None),
            ("(contracts 0040) share link", None),
            ("share link (contracts )", None),
            ("share link (contracts 99999999999999999999)", None),
        ] {
            assert_eq!(oldest_program(description), oldest, "{description}");
        }
    }
}
