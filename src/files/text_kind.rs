//! Recognises text files that are not CSV by their form (a tag that encloses the file, a JSON value), never
//! by a single character: `[a],[b]` and `<id>,<name>` are headers. Also bytes that are no text at all.

mod binary;
mod documents;
mod markup;

use std::fmt;

use serde::de::IgnoredAny;

use markup::markup;

/// What is certainly not a CSV, by its form.
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
    /// Statements that fill a database.
    Sql,
    /// One message or several.
    Mail,
    Calendar,
    Contacts,
    /// What Git keeps in place of a big file.
    GitLfsPointer {
        /// The size of the file itself in bytes.
        size: u64,
    },
    /// No text, of a kind that no signature tells.
    Binary,
    /// Nothing but NUL bytes and white space at the front, as a failed copy leaves it.
    Nuls {
        /// How many NUL bytes the front has.
        count: u64,
    },
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl TextKind {
    /// How many bytes of a file's end [`TextKind::sniff`] examines.
    pub const END_BYTES: u64 = 4 << 10;

    /// Whether the file is no text, by its `front` in UTF-8. None if it may be text. A front of 128 KiB is long enough,
    /// a longer one tells that there is no text behind NUL bytes.
    #[must_use]
    pub fn sniff_binary(front: &[u8]) -> Option<Self> {
        binary::sniff(front)
    }

    /// The kind of a text by its `front` and, unless `front` is the whole file, its last bytes `end`. None if
    /// the file may be a CSV.
    #[must_use]
    pub fn sniff(front: &[u8], end: Option<&[u8]>) -> Option<Self> {
        let text = front.strip_prefix(BYTE_ORDER_MARK).unwrap_or(front).trim_ascii_start();
        match text.first()? {
            b'{' if text.strip_prefix(b"{\\rtf").is_some_and(starts_with_digit) => Some(Self::Rtf),
            b'{' | b'[' => json(text, end.is_none()),
            b'<' => markup(text, end),
            _ => documents::sniff(text),
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
            Self::Sql => f.write_str("SQL"),
            Self::Mail => f.write_str("an e-mail message"),
            Self::Calendar => f.write_str("a calendar"),
            Self::Contacts => f.write_str("a list of contacts (vCard)"),
            Self::GitLfsPointer { size } => {
                write!(f, "a Git LFS pointer to a file of {} bytes", grouped(*size))
            }
            Self::Binary => f.write_str("a binary file"),
            Self::Nuls { count } => {
                write!(f, "a file that begins with {} NUL bytes instead of text", grouped(*count))
            }
        }
    }
}

/// The digits in groups of three: `12,345`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
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
            ("CREATE TABLE t (id int, name text);\nINSERT INTO t VALUES (1, 'Ann');\n", Some(TextKind::Sql)),
            ("-- PostgreSQL dump\n\nSET client_encoding = 'UTF8';\n", Some(TextKind::Sql)),
            ("/* a\n; */ insert into t values\n(1, 'x;y'),\n(2, 'z');", Some(TextKind::Sql)),
            ("PRAGMA foreign_keys=OFF;\r\nBEGIN TRANSACTION;\r\n", Some(TextKind::Sql)),
            (
                "Return-Path: <a@x.org>\r\nFrom: A <a@x.org>\r\nTo: b@x.org,\r\n c@x.org\r\n\r\nHi, B\r\n",
                Some(TextKind::Mail),
            ),
            (
                "From a@x.org Thu Jan  1 00:00:00 2024\nMessage-ID: <1>\nSubject: x\n\nHi\n",
                Some(TextKind::Mail),
            ),
            (
                "From: A <a@x.org>\nTo: b@x.org\nSubject: hi\nDate: Mon, 1 Jan 2024 10:00:00 +0000\n\nHi, B\n",
                Some(TextKind::Mail),
            ),
            ("Date: 1 Jan 2024\r\nTo: b@x.org\r\nFrom: a@x.org\r\n\r\nHi,\r\nB\r\n", Some(TextKind::Mail)),
            ("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n", Some(TextKind::Calendar)),
            ("BEGIN:VCARD\nVERSION:3.0\n", Some(TextKind::Contacts)),
            (
                "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n",
                Some(TextKind::GitLfsPointer { size: 12345 }),
            ),
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
            "select,from\n1,2;\n",
            "create table;drop table\n1;2;\n",
            "CREATE TABLE t,INSERT\n1,2\n",
            "-- id,name\n1,2\n",
            "From: 01.01.2024\nTo: 31.01.2024\nSubject: all\n\nDay;Text;Sum\n1;x;2\n",
            "From: a@x.org\nSubject: all\n\nDay;Text;Sum\n1;x;2\n",
            "From:To:Subject\na:b:c\n",
            "From a,To b\n1,2\n",
            "BEGIN:END\n1:2\n",
            "version,oid,size\n1,2,3\n",
            "version https://git-lfs.github.com/spec/v1,x\n1,2\n",
        ] {
            assert_eq!(TextKind::sniff(text.as_bytes(), None), None, "{text}");
        }
    }

    #[test]
    fn a_pointer_says_the_size_of_the_file_itself() {
        let said = |size| TextKind::GitLfsPointer { size }.to_string();
        assert_eq!(said(12_345_678), "a Git LFS pointer to a file of 12,345,678 bytes");
        assert_eq!(said(5), "a Git LFS pointer to a file of 5 bytes");
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
