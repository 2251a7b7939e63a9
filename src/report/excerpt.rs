//! A part of a user's file with visible placeholders for invisible characters.

use std::borrow::Cow;

/// An excerpt from `csv`, in which some characters are placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt<'a>(Cow<'a, str>);

/// A piece of an excerpt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    Text(&'a str),
    /// The name of a control character.
    Control(&'static str),
    /// The placeholder of a forbidden or invisible character.
    Fault(&'static str),
}

impl<'a> Excerpt<'a> {
    #[must_use]
    pub fn of(excerpt: impl Into<Cow<'a, str>>) -> Self {
        Self(excerpt.into())
    }

    /// The text and the placeholders in it, in order. Few fonts have the pictures of control characters, so
    /// the common ones are shown by name.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        self.0.split_inclusive(is_sign).flat_map(|part| {
            let (text, sign) = match part.char_indices().next_back() {
                Some((at, last)) => match sign(last) {
                    Some(sign) => (&part[..at], Some(sign)),
                    None => (part, None),
                },
                None => (part, None),
            };
            Some(text).filter(|text| !text.is_empty()).map(Piece::Text).into_iter().chain(sign)
        })
    }

    /// Whether there is no text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn is_sign(c: char) -> bool {
    sign(c).is_some()
}

/// How a placeholder is shown.
fn sign(c: char) -> Option<Piece<'static>> {
    Some(match c {
        '␀' => Piece::Fault("NUL"),
        '\u{fffd}' => Piece::Fault("\u{fffd}"),
        '␉' => Piece::Control("TAB"),
        '␊' => Piece::Control("LF"),
        '␍' => Piece::Control("CR"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_another_character_is_a_piece_of_its_own() {
        let pieces = |text: &'static str| {
            Excerpt::of(text).pieces().map(|piece| format!("{piece:?}")).collect::<Vec<_>>()
        };
        assert_eq!(pieces("a␉␀b"), [r#"Text("a")"#, r#"Control("TAB")"#, r#"Fault("NUL")"#, r#"Text("b")"#]);
        assert_eq!(pieces("␊ü"), [r#"Control("LF")"#, r#"Text("ü")"#]);
        assert_eq!(pieces("plain"), [r#"Text("plain")"#]);
        assert!(pieces("").is_empty() && Excerpt::of("").is_empty());
    }
}
