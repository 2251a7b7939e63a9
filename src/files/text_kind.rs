//! Recognises text files that are not CSV by their form (a tag that encloses the file, a JSON value), never
//! by a single character: `[a],[b]` and `<id>,<name>` are headers.

use std::fmt;

use memchr::{memchr_iter, memmem};
use serde::de::IgnoredAny;

use crate::csv::excerpt;

/// A kind of text that is certainly not a CSV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextKind {
    WebPage {
        /// An excerpt of the page's title, if it has one.
        title: Option<String>,
    },
    Xml,
    Json,
    /// One JSON value per line.
    JsonLines,
    Rtf,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Elements that a web page, or a fragment of one, begins with.
const WEB_PAGE_ROOTS: [&str; 14] = [
    "html", "head", "body", "title", "script", "style", "main", "header", "section", "article", "div", "p",
    "table", "center",
];

/// Elements that are often left open where a web page was cut off.
const OPEN_ENDED_ROOTS: [&str; 4] = ["html", "head", "body", "table"];

impl TextKind {
    /// How many bytes of a file's end [`TextKind::sniff`] examines.
    pub const END_BYTES: u64 = 4 << 10;

    /// The kind of a file by its `front` and, unless `front` is the whole file, its last bytes `end`. None if
    /// the file may be a CSV.
    #[must_use]
    pub fn sniff(front: &[u8], end: Option<&[u8]>) -> Option<Self> {
        let text = front.strip_prefix(BYTE_ORDER_MARK).unwrap_or(front).trim_ascii_start();
        match text.first()? {
            b'{' if text.strip_prefix(b"{\\rtf").is_some_and(starts_with_digit) => Some(Self::Rtf),
            b'{' | b'[' => json(text, end.is_none()),
            b'<' => markup(text, end),
            _ => None,
        }
    }
}

/// The kind as part of a sentence: `This is a web page ("Sign in"), not a CSV.`
impl fmt::Display for TextKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WebPage { title: Some(title) } => write!(f, "a web page (\"{title}\")"),
            Self::WebPage { title: None } => f.write_str("a web page"),
            Self::Xml => f.write_str("an XML document"),
            Self::Json => f.write_str("JSON"),
            Self::JsonLines => f.write_str("JSON (one value per line)"),
            Self::Rtf => f.write_str("an RTF document"),
        }
    }
}

fn starts_with_digit(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_digit)
}

fn json(text: &[u8], is_whole: bool) -> Option<TextKind> {
    match behind_json(text, is_whole)? {
        [] => Some(TextKind::Json),
        second => behind_json(second, is_whole).map(|_| TextKind::JsonLines),
    }
}

/// The text after the JSON list or object at the front of `text`, without white space: nothing, or text on a
/// line of its own. None if `text` does not begin with such a value. A value that continues beyond the text
/// counts.
fn behind_json(text: &[u8], is_whole: bool) -> Option<&[u8]> {
    if !matches!(text.first(), Some(b'{' | b'[')) {
        return None;
    }
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<IgnoredAny>();
    match values.next()? {
        Ok(_) => {}
        Err(error) if error.is_eof() && (!is_whole || begins_with_member(text)) => return Some(&[]),
        Err(_) => return None,
    }
    let behind = &text[values.byte_offset()..];
    let next = behind.trim_ascii_start();
    let between = &behind[..behind.len() - next.len()];
    let is_alone = next.is_empty() || between.contains(&b'\n') || between.contains(&b'\r');
    is_alone.then_some(next)
}

/// Whether an object with a named member opens, possibly inside lists: `[{"id"`. A lone bracket may be a
/// header.
fn begins_with_member(text: &[u8]) -> bool {
    let brackets = text.iter().position(|byte| *byte != b'[' && !byte.is_ascii_whitespace());
    let inside = brackets.and_then(|at| text[at..].strip_prefix(b"{"));
    inside.is_some_and(|inside| inside.trim_ascii_start().starts_with(b"\""))
}

fn markup(text: &[u8], end: Option<&[u8]>) -> Option<TextKind> {
    let lower = text.to_ascii_lowercase();
    let web_page = || Some(TextKind::WebPage { title: title(text, &lower) });
    let mut rest = lower.as_slice();
    let mut is_declared = false;
    // Before the root there may be a declaration, a document type and comments.
    loop {
        let closing: &[u8] = if let Some(doctype) = rest.strip_prefix(b"<!doctype ") {
            if doctype.trim_ascii_start().starts_with(b"html") {
                return web_page();
            }
            is_declared = true;
            if doctype.iter().find(|byte| matches!(byte, b'[' | b'>')) == Some(&b'[') { b"]>" } else { b">" }
        } else if rest.starts_with(b"<!--") {
            b"-->"
        } else if rest.starts_with(b"<?xml ") {
            is_declared = true;
            b"?>"
        } else {
            break;
        };
        let Some(at) = memmem::find(rest, closing) else { break };
        rest = rest[at + closing.len()..].trim_ascii_start();
    }
    let Some(root) = Tag::read(rest) else { return is_declared.then_some(TextKind::Xml) };
    let is_web_page = WEB_PAGE_ROOTS.iter().any(|name| name.as_bytes() == root.name);
    let is_document = is_declared || encloses(&root, &rest[root.length..], end, is_web_page);
    match (is_document, is_web_page) {
        (false, _) => None,
        (true, true) => web_page(),
        (true, false) => Some(TextKind::Xml),
    }
}

/// Whether the rest of the file is inside the element of the tag. A header of tags continues after its
/// element.
fn encloses(root: &Tag<'_>, behind: &[u8], end: Option<&[u8]>, is_web_page: bool) -> bool {
    let is_end = |rest: &[u8]| match rest.trim_ascii_start() {
        [] | [b'<', b'!' | b'?', ..] => true,
        // Fragments of web pages have no root.
        rest => is_web_page && rest.starts_with(b"<"),
    };
    if root.is_empty {
        return is_end(behind);
    }
    let mut depth = 1;
    for at in memchr_iter(b'<', behind) {
        let rest = &behind[at..];
        let closes = rest.get(1) == Some(&b'/');
        let Some(tag) = Tag::read(rest).filter(|tag| tag.name == root.name && !tag.is_empty) else {
            continue;
        };
        depth = if closes { depth - 1 } else { depth + 1 };
        if depth == 0 {
            return is_end(&rest[tag.length..]);
        }
    }
    // The element continues beyond the sample, or never closes.
    let holds_elements = behind.trim_ascii_start().starts_with(b"<");
    match end {
        None => holds_elements && OPEN_ENDED_ROOTS.iter().any(|name| name.as_bytes() == root.name),
        Some(end) => {
            let end = end.to_ascii_lowercase();
            let closing = [b"</", root.name].concat();
            holds_elements
                && memmem::rfind(&end, &closing)
                    .and_then(|at| Some(&end[at + Tag::read(&end[at..])?.length..]))
                    .is_some_and(is_end)
        }
    }
}

/// An opening or closing tag.
struct Tag<'t> {
    name: &'t [u8],
    /// The length in bytes, including the brackets.
    length: usize,
    /// Self-closing: `<br/>`.
    is_empty: bool,
}

impl<'t> Tag<'t> {
    /// The tag at the front of `text`.
    fn read(text: &'t [u8]) -> Option<Self> {
        let inside = text.strip_prefix(b"<")?;
        let inside = inside.strip_prefix(b"/").unwrap_or(inside);
        let is_in_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte) || *byte >= 0x80;
        let name_ends = inside.iter().position(|byte| !is_in_name(byte))?;
        let (name, mut rest) = inside.split_at(name_ends);
        if !name.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_' || *byte >= 0x80)
            || !matches!(rest.first()?, b'>' | b'/' | b' ' | b'\t' | b'\r' | b'\n')
        {
            return None;
        }
        // A bracket inside quotes does not end the tag.
        loop {
            let at = rest.iter().position(|byte| matches!(byte, b'>' | b'<' | b'"' | b'\''))?;
            match rest[at] {
                b'>' => {
                    let end = text.len() - rest.len() + at;
                    return Some(Self { name, length: end + 1, is_empty: text[..end].ends_with(b"/") });
                }
                b'<' => return None,
                quote => {
                    let closing = rest[at + 1..].iter().position(|byte| *byte == quote)?;
                    rest = &rest[at + 1 + closing + 1..];
                }
            }
        }
    }
}

/// The title of a web page.
fn title(text: &[u8], lower: &[u8]) -> Option<String> {
    let at = memmem::find(lower, b"<title")?;
    let start = at + Tag::read(&lower[at..])?.length;
    let end = start + memmem::find(&lower[start..], b"</title")?;
    let title = String::from_utf8_lossy(&text[start..end]);
    let mut title = title.split_whitespace().collect::<Vec<_>>().join(" ");
    for (reference, character) in
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&nbsp;", " "), ("&amp;", "&")]
    {
        title = title.replace(reference, character);
    }
    (!title.is_empty()).then(|| excerpt(title.as_bytes(), 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web_page(title: &str) -> Option<TextKind> {
        Some(TextKind::WebPage { title: (!title.is_empty()).then(|| title.to_owned()) })
    }

    #[test]
    fn what_is_no_csv_is_told_by_its_form() {
        for (text, kind) in [
            ("<!DOCTYPE html>\n<html><head><title>\n Sign in,  please </title>", web_page("Sign in, please")),
            ("\u{feff} <!doctype HTML PUBLIC \"-//W3C\"><TITLE lang=en>A &amp; B</TITLE>", web_page("A & B")),
            ("<!-- saved --><html lang=\"en\"><body>Hello, you</body></html>", web_page("")),
            ("<table>\n<tr><td>1</td><td>Ann, B</td></tr>\n</table>\n", web_page("")),
            ("<html><body><p>cut off", web_page("")),
            ("<div class=\"a>b\">1</div>\n<div>2</div>", web_page("")),
            ("<?xml version=\"1.0\"?><html><body/></html>", web_page("")),
            ("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<kml>1,2</kml>", Some(TextKind::Xml)),
            ("<!DOCTYPE note [<!ENTITY a \"b\">]>\n<note>1</note>", Some(TextKind::Xml)),
            ("<rows><row a=\"1\"/>\n<row>1,2</row></rows>\n<!-- end -->", Some(TextKind::Xml)),
            ("<svg/>", Some(TextKind::Xml)),
            ("{\"a\": [1, 2]}\n", Some(TextKind::Json)),
            ("[\n  {\"a\": 1},\n  {\"a\": 2}\n]", Some(TextKind::Json)),
            ("[{\"a\": 1}, {\"a\": ", Some(TextKind::Json)),
            ("[]", Some(TextKind::Json)),
            ("{\"a\": 1}\n{\"a\": 2}\n", Some(TextKind::JsonLines)),
            ("{\"a\": 1}\r\n\r\n{\"a\": \"cut o", Some(TextKind::JsonLines)),
            ("[1, \"a\"]\n[2, \"b\"]\n", Some(TextKind::JsonLines)),
            ("{\\rtf1\\ansi a,b}", Some(TextKind::Rtf)),
        ] {
            assert_eq!(TextKind::sniff(text.as_bytes(), None), kind, "{text}");
        }
    }

    #[test]
    fn a_header_is_a_header_whatever_it_begins_with() {
        for text in [
            "",
            "id,name\n",
            "[a],[b]\n1,2\n",
            "{a},{b}\n1,2\n",
            "{\"a\"},{\"b\"}\n1,2\n",
            "[1],[2]\n1,2\n",
            "[\"a\"],[\"b\"]\n1,2\n",
            "{\"a\": 1},5\n{\"a\": 2},6\n",
            "[\n1\n2\n",
            "{}\n1\n2\n",
            "[1]\nx\n",
            "<id>,<name>\n1,2\n",
            "<id>;<name>\n1;2\n",
            "<id>\n1\n2\n",
            "<id>\n<b>1</b>\n",
            "<b>id</b>,<b>name</b>\n1,2\n",
            "<b>id</b>\n<b>1</b>\n",
            "<br/>,<br/>\n1,2\n",
            "<p>id</p>,<p>name</p>\n",
            "<table>,<b>\n1,2\n",
            "<title>\nDr\n",
            "<id\n1\n",
            "< 5,> 5\n1,2\n",
            "<5,5-10\n1,2\n",
            "<>,a\n",
            "<!-- a,b\n1,2\n",
            "{\\rtf,b\n1,2\n",
        ] {
            assert_eq!(TextKind::sniff(text.as_bytes(), None), None, "{text}");
        }
    }

    #[test]
    fn a_file_longer_than_its_front_is_told_by_its_end_too() {
        let xml = "<rows><row>1,2</row><row>";
        assert_eq!(TextKind::sniff(xml.as_bytes(), Some(b"3,4</row></rows>\n")), Some(TextKind::Xml));
        assert_eq!(TextKind::sniff(xml.as_bytes(), Some(b"3,4\n5,6\n")), None);
        let page = "<html><body><p>";
        assert_eq!(TextKind::sniff(page.as_bytes(), Some(b"</body></HTML>\n<!-- ms -->")), web_page(""));
        assert_eq!(TextKind::sniff(b"<id>,<name>\n1,2\n", Some(b"3,</name></id>")), None);
        assert_eq!(TextKind::sniff(b"[[1, 2], [3, ", Some(b"4]]")), Some(TextKind::Json));
        assert_eq!(TextKind::sniff(b"[a],[b]\n1,", Some(b"2")), None);
    }
}
