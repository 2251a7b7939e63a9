//! SQL of the history: a user's imports, filtered and paged.

use std::time::Duration;

use sqlx::{Any, Row, any::AnyArguments, query::Query};

use super::{
    Result, Store, corrupt_import,
    imports::{COLUMNS, ImportRow, read_import},
    search_name::SearchName,
};
use crate::base::{
    ids::{ImportId, UserId},
    time::UnixMillis,
};

/// The longest search text in characters; file names are never longer.
const LONGEST_SEARCH: usize = 200;

/// How many names are folded in one transaction. A larger transaction would keep other writers waiting.
const FOLDED_AT_ONCE: i64 = 500;

/// A filter of the history. The default accepts everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    state: Option<StateFilter>,
    /// Accepts only imports that are over and have failed rows.
    has_failed_rows: bool,
    /// Accepts only imports made at or after this time.
    since: Option<UnixMillis>,
    /// Accepts only imports made at or before this time.
    until: Option<UnixMillis>,
    name: Option<SearchName>,
}

/// The state of an import, as the history is filtered by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateFilter {
    InProgress,
    Completed,
    /// Imports with failed rows, whatever their end.
    WithFailedRows,
    Failed,
    Cancelled,
    Skipped,
    /// No function has accepted the event within a day.
    NoFunction,
    /// The engine has lost a run.
    Lost,
    /// Its owner looks at it before it starts.
    Held,
}

impl Filter {
    /// A filter that, if `name` is not empty, also accepts only files with `name` in their name.
    #[must_use]
    pub fn new(state: Option<StateFilter>, since: Option<UnixMillis>, name: &str) -> Self {
        // File names have no control characters, and Postgres does not accept NUL.
        let name: String = name.chars().filter(|c| !c.is_control()).take(LONGEST_SEARCH).collect();
        let name = name.trim();
        let name = (!name.is_empty()).then(|| SearchName::of(name));
        Self { state, since, name, ..Self::default() }
    }

    /// The same filter for imports that are over and have failed rows.
    #[must_use]
    pub fn with_failed_rows(self) -> Self {
        Self { has_failed_rows: true, ..self }
    }

    /// The same filter for imports made at or before this time.
    #[must_use]
    pub fn until(self, until: Option<UnixMillis>) -> Self {
        Self { until, ..self }
    }

    #[must_use]
    pub fn is_narrow(&self) -> bool {
        *self != Self::default()
    }

    /// The same filter for files of any name; None if it is that already.
    #[must_use]
    pub fn of_any_name(&self) -> Option<Self> {
        self.name.as_ref().map(|_| Self { name: None, ..self.clone() })
    }

    /// Whether the filter accepts an import that is not over.
    #[must_use]
    pub fn takes_unfinished(&self, id: ImportId, file_name: &str) -> bool {
        matches!(self.state, None | Some(StateFilter::InProgress))
            && !self.has_failed_rows
            && self.since.is_none_or(|since| id >= ImportId::first_at(since))
            && self.until.is_none_or(|until| id < first_after(until))
            && self
                .name
                .as_ref()
                .is_none_or(|name| SearchName::of(file_name).as_str().contains(name.as_str()))
    }
}

/// The imports between two others, exclusively.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Between {
    pub newer_than: Option<ImportId>,
    pub older_than: Option<ImportId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    NewestFirst,
    OldestFirst,
}

impl Store {
    /// Folds the names that another version has recorded, before the upgrade or still during it.
    pub(super) async fn fold_names(&self) -> Result<()> {
        let mut last = String::new();
        loop {
            let rows = sqlx::query(
                "SELECT id, file_name FROM import WHERE search_name = '' AND id > $1 ORDER BY id LIMIT $2",
            )
            .bind(&last)
            .bind(FOLDED_AT_ONCE)
            .fetch_all(&self.pool)
            .await?;
            let Some(end) = rows.last() else { return Ok(()) };
            last = end.try_get("id")?;
            let mut tx = self.begin_write().await?;
            for row in &rows {
                sqlx::query("UPDATE import SET search_name = $2 WHERE id = $1")
                    .bind(row.try_get::<String, _>("id")?)
                    .bind(SearchName::of(row.try_get("file_name")?).as_str())
                    .execute(&mut *tx)
                    .await?;
            }
            tx.commit().await?;
        }
    }

    /// The first `limit` imports of a user that `filter` accepts.
    pub async fn imports_of(
        &self,
        owner: UserId,
        filter: &Filter,
        between: Between,
        order: Order,
        limit: u32,
    ) -> Result<Vec<ImportRow>> {
        let (conditions, order) = narrowed(filter, order);
        let sql = format!("SELECT {COLUMNS} FROM import WHERE {conditions} ORDER BY {order} LIMIT $4");
        let query = bind(sqlx::query(sqlx::AssertSqlSafe(sql)), owner, filter, between, limit);
        query.fetch_all(&self.pool).await?.iter().map(read_import).collect()
    }

    /// The newest `limit` imports of a user.
    pub async fn newest_imports(&self, owner: UserId, limit: u32) -> Result<Vec<ImportId>> {
        let (all, between) = (Filter::default(), Between::default());
        let (conditions, order) = narrowed(&all, Order::NewestFirst);
        let sql = format!("SELECT import.id FROM import WHERE {conditions} ORDER BY {order} LIMIT $4");
        let query = bind(sqlx::query(sqlx::AssertSqlSafe(sql)), owner, &all, between, limit);
        let rows = query.fetch_all(&self.pool).await?;
        rows.iter().map(|row| row.try_get::<String, _>(0)?.parse().map_err(corrupt_import)).collect()
    }

    /// The import after the first `count` imports of a user that `filter` accepts; None if there are no more.
    pub async fn import_behind(
        &self,
        owner: UserId,
        filter: &Filter,
        between: Between,
        order: Order,
        count: u32,
    ) -> Result<Option<ImportId>> {
        let (conditions, order) = narrowed(filter, order);
        let sql =
            format!("SELECT import.id FROM import WHERE {conditions} ORDER BY {order} LIMIT 1 OFFSET $4");
        let query = bind(sqlx::query(sqlx::AssertSqlSafe(sql)), owner, filter, between, count);
        let row = query.fetch_optional(&self.pool).await?;
        row.map(|row| row.try_get::<String, _>(0)?.parse().map_err(corrupt_import)).transpose()
    }

    /// The number of a user's imports that `filter` accepts, at most `at_most`.
    pub async fn count_imports_of(
        &self,
        owner: UserId,
        filter: &Filter,
        between: Between,
        at_most: u32,
    ) -> Result<u64> {
        let (conditions, order) = narrowed(filter, Order::NewestFirst);
        let sql = format!(
            "SELECT COUNT(*) FROM \
             (SELECT 1 AS one FROM import WHERE {conditions} ORDER BY {order} LIMIT $4) AS counted"
        );
        let query = bind(sqlx::query(sqlx::AssertSqlSafe(sql)), owner, filter, between, at_most);
        let count: i64 = query.fetch_one(&self.pool).await?.try_get(0)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }
}

/// The conditions and the order. `$1` is the owner, `$2` and `$3` are the ends, `$4` is the limit, `$5` the
/// name.
///
/// Both name all columns of the intended index in its order. With `account_id = $1 ... ORDER BY id` Postgres
/// may scan the primary key through all users' imports, because it plans for an average owner.
fn narrowed(filter: &Filter, order: Order) -> (String, String) {
    let direction = match order {
        Order::NewestFirst => "DESC",
        Order::OldestFirst => "ASC",
    };
    let state = match filter.state {
        None | Some(StateFilter::InProgress | StateFilter::WithFailedRows) => None,
        Some(StateFilter::Completed) => Some("'Completed'"),
        Some(StateFilter::Failed) => Some("'Failed'"),
        Some(StateFilter::Cancelled) => Some("'Cancelled'"),
        Some(StateFilter::Skipped) => Some("'Skipped'"),
        Some(StateFilter::NoFunction) => Some("'NoFunction'"),
        Some(StateFilter::Lost) => Some("'Lost'"),
        Some(StateFilter::Held) => Some("'Held'"),
    };
    // With failed rows the index of those is used, which does not name the state.
    let by_state = state.filter(|_| !filter.has_failed_rows);
    let (columns, is) = match by_state {
        None => (vec!["import.account_id", "import.id"], "$1".to_owned()),
        Some(state) => (vec!["import.account_id", "import.state", "import.id"], format!("$1, {state}")),
    };
    let row = columns.join(", ");
    let mut conditions = format!("({row}) > ({is}, $2) AND ({row}) < ({is}, $3)");
    // The same expressions as in the partial indexes of these imports.
    match filter.state {
        Some(StateFilter::InProgress) => conditions.push_str(" AND import.state IS NULL"),
        Some(StateFilter::WithFailedRows) => conditions.push_str(" AND import.failed_rows > 0"),
        _ if filter.has_failed_rows => {
            conditions.push_str(" AND import.failed_rows > 0");
            if let Some(state) = state {
                conditions.push_str(&format!(" AND import.state = {state}"));
            }
        }
        _ => {}
    }
    if filter.name.is_some() {
        conditions.push_str(r" AND import.search_name LIKE $5 ESCAPE '\'");
    }
    let order: Vec<String> = columns.iter().map(|column| format!("{column} {direction}")).collect();
    (conditions, order.join(", "))
}

/// The least id of an import that is made after `time`.
fn first_after(time: UnixMillis) -> ImportId {
    ImportId::first_at(time.plus(Duration::from_millis(1)))
}

fn bind<'q>(
    query: Query<'q, Any, AnyArguments>,
    owner: UserId,
    filter: &Filter,
    between: Between,
    limit: u32,
) -> Query<'q, Any, AnyArguments> {
    let oldest = between.newer_than.unwrap_or(ImportId::MIN);
    let oldest = filter.since.map_or(oldest, |since| oldest.max(ImportId::first_at(since).previous()));
    let newest = between.older_than.unwrap_or(ImportId::MAX);
    let newest = filter.until.map_or(newest, |until| newest.min(first_after(until)));
    let query = query
        .bind(owner.to_string())
        .bind(oldest.to_string())
        .bind(newest.to_string())
        .bind(i64::from(limit));
    match &filter.name {
        Some(name) => query.bind(name.pattern()),
        None => query,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_for_nothing_narrows_nothing() {
        for text in ["", "  ", "\0\n"] {
            assert!(!Filter::new(None, None, text).is_narrow(), "{text:?}");
        }
        assert_eq!(Filter::new(None, None, " a\0b "), Filter::new(None, None, "AB"));
    }
}
