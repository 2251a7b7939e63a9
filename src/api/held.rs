//! How the file of a held import would be read if it were started now.

use super::{
    import_json::ImportJson,
    reading_json::{FirstRowsJson, ReadingJson},
};
use crate::{
    function::{PreviewError, Previewer},
    http::problem::Problem,
    imports::{Imports, Owned},
};

/// Adds the reading and the first rows, or why the import would fail, in front of its state. Returns false if that
/// cannot be found out at the moment.
pub async fn add_reading(
    told: &mut ImportJson,
    held: &Owned,
    imports: &Imports,
    previewer: &Previewer,
) -> Result<bool, Problem> {
    let row = &held.row;
    let Some((file, about)) = imports.stored_file(held).await? else { return Ok(true) };
    match previewer.read(row.owner, file, about, row.choices.clone()).await {
        Ok(preview) => {
            let first_rows = &preview.first_rows;
            told.reading = Some(ReadingJson::new(&preview.read_as, Some(first_rows.columns)));
            told.first_rows = Some(FirstRowsJson::new(first_rows));
            Ok(true)
        }
        Err(PreviewError::NotReadable(why) | PreviewError::NoSuchSheet(why)) => {
            told.state_text = format!("{why} {}", told.state_text);
            Ok(true)
        }
        Err(PreviewError::Busy | PreviewError::NotShown(_)) => Ok(false),
        Err(error @ (PreviewError::Storage(_) | PreviewError::BrokenOff(_))) => {
            tracing::warn!(import = %row.id, %error, "cannot look at the file of a held import");
            Ok(false)
        }
    }
}
