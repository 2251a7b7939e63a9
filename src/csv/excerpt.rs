//! Excerpts: a few characters of a file, made safe to show beside other text.

use super::encode::lossy;
use crate::base::characters::is_invisible;

/// The longest excerpt in characters, without the ellipses that mark a cut.
const LONGEST: usize = 80;
/// The bytes that are shown before a fault far inside the text.
const BEFORE_FAULT: usize = 24;
/// The longest character of UTF-8, in bytes.
const LONGEST_CHAR: usize = 4;

const ELLIPSIS: char = '…';
/// The first of Unicode's control pictures: the picture of NUL.
const PICTURES: u32 = 0x2400;
/// The picture of DEL, which is outside that range.
const PICTURE_OF_DELETE: char = '\u{2421}';

/// The part of `bytes` around the position `fault`, from the beginning if that is near.
///
/// Each character stands for one character of the file. None is invisible or changes the direction of its
/// neighbours: a control character becomes its picture (`␀`), and undecodable or invisible text becomes
/// U+FFFD.
#[must_use]
pub fn excerpt(bytes: &[u8], fault: usize) -> String {
    let mut start = if fault < LONGEST / 2 { 0 } else { fault - BEFORE_FAULT };
    while start < fault && is_inside_char(bytes[start]) {
        start += 1;
    }
    // Long enough for one character more than fits, so that a character cut here is never shown.
    let end = bytes.len().min(start + (LONGEST + 1) * LONGEST_CHAR);
    let text = lossy(&bytes[start..end]);
    let mut chars = text.chars();
    let mut excerpt = String::new();
    if start > 0 {
        excerpt.push(ELLIPSIS);
    }
    excerpt.extend(chars.by_ref().take(LONGEST).map(visible));
    if chars.next().is_some() {
        excerpt.push(ELLIPSIS);
    }
    excerpt
}

fn visible(c: char) -> char {
    match c {
        '\0'..='\x1f' => char::from_u32(PICTURES + u32::from(c)).unwrap_or(char::REPLACEMENT_CHARACTER),
        '\x7f' => PICTURE_OF_DELETE,
        _ if c.is_control() || is_hidden(c) => char::REPLACEMENT_CHARACTER,
        _ => c,
    }
}

/// Characters that are invisible, hide other characters or change their order: beside those of [`is_invisible`] the
/// rest of Unicode's Default_Ignorable_Code_Point, annotations, and the two separators that break a line. Variation
/// selectors are not among them.
fn is_hidden(c: char) -> bool {
    is_invisible(c)
        || matches!(
            c,
            '\u{34f}'
                | '\u{17b4}'
                | '\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{2028}'
                | '\u{2029}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0080}'..='\u{e0fff}'
        )
}

fn is_inside_char(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_shown() {
        for (given, shown) in [
            ("jane.doe@example".as_bytes(), "jane.doe@example"),
            ("Söhne, 数据".as_bytes(), "Söhne, 数据"),
            (b"a\0b\tc\r\nd\x7f", "a␀b␉c␍␊d␡"),
            (b"M\xfcller", "M\u{fffd}ller"),
            ("evil\u{202e}vsc\u{200b}\u{85}".as_bytes(), "evil\u{fffd}vsc\u{fffd}\u{fffd}"),
            (b"<b>&amp;", "<b>&amp;"),
            (b"", ""),
        ] {
            assert_eq!(excerpt(given, 0), shown, "{given:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut_around_its_fault() {
        let long = "é".repeat(500);
        assert_eq!(excerpt(long.as_bytes(), 0), format!("{}…", "é".repeat(LONGEST)));
        assert_eq!(excerpt("é".repeat(LONGEST).as_bytes(), 0), "é".repeat(LONGEST), "whole");

        let far = [long.as_bytes(), b"\0", long.as_bytes()].concat();
        let shown = excerpt(&far, long.len());
        assert!(shown.starts_with("…éé") && shown.contains("é␀é") && shown.ends_with("é…"), "{shown}");
        assert_eq!(shown.chars().count(), LONGEST + 2);

        let at_the_end = [long.as_bytes(), b"\xff"].concat();
        let shown = excerpt(&at_the_end, long.len());
        assert!(shown.starts_with('…') && shown.ends_with("é\u{fffd}"), "{shown}");
    }

    #[test]
    fn no_bytes_cut_a_character_in_two() {
        for shift in 0..4 {
            let text = format!("{}{}", "x".repeat(shift), "𐍈".repeat(300));
            for fault in 0..text.len() {
                let shown = excerpt(text.as_bytes(), fault);
                assert!(!shown.contains(char::REPLACEMENT_CHARACTER), "{shift} {fault} {shown}");
            }
        }
    }
}
