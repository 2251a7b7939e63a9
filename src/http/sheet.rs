//! The sheet that a person chose of a workbook, by any form of its name.

use super::{error::Error, reading_fields::RefusedField};
use crate::{
    csv::Choices,
    function::{PreviewError, Previewer},
    imports::{Imports, Owned},
};

/// Replaces the chosen sheet by the one of the import's workbook that is meant. Whether a file that is not stored yet
/// has it, its run will say.
pub async fn find_sheet(
    choices: &mut Choices,
    import: &Owned,
    imports: &Imports,
    previewer: &Previewer,
) -> Result<Result<(), RefusedField>, Error> {
    let Some(name) = choices.sheet.take() else { return Ok(Ok(())) };
    let Some((file, _)) = imports.stored_file(import).await? else {
        choices.sheet = Some(name);
        return Ok(Ok(()));
    };
    match previewer.sheet_named(import.row.owner, &file, name).await {
        Ok(name) => choices.sheet = Some(name),
        Err(PreviewError::NoSuchSheet(why) | PreviewError::NotReadable(why)) => {
            return Ok(Err(RefusedField::sheet(why)));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Ok(()))
}
