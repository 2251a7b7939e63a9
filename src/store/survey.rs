//! SQL of what the bytes of an upload showed about its encoding.

use super::{Result, Store, Tx, corrupt_import};
use crate::{
    base::ids::{EventId, ImportId},
    csv::Survey,
};

impl Store {
    /// What the upload of the import that sent `event` showed while it arrived. None if it was not examined, or by
    /// another version.
    pub async fn survey_of_event(&self, event: &EventId) -> Result<Option<Survey>> {
        let survey: Option<Option<String>> =
            sqlx::query_scalar("SELECT survey FROM import WHERE event_id = $1")
                .bind(event.as_str())
                .fetch_optional(&self.pool)
                .await?;
        Ok(survey.flatten().and_then(|survey| serde_json::from_str(&survey).ok()))
    }
}

pub(super) async fn save_survey(tx: &mut Tx, import: ImportId, survey: &Survey) -> Result<()> {
    sqlx::query("UPDATE import SET survey = $2 WHERE id = $1")
        .bind(import.to_string())
        .bind(serde_json::to_string(survey).map_err(corrupt_import)?)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
