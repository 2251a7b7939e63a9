//! The file name in a `Content-Disposition` header (RFC 6266), including the extended form (RFC 8187).

use percent_encoding::percent_decode;

/// The file name in `header`. It comes from the sender: make it safe before showing it. The extended form has
/// precedence; the plain form is its fallback.
#[must_use]
pub fn file_name(header: &[u8]) -> Option<String> {
    let mut plain = None;
    let mut rest = &header[header.iter().position(|byte| *byte == b';')?..];
    while let Some((name, value, behind)) = parameter(rest) {
        if name.eq_ignore_ascii_case(b"filename*") {
            if let Some(extended) = extended(&value) {
                return Some(extended);
            }
        } else if name.eq_ignore_ascii_case(b"filename") && plain.is_none() {
            plain = Some(text(&value));
        }
        rest = behind;
    }
    plain.filter(|name| !name.trim().is_empty())
}

/// The parameter at the front of `text` (`; name=value` or `; name="value"`): its name, its unquoted value,
/// and the rest.
fn parameter(text: &[u8]) -> Option<(&[u8], Vec<u8>, &[u8])> {
    let text = text.trim_ascii_start().strip_prefix(b";")?.trim_ascii_start();
    let (name, value) = text.split_at(text.iter().position(|byte| *byte == b'=')?);
    let (name, value) = (name.trim_ascii(), value[1..].trim_ascii_start());
    let Some(quoted) = value.strip_prefix(b"\"") else {
        let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
        return Some((name, value[..end].trim_ascii().to_vec(), &value[end..]));
    };
    let mut unquoted = Vec::new();
    let mut bytes = quoted.iter().enumerate();
    while let Some((at, &byte)) = bytes.next() {
        match byte {
            b'"' => return Some((name, unquoted, &quoted[at + 1..])),
            b'\\' => unquoted.push(*bytes.next()?.1),
            byte => unquoted.push(byte),
        }
    }
    None
}

/// Decodes `UTF-8'de'%C3%BCbersicht.csv`, or the same in ISO-8859-1.
fn extended(value: &[u8]) -> Option<String> {
    let mut parts = value.splitn(3, |byte| *byte == b'\'');
    let (charset, _language, encoded) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes: Vec<u8> = percent_decode(encoded).collect();
    let name = if charset.eq_ignore_ascii_case(b"utf-8") {
        String::from_utf8(bytes).ok()?
    } else if charset.eq_ignore_ascii_case(b"iso-8859-1") {
        latin_1(&bytes)
    } else {
        return None;
    };
    Some(name).filter(|name| !name.trim().is_empty())
}

/// Decodes UTF-8, or else ISO-8859-1, which early versions of HTTP used.
fn text(value: &[u8]) -> String {
    str::from_utf8(value).map_or_else(|_| latin_1(value), str::to_owned)
}

fn latin_1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_found_in_either_form() {
        for (header, name) in [
            (&b"attachment; filename=\"orders 2026.csv\""[..], Some("orders 2026.csv")),
            (b"attachment;filename=orders.csv;size=12", Some("orders.csv")),
            (b"ATTACHMENT; FileName = \"a\\\"b;c.csv\" ; x=y", Some("a\"b;c.csv")),
            (
                b"attachment; filename=\"fall.csv\"; filename*=UTF-8''%C3%BCbersicht.csv",
                Some("übersicht.csv"),
            ),
            (b"attachment; filename*=utf-8'de'%C3%BCbersicht.csv; filename=x.csv", Some("übersicht.csv")),
            (b"attachment; filename*=iso-8859-1'en'%A3%20rates.csv", Some("£ rates.csv")),
            (b"attachment; filename=\"x.csv\"; filename*=UTF-8''%FF.csv", Some("x.csv")),
            (b"attachment; filename=\"x.csv\"; filename*=KOI8-R''%C1.csv", Some("x.csv")),
            ("inline; filename=\"übersicht.csv\"".as_bytes(), Some("übersicht.csv")),
            (b"inline; filename=\"\xfcbersicht.csv\"", Some("übersicht.csv")),
            (b"attachment", None),
            (b"attachment; filename=\"\"", None),
            (b"attachment; filename=\"never closed", None),
            (b"attachment; filename", None),
            (b"", None),
        ] {
            assert_eq!(file_name(header).as_deref(), name, "{}", header.escape_ascii());
        }
    }
}
