//! Deletes an import that is over.

use super::error::Error;
use crate::imports::{Deletion, Imports, Owned};

/// # Errors
/// It is not over, or was deleted in the meantime.
pub async fn delete(import: &Owned, imports: &Imports) -> Result<(), Error> {
    match imports.delete(import).await? {
        Deletion::Done => Ok(()),
        Deletion::NotOver => Err(Error::NotOver),
        Deletion::StillCancelling => Err(Error::StillCancelling),
        Deletion::NotThere => Err(Error::NotFound),
    }
}
