//! SQL of what a person chose about how a file is read.

use sqlx::{Row, any::AnyRow};

use super::{Result, Store, corrupt_import};
use crate::{base::ids::EventId, csv::Choices};

impl Store {
    /// What a person chose for the import that sent `event`. Nothing for events of others.
    pub async fn choices_of_event(&self, event: &EventId) -> Result<Choices> {
        let row = sqlx::query("SELECT choices FROM import WHERE event_id = $1")
            .bind(event.as_str())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map_or_else(|| Ok(Choices::default()), read_choices)
    }
}

/// The column `choices`. None if there are no choices.
pub(super) fn stored_choices(choices: &Choices) -> Result<Option<String>> {
    if choices.is_empty() {
        return Ok(None);
    }
    serde_json::to_string(choices).map(Some).map_err(corrupt_import)
}

pub(super) fn read_choices(row: &AnyRow) -> Result<Choices> {
    match row.try_get::<Option<String>, _>("choices")? {
        None => Ok(Choices::default()),
        Some(text) => {
            serde_json::from_str(&text).map_err(|why| corrupt_import(format_args!("choices: {why}")))
        }
    }
}
