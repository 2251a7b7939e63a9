//! Copies all rows of a SQLite database to a Postgres, for `runboard move`.
//!
//! Which tables and columns there are is read from the database itself, so that none can be forgotten: all columns are
//! BIGINT or TEXT. All of it is one transaction, and each row is read back and compared.

use std::collections::BTreeSet;

use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
use sqlx::{Any, AnyConnection, AssertSqlSafe, Connection, Row, Transaction, any::AnyRow};

use super::{Error, settings::CHANGE_SETTING};

/// A batch has at most so many rows, and no more values than a statement of Postgres can have.
const ROWS_AT_ONCE: usize = 500;
const VALUES_AT_ONCE: usize = 65_535;
/// A batch that has reached so many bytes gets no further row.
const BYTES_AT_ONCE: usize = 4 << 20;

/// A table whose rows were copied, read back and found the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedTable {
    pub name: String,
    pub rows: u64,
}

/// Why nothing was copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("the SQLite database cannot be read: {0}")]
    Source(#[source] Error),
    #[error("the new database cannot be used: {0}")]
    Target(#[source] Error),
    /// All rows were copied, or none.
    #[error(
        "the new database did not confirm the end ({0}), and has all rows or none. Run the command again; if it says that there are rows already, finish with `runboard adopt` with RUNBOARD_DATABASE_URL set to the new database"
    )]
    InDoubt(#[source] sqlx::Error),
    #[error("the table {0} of the new database has rows already")]
    NotEmpty(String),
    #[error(
        "the table {table} has a text in the column {column} that Postgres cannot store: it contains NUL"
    )]
    Nul { table: String, column: String },
    #[error("the column {column} of the table {table} is of the type {kind}, which cannot be copied")]
    UnknownType { table: String, column: String, kind: String },
    #[error("the tables {0} refer to each other in a circle")]
    Circle(String),
    #[error("the rows of the table {0} were not read back as they were written")]
    Differs(String),
}

fn of_source(error: sqlx::Error) -> CopyError {
    CopyError::Source(error.into())
}

fn of_target(error: sqlx::Error) -> CopyError {
    CopyError::Target(error.into())
}

struct CopiedColumn {
    name: String,
    is_text: bool,
}

/// The value of a column. NULL has a type on Postgres.
enum Cell {
    Number(Option<i64>),
    Text(Option<String>),
}

/// What a table contains, whatever the order of its rows.
#[derive(Default, PartialEq, Eq)]
struct RowSums {
    rows: u64,
    /// The sum of the hashes of the rows.
    hash: u128,
}

/// Copies all rows of the SQLite database at `from` to the Postgres at `to`, whose tables exist and must be empty, and
/// gives one setting, of this name, another value there. `tell` is called after each table; other programs see none of
/// the rows before all of them are there.
///
/// # Errors
/// Nothing was copied, unless the error is [`CopyError::InDoubt`].
pub async fn copy_rows(
    from: &str,
    to: &str,
    (setting, value): (&str, &str),
    mut tell: impl FnMut(&CopiedTable),
) -> Result<Vec<CopiedTable>, CopyError> {
    sqlx::any::install_default_drivers();
    let mut from = AnyConnection::connect(from).await.map_err(of_source)?;
    // All tables as they are at one moment.
    let mut source = from.begin().await.map_err(of_source)?;
    let mut to = AnyConnection::connect(to).await.map_err(of_target)?;
    let mut target = to.begin().await.map_err(of_target)?;
    // Reading from SQLite may take longer than this database allows for.
    let patient = sqlx::raw_sql("SET LOCAL idle_in_transaction_session_timeout = 0");
    patient.execute(&mut *target).await.map_err(of_target)?;
    let names = tables(&mut source).await?;
    for name in &names {
        let any = format!("SELECT 1 FROM \"{name}\" LIMIT 1");
        let row = sqlx::query(AssertSqlSafe(any)).fetch_optional(&mut *target).await.map_err(of_target)?;
        if row.is_some() {
            return Err(CopyError::NotEmpty(name.clone()));
        }
    }
    let mut copied = Vec::new();
    for name in names {
        let columns = columns(&mut source, &name).await?;
        let written = copy_table(&mut source, &mut target, &name, &columns).await?;
        if written != sums(&mut target, &name, &columns).await? {
            return Err(CopyError::Differs(name));
        }
        let table = CopiedTable { name, rows: written.rows };
        tell(&table);
        copied.push(table);
    }
    let change = sqlx::query(CHANGE_SETTING).bind(setting).bind(value);
    change.execute(&mut *target).await.map_err(of_target)?;
    source.rollback().await.map_err(of_source)?;
    target.commit().await.map_err(CopyError::InDoubt)?;
    // Otherwise Postgres does not know for a while how many rows there are, and answers slowly.
    for CopiedTable { name, .. } in &copied {
        let analyze = AssertSqlSafe(format!("ANALYZE \"{name}\""));
        if let Err(error) = sqlx::raw_sql(analyze).execute(&mut to).await {
            tracing::warn!(table = name, %error, "Postgres could not count the rows");
        }
    }
    for closed in [to.close().await, from.close().await] {
        if let Err(error) = closed {
            tracing::warn!(%error, "a database could not be closed; all rows are copied");
        }
    }
    Ok(copied)
}

/// All tables, each after those that it refers to.
async fn tables(source: &mut Transaction<'_, Any>) -> Result<Vec<String>, CopyError> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' \
         AND name <> '_sqlx_migrations' ORDER BY name",
    )
    .fetch_all(&mut **source)
    .await
    .map_err(of_source)?;
    let mut left = Vec::new();
    for name in names {
        let refers_to: Vec<String> =
            sqlx::query_scalar("SELECT CAST(\"table\" AS TEXT) FROM pragma_foreign_key_list($1)")
                .bind(&name)
                .fetch_all(&mut **source)
                .await
                .map_err(of_source)?;
        // A row that refers to one of its own table comes after it.
        let refers_to: BTreeSet<String> = refers_to.into_iter().filter(|other| *other != name).collect();
        left.push((name, refers_to));
    }
    let mut sorted: Vec<String> = Vec::new();
    while !left.is_empty() {
        let is_ready = |(_, refers_to): &(String, BTreeSet<String>)| {
            refers_to.iter().all(|other| sorted.contains(other))
        };
        let (ready, rest): (Vec<_>, Vec<_>) = left.into_iter().partition(is_ready);
        if ready.is_empty() {
            let names: Vec<String> = rest.into_iter().map(|(name, _)| name).collect();
            return Err(CopyError::Circle(names.join(", ")));
        }
        sorted.extend(ready.into_iter().map(|(name, _)| name));
        left = rest;
    }
    Ok(sorted)
}

async fn columns(source: &mut Transaction<'_, Any>, table: &str) -> Result<Vec<CopiedColumn>, CopyError> {
    let columns: Vec<(String, String)> = sqlx::query_as(
        "SELECT CAST(name AS TEXT), CAST(type AS TEXT) FROM pragma_table_info($1) ORDER BY cid",
    )
    .bind(table)
    .fetch_all(&mut **source)
    .await
    .map_err(of_source)?;
    let column = |(name, kind): (String, String)| match kind.as_str() {
        "TEXT" => Ok(CopiedColumn { name, is_text: true }),
        "BIGINT" => Ok(CopiedColumn { name, is_text: false }),
        _ => Err(CopyError::UnknownType { table: table.to_owned(), column: name, kind }),
    };
    columns.into_iter().map(column).collect()
}

/// Returns what was written.
async fn copy_table(
    source: &mut Transaction<'_, Any>,
    target: &mut Transaction<'_, Any>,
    table: &str,
    columns: &[CopiedColumn],
) -> Result<RowSums, CopyError> {
    // In the order in which they were written.
    let select = format!("{} ORDER BY rowid", select(table, columns));
    let mut rows = sqlx::query(AssertSqlSafe(select)).fetch(&mut **source);
    let rows_at_once = ROWS_AT_ONCE.min(VALUES_AT_ONCE / columns.len().max(1));
    let (mut written, mut batch, mut bytes) = (RowSums::default(), Vec::new(), 0);
    while let Some(row) = rows.try_next().await.map_err(of_source)? {
        let cells = cells(&row, columns).map_err(of_source)?;
        if let Some(place) = cells.iter().position(Cell::has_nul) {
            let column = columns.get(place).map(|column| column.name.clone()).unwrap_or_default();
            return Err(CopyError::Nul { table: table.to_owned(), column });
        }
        written.add(&cells);
        bytes += cells.iter().map(Cell::bytes).sum::<usize>();
        batch.push(cells);
        if batch.len() >= rows_at_once || bytes >= BYTES_AT_ONCE {
            insert(target, table, columns, std::mem::take(&mut batch)).await?;
            bytes = 0;
        }
    }
    if !batch.is_empty() {
        insert(target, table, columns, batch).await?;
    }
    Ok(written)
}

async fn insert(
    target: &mut Transaction<'_, Any>,
    table: &str,
    columns: &[CopiedColumn],
    rows: Vec<Vec<Cell>>,
) -> Result<(), CopyError> {
    let width = columns.len();
    let row = |number: usize| {
        let places: Vec<String> = (1..=width).map(|place| format!("${}", number * width + place)).collect();
        format!("({})", places.join(", "))
    };
    let values: Vec<String> = (0..rows.len()).map(row).collect();
    let names = names(columns);
    let insert = format!("INSERT INTO \"{table}\" ({names}) VALUES {}", values.join(", "));
    let mut insert = sqlx::query(AssertSqlSafe(insert));
    for cell in rows.into_iter().flatten() {
        insert = match cell {
            Cell::Number(number) => insert.bind(number),
            Cell::Text(text) => insert.bind(text),
        };
    }
    insert.execute(&mut **target).await.map_err(of_target)?;
    Ok(())
}

async fn sums(
    target: &mut Transaction<'_, Any>,
    table: &str,
    columns: &[CopiedColumn],
) -> Result<RowSums, CopyError> {
    let mut rows = sqlx::query(AssertSqlSafe(select(table, columns))).fetch(&mut **target);
    let mut sums = RowSums::default();
    while let Some(row) = rows.try_next().await.map_err(of_target)? {
        sums.add(&cells(&row, columns).map_err(of_target)?);
    }
    Ok(sums)
}

fn select(table: &str, columns: &[CopiedColumn]) -> String {
    format!("SELECT {} FROM \"{table}\"", names(columns))
}

fn names(columns: &[CopiedColumn]) -> String {
    columns.iter().map(|column| format!("\"{}\"", column.name)).collect::<Vec<_>>().join(", ")
}

fn cells(row: &AnyRow, columns: &[CopiedColumn]) -> Result<Vec<Cell>, sqlx::Error> {
    let cell = |(place, column): (usize, &CopiedColumn)| {
        Ok(if column.is_text { Cell::Text(row.try_get(place)?) } else { Cell::Number(row.try_get(place)?) })
    };
    columns.iter().enumerate().map(cell).collect()
}

impl Cell {
    fn has_nul(&self) -> bool {
        matches!(self, Self::Text(Some(text)) if text.contains('\0'))
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Number(_) => size_of::<i64>(),
            Self::Text(text) => text.as_ref().map_or(0, String::len),
        }
    }

    /// Adds the value to a hash, so that no two rows are the same to it.
    fn hash(&self, hash: &mut Sha256) {
        match self {
            Self::Number(None) | Self::Text(None) => hash.update([0]),
            Self::Number(Some(number)) => {
                hash.update([1]);
                hash.update(number.to_le_bytes());
            }
            Self::Text(Some(text)) => {
                hash.update([2]);
                hash.update((text.len() as u64).to_le_bytes());
                hash.update(text);
            }
        }
    }
}

impl RowSums {
    fn add(&mut self, row: &[Cell]) {
        let mut hash = Sha256::new();
        row.iter().for_each(|cell| cell.hash(&mut hash));
        let hash = hash.finalize();
        let number = hash.iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte));
        self.hash = self.hash.wrapping_add(number);
        self.rows += 1;
    }
}
