//! SQL of what is known of a stored file.

use super::{Result, Store, Tx, corrupt_import};
use crate::{base::ids::ImportId, csv::AboutFile};

impl Store {
    /// What is known of the stored file of `import`. Nothing if it was not examined, or by another version.
    pub async fn about_file(&self, import: ImportId) -> Result<AboutFile> {
        let about: Option<Option<String>> = sqlx::query_scalar("SELECT survey FROM import WHERE id = $1")
            .bind(import.to_string())
            .fetch_optional(&self.pool)
            .await?;
        Ok(about.flatten().and_then(|about| serde_json::from_str(&about).ok()).unwrap_or_default())
    }
}

pub(super) async fn save_about_file(tx: &mut Tx, import: ImportId, about: &AboutFile) -> Result<()> {
    sqlx::query("UPDATE import SET survey = $2 WHERE id = $1")
        .bind(import.to_string())
        .bind(serde_json::to_string(about).map_err(corrupt_import)?)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
