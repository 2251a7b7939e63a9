//! Cursors of lists. A cursor belongs to one list: with other filters, of another import or for another account it
//! is refused, instead of returning a page that begins anywhere.

use sha2::{Digest, Sha256};

use crate::{base::ids::UserId, http::problem::Problem};

/// Enough that no cursor fits another list by chance.
const MARK_BYTES: usize = 8;

/// The list that cursors belong to.
pub struct CursorsOf(Vec<u8>);

impl CursorsOf {
    /// `list` names it with everything that decides what it contains.
    #[must_use]
    pub fn list(owner: UserId, list: &[&str]) -> Self {
        let mut text = owner.to_string();
        for part in list {
            // With its length, so that no two lists have the same text.
            text.push_str(&format!("\n{}:{part}", part.len()));
        }
        Self(text.into_bytes())
    }

    /// The cursor of a place in the list.
    #[must_use]
    pub fn cursor(&self, place: &str) -> String {
        let mut hash = Sha256::new();
        hash.update(&self.0);
        hash.update([0]);
        hash.update(place.as_bytes());
        format!("{place}.{}", hex::encode(&hash.finalize()[..MARK_BYTES]))
    }

    /// The place of a cursor.
    ///
    /// # Errors
    /// The cursor is of another list. Its owner can make one that leads anywhere in this one.
    pub fn place<'c>(&self, cursor: &'c str) -> Result<&'c str, Problem> {
        let place = cursor.rsplit_once('.').map(|(place, _)| place);
        place.filter(|place| self.cursor(place) == cursor).ok_or_else(wrong)
    }
}

/// The answer to a cursor that leads nowhere.
pub fn wrong() -> Problem {
    let sentence =
        "This cursor is not of this list. Send the cursor of its last page with the same query, or none.";
    Problem::Malformed(sentence.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_own_list_only() {
        let owner = UserId::generate();
        let list = CursorsOf::list(owner, &["imports", "a", ""]);
        let cursor = list.cursor("01.2");
        assert_eq!(list.place(&cursor).unwrap(), "01.2");
        for other in [
            CursorsOf::list(owner, &["imports", "", "a"]),
            CursorsOf::list(owner, &["imports", "b", ""]),
            CursorsOf::list(owner, &["imports", "a"]),
            CursorsOf::list(UserId::generate(), &["imports", "a", ""]),
        ] {
            assert!(other.place(&cursor).is_err());
        }
        for wrong in ["", ".", "01.2", "01.3.0011223344556677", &cursor[1..]] {
            assert!(list.place(wrong).is_err(), "{wrong}");
        }
    }
}
