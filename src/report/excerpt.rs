//! A piece of a user's file in which invisible characters can be seen.

/// An excerpt as `csv` makes it, in pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excerpt {
    pub pieces: Vec<Piece>,
}

/// A piece of an excerpt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    /// The name of a control character.
    Control(&'static str),
    /// What stands for a character that must not be there, or cannot be seen.
    Fault(&'static str),
}

impl Excerpt {
    /// The text of an excerpt and what in it only stands for something. Few fonts have the pictures of
    /// control characters, so those that files really have are named.
    #[must_use]
    pub fn of(excerpt: &str) -> Self {
        let mut pieces: Vec<Piece> = Vec::new();
        for c in excerpt.chars() {
            match (c, pieces.last_mut()) {
                ('␀', _) => pieces.push(Piece::Fault("NUL")),
                ('\u{fffd}', _) => pieces.push(Piece::Fault("\u{fffd}")),
                ('␉', _) => pieces.push(Piece::Control("TAB")),
                ('␊', _) => pieces.push(Piece::Control("LF")),
                ('␍', _) => pieces.push(Piece::Control("CR")),
                (_, Some(Piece::Text(text))) => text.push(c),
                _ => pieces.push(Piece::Text(c.to_string())),
            }
        }
        Self { pieces }
    }

    /// There is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
}
