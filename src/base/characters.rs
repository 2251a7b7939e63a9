//! Characters that text from others must not have where it is shown.

/// Whether a character moves a cursor, breaks a line, reorders others (Unicode's bidirectional controls) or is invisible
/// (its zero-width marks). A name must be what it looks like.
#[must_use]
pub fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}
