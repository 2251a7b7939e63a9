//! The texts that the cells of a workbook share.

use quick_xml::events::Event;

use super::{
    super::{UnpackError, memory::MemoryPermit},
    parts::{Package, Workbook},
    xml::{LONGEST_TEXT, Xml, XmlError},
};

/// The most memory that the texts may take: about a million of usual ones.
pub(in crate::files::unpack) const MOST_MEMORY: usize = 48 << 20;

/// How much they may take without large memory.
const SMALL: usize = 8 << 20;

/// The memory that a text takes besides its bytes.
const PER_TEXT: usize = size_of::<u32>();

/// When a chunk is full, in bytes of its texts, and in texts.
const CHUNK_BYTES: usize = 1 << 20;
const CHUNK_TEXTS: usize = CHUNK_BYTES / PER_TEXT;

/// All texts, in chunks: one text of all would be copied while it grows, and be in memory twice meanwhile.
#[derive(Debug, Default)]
pub(super) struct Strings {
    chunks: Vec<Chunk>,
    /// Held while they take much memory.
    memory: Option<MemoryPermit>,
}

/// Texts that follow each other.
#[derive(Debug, Default)]
struct Chunk {
    /// The number of its first text.
    first: usize,
    texts: String,
    /// Where each text ends.
    ends: Vec<u32>,
}

impl Strings {
    /// `large_memory` waits for that.
    pub(super) fn read(
        package: &Package<'_>,
        workbook: &Workbook,
        large_memory: impl Fn() -> Result<MemoryPermit, UnpackError>,
    ) -> Result<Self, UnpackError> {
        let mut strings = Self::default();
        let Some(path) = workbook.part("sharedStrings") else { return Ok(strings) };
        // What is kept is counted; XML may be much longer than the texts in it.
        let Some(mut xml) = package.open(path, u64::MAX)? else { return Ok(strings) };
        let (mut used, mut count) = (0, 0);
        loop {
            let chunk = Chunk::read(&mut xml, count).map_err(|error| package.explain(error))?;
            if chunk.ends.is_empty() {
                return Ok(strings);
            }
            count += chunk.ends.len();
            used += chunk.texts.len() + chunk.ends.len() * PER_TEXT;
            strings.chunks.push(chunk);
            if used > MOST_MEMORY {
                return Err(UnpackError::WorkbookMemory);
            }
            if used > SMALL && strings.memory.is_none() {
                strings.memory = Some(large_memory()?);
            }
        }
    }

    pub(super) fn get(&self, number: usize) -> Option<&str> {
        let behind = self.chunks.partition_point(|chunk| chunk.first <= number);
        let chunk = self.chunks.get(behind.checked_sub(1)?)?;
        let number = number - chunk.first;
        let end = *chunk.ends.get(number)? as usize;
        let start =
            number.checked_sub(1).and_then(|before| chunk.ends.get(before)).map_or(0, |end| *end as usize);
        chunk.texts.get(start..end)
    }
}

impl Chunk {
    /// Reads texts until the chunk is full. It has none at the end of the part.
    fn read(xml: &mut Xml<'_>, first: usize) -> Result<Self, XmlError> {
        let mut chunk = Self { first, ..Self::default() };
        while chunk.texts.len() < CHUNK_BYTES && chunk.ends.len() < CHUNK_TEXTS {
            let Some(event) = xml.next()? else { break };
            let Event::Start(element) = event else { continue };
            if element.local_name().as_ref() == "si" {
                rich_text(xml, &mut chunk.texts)?;
                chunk.ends.push(u32::try_from(chunk.texts.len()).map_err(|_| XmlError)?);
            }
        }
        chunk.texts.shrink_to_fit();
        chunk.ends.shrink_to_fit();
        Ok(chunk)
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
