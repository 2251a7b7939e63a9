//! Starts an import that was kept to be looked at first.

use crate::{
    csv::Choices,
    function::{Preview, PreviewError, Previewer},
    imports::{AcceptError, ImportState, Imports, Owned},
};

/// Starts a held import, which is read as `choices` say, and remembers them. Of an import that has started nothing
/// changes.
pub async fn start(
    held: &Owned,
    choices: Choices,
    imports: &Imports,
    previewer: &Previewer,
) -> Result<(), AcceptError> {
    imports.start_held(held, choices.clone()).await?;
    if held.state() == ImportState::Held && !choices.is_empty() {
        remember(held, &choices, imports, previewer).await;
    }
    Ok(())
}

/// Remembers `choices` for the next file with the same header, as that is detected. A failure is only logged,
/// because nothing depends on it.
async fn remember(held: &Owned, choices: &Choices, imports: &Imports, previewer: &Previewer) {
    let row = &held.row;
    let Ok(Some((file, about))) = imports.stored_file(held).await else { return };
    match previewer.read(row.owner, file, about, Choices::default()).await {
        Ok(Preview { header: Some(header), .. }) => imports.remember_choices(row, &header, choices).await,
        Ok(Preview { header: None, .. }) | Err(PreviewError::NotReadable(_) | PreviewError::NotShown(_)) => {}
        Err(error) => tracing::warn!(import = %row.id, %error, "cannot look at the header of a file"),
    }
}
