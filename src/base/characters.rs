//! Characters that text from others must not have where it is shown.

/// Whether a character moves a cursor, breaks a line, reorders others (Unicode's bidirectional controls) or is invisible.
/// A name must be what it looks like.
#[must_use]
pub fn misleads(c: char) -> bool {
    c.is_control() || is_invisible(c) || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Whether a character is not seen: soft hyphens, fillers, zero-width marks, bidirectional controls and tags.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{e0000}'..='\u{e007f}'
    )
}
