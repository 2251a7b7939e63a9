//! Guest links: a person with one sees one import, without an account, until it expires or is ended.
//!
//! They belong to accounts and not to imports because they are tokens, and end with the account of the owner.

use std::{sync::Arc, time::Duration};

use super::{Accounts, Error, Token, token::TokenHash, told::AccessChange};
use crate::{
    base::{
        ids::{ImportId, UserId},
        time::UnixMillis,
    },
    store::{
        Store,
        guest_links::{GuestLinkCreation, NewGuestLinkRow, OpenGuestLink},
    },
};

/// A link to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewGuestLink {
    pub owner: UserId,
    pub import: ImportId,
    /// Also the contents of rows, and the downloads.
    pub shows_rows: bool,
    pub lifetime: Duration,
}

/// What a link opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestGrant {
    pub owner: UserId,
    pub import: ImportId,
    pub shows_rows: bool,
    pub expires_at: UnixMillis,
}

/// Why no link was made.
#[derive(Debug, thiserror::Error)]
pub enum MakeGuestLinkError {
    /// The import has as many as it may have.
    #[error("the import has too many guest links")]
    TooMany,
    /// It was deleted a moment ago, or its owner can no longer sign in.
    #[error("the import is not there any more")]
    NotThere,
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Accounts {
    /// Makes a link. Its token is returned here only.
    pub async fn make_guest_link(&self, new: NewGuestLink) -> Result<Token, MakeGuestLinkError> {
        let (token, now) = (Token::generate(), UnixMillis::wall());
        let row = NewGuestLinkRow {
            token_hash: token.hash().to_string(),
            owner: new.owner,
            import: new.import,
            shows_rows: new.shows_rows,
            created_at: now,
            expires_at: now.plus(new.lifetime),
        };
        match self.store.create_guest_link(&row).await.map_err(Error::from)? {
            GuestLinkCreation::Made => Ok(token),
            GuestLinkCreation::TooMany => Err(MakeGuestLinkError::TooMany),
            GuestLinkCreation::NotThere => Err(MakeGuestLinkError::NotThere),
        }
    }

    /// The links of an import that have not expired, newest first.
    pub async fn guest_links(&self, import: ImportId) -> Result<Vec<OpenGuestLink>, Error> {
        Ok(self.store.guest_links(import, UnixMillis::wall()).await?)
    }

    /// Ends the link of `import` with this [`OpenGuestLink::name`] at once. Returns false if there is none.
    pub async fn end_guest_link(&self, import: ImportId, name: &str) -> Result<bool, Error> {
        let has_ended = self.store.delete_guest_link(import, name).await?;
        self.changed(&AccessChange::GuestLinks(import));
        Ok(has_ended)
    }

    /// What a link opens. None if it has ended or expired, or never existed. Links in use are answered from memory.
    pub async fn opened_by(&self, token: &Token) -> Result<Option<Arc<GuestGrant>>, Error> {
        let hash = token.hash();
        let grant = self.guest_links_in_use.find(hash, self.read_guest_link(hash)).await?;
        Ok(grant.filter(|grant| grant.expires_at > UnixMillis::wall()))
    }

    /// Records that the page of a link was opened.
    pub fn guest_link_opened(&self, token: &Token) {
        let (hash, now) = (token.hash(), UnixMillis::wall());
        if self.guest_links_in_use.is_use_to_be_recorded(hash, now) {
            record_opening(self.store.clone(), hash, now);
        }
    }

    async fn read_guest_link(
        &self,
        hash: TokenHash,
    ) -> Result<Option<(GuestGrant, Option<UnixMillis>)>, Error> {
        let row = self.store.guest_link(&hash.to_string()).await?;
        Ok(row.map(|row| {
            let grant = GuestGrant {
                owner: row.owner,
                import: row.import,
                shows_rows: row.shows_rows,
                expires_at: row.expires_at,
            };
            (grant, row.last_opened_at)
        }))
    }
}

/// Records it beside the request, which does not wait for the database's writers.
fn record_opening(store: Store, hash: TokenHash, now: UnixMillis) {
    tokio::spawn(async move {
        if let Err(error) = store.guest_link_opened(&hash.to_string(), now).await {
            tracing::warn!(%error, "cannot record that a guest link was opened");
        }
    });
}
