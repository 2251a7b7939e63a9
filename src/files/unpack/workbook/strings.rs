//! The texts that the cells of a workbook share.

use quick_xml::events::Event;

use super::{
    super::UnpackError,
    parts::{Package, Workbook},
    xml::{LONGEST_TEXT, Xml, XmlError},
};

/// The most memory that the texts may take: more than a million of usual ones.
pub(in crate::files::unpack) const MOST_MEMORY: usize = 64 << 20;

/// The memory that a text takes besides its bytes.
const PER_TEXT: usize = size_of::<u32>();

/// All texts in one, and where each ends.
#[derive(Debug, Default)]
pub(super) struct Strings {
    texts: String,
    ends: Vec<u32>,
}

impl Strings {
    pub(super) fn read(package: &Package<'_>, workbook: &Workbook) -> Result<Self, UnpackError> {
        let mut strings = Self::default();
        let Some(path) = workbook.part("sharedStrings") else { return Ok(strings) };
        // What is kept is counted; XML may be much longer than the texts in it.
        let Some(mut xml) = package.open(path, u64::MAX)? else { return Ok(strings) };
        match strings.fill(&mut xml) {
            Ok(true) => Ok(strings),
            Ok(false) => Err(UnpackError::WorkbookMemory),
            Err(error) => Err(package.explain(error)),
        }
    }

    /// Returns false if the texts are too long.
    fn fill(&mut self, xml: &mut Xml<'_>) -> Result<bool, XmlError> {
        while let Some(event) = xml.next()? {
            let Event::Start(element) = event else { continue };
            if element.local_name().as_ref() != "si" {
                continue;
            }
            rich_text(xml, &mut self.texts)?;
            let used = self.texts.len() + (self.ends.len() + 1) * PER_TEXT;
            let Ok(end) = u32::try_from(self.texts.len()) else { return Ok(false) };
            if used > MOST_MEMORY {
                return Ok(false);
            }
            self.ends.push(end);
        }
        Ok(true)
    }

    pub(super) fn get(&self, number: usize) -> Option<&str> {
        let end = *self.ends.get(number)? as usize;
        let start =
            number.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize);
        self.texts.get(start..end)
    }
}

/// Appends the text of the element that has begun: all its runs, without the reading aids of Japanese texts.
pub(super) fn rich_text(xml: &mut Xml<'_>, text: &mut String) -> Result<(), XmlError> {
    let outside = xml.depth().saturating_sub(1);
    let begins_at = text.len();
    let mut aid = None;
    while xml.depth() > outside {
        let Some(event) = xml.next()? else { return Err(XmlError) };
        let Event::Start(element) = event else {
            aid = aid.filter(|depth| xml.depth() >= *depth);
            continue;
        };
        let (is_text, is_aid) = match element.local_name().as_ref() {
            "t" => (true, false),
            "rPh" => (false, true),
            _ => (false, false),
        };
        if is_aid && aid.is_none() {
            aid = Some(xml.depth());
        } else if is_text && aid.is_none() {
            xml.text_into(text)?;
        }
        if text.len() - begins_at > LONGEST_TEXT {
            return Err(XmlError);
        }
    }
    unescape(text, begins_at);
    Ok(())
}

/// Replaces `_x000D_` and its like from `start` on: characters that XML cannot have.
fn unescape(text: &mut String, start: usize) {
    let Some(first) = text.get(start..).and_then(|added| added.find("_x")) else { return };
    let escaped = text.split_off(start + first);
    let mut rest = escaped.as_str();
    while let Some(at) = rest.find("_x") {
        let (before, behind) = rest.split_at(at);
        text.push_str(before);
        match escaped_char(behind) {
            Some(char) => {
                text.push(char);
                rest = &behind[ESCAPE_BYTES..];
            }
            None => {
                text.push('_');
                rest = &behind[1..];
            }
        }
    }
    text.push_str(rest);
}

/// The bytes of `_x000D_`.
const ESCAPE_BYTES: usize = 7;

/// The character that is escaped at the front of `text`.
fn escaped_char(text: &str) -> Option<char> {
    let code = text.get(..ESCAPE_BYTES)?.strip_prefix("_x")?.strip_suffix('_')?;
    let is_code = code.bytes().all(|byte| byte.is_ascii_hexdigit());
    u32::from_str_radix(code, 16).ok().filter(|_| is_code).and_then(char::from_u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_characters_are_restored_once() {
        for (given, text) in [
            ("a_x000D_b", "a\rb"),
            ("_x0041__x0042_", "AB"),
            ("_x005F_x000D_", "_x000D_"),
            ("_x00", "_x00"),
            ("_xyz_", "_xyz_"),
            ("snake_x_case é_x", "snake_x_case é_x"),
            ("_xD800_", "_xD800_"),
        ] {
            let mut shown = given.to_owned();
            unescape(&mut shown, 0);
            assert_eq!(shown, text, "{given}");
        }
    }
}
