//! Web pages and XML.

use memchr::{memchr_iter, memmem};

use super::TextKind;
use crate::csv::excerpt;

/// Elements that a web page, or a fragment of one, begins with.
const WEB_PAGE_ROOTS: [&str; 14] = [
    "html", "head", "body", "title", "script", "style", "main", "header", "section", "article", "div", "p",
    "table", "center",
];

/// Elements that are often left open where a web page was cut off.
const OPEN_ENDED_ROOTS: [&str; 4] = ["html", "head", "body", "table"];

/// The kind of a text that begins with `<`.
pub(super) fn markup(text: &[u8], end: Option<&[u8]>) -> Option<TextKind> {
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
