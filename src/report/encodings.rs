//! The names of encodings, as people know them.

use crate::csv::Encoding;

/// The WHATWG name, the name for people, and for which language or region it is; empty for all.
const NAMES: [(&str, &str, &str); 36] = [
    ("UTF-8", "UTF-8", ""),
    ("UTF-16LE", "UTF-16 LE", ""),
    ("UTF-16BE", "UTF-16 BE", ""),
    ("windows-1252", "Windows-1252", "Western Europe"),
    ("ISO-8859-15", "ISO-8859-15", "Western Europe"),
    ("macintosh", "Mac Roman", "Western Europe"),
    ("windows-1250", "Windows-1250", "Central Europe"),
    ("ISO-8859-2", "ISO-8859-2", "Central Europe"),
    ("ISO-8859-16", "ISO-8859-16", "Romanian"),
    ("windows-1257", "Windows-1257", "Baltic"),
    ("ISO-8859-4", "ISO-8859-4", "Baltic"),
    ("ISO-8859-13", "ISO-8859-13", "Baltic"),
    ("ISO-8859-10", "ISO-8859-10", "Nordic"),
    ("ISO-8859-14", "ISO-8859-14", "Celtic"),
    ("ISO-8859-3", "ISO-8859-3", "Southern Europe"),
    ("windows-1251", "Windows-1251", "Cyrillic"),
    ("KOI8-R", "KOI8-R", "Russian"),
    ("KOI8-U", "KOI8-U", "Ukrainian"),
    ("ISO-8859-5", "ISO-8859-5", "Cyrillic"),
    ("IBM866", "DOS 866", "Cyrillic"),
    ("x-mac-cyrillic", "Mac Cyrillic", "Cyrillic"),
    ("windows-1253", "Windows-1253", "Greek"),
    ("ISO-8859-7", "ISO-8859-7", "Greek"),
    ("windows-1254", "Windows-1254", "Turkish"),
    ("windows-1255", "Windows-1255", "Hebrew"),
    ("ISO-8859-8", "ISO-8859-8", "Hebrew"),
    ("windows-1256", "Windows-1256", "Arabic"),
    ("ISO-8859-6", "ISO-8859-6", "Arabic"),
    ("windows-1258", "Windows-1258", "Vietnamese"),
    ("windows-874", "Windows-874", "Thai"),
    ("Shift_JIS", "Shift_JIS", "Japanese"),
    ("EUC-JP", "EUC-JP", "Japanese"),
    ("EUC-KR", "EUC-KR", "Korean"),
    ("GBK", "GBK", "Chinese"),
    ("gb18030", "GB18030", "Chinese"),
    ("Big5", "Big5", "Traditional Chinese"),
];

/// The name of an encoding, and for which language or region it is; empty if for all or unknown.
#[must_use]
pub fn encoding_name(encoding: Encoding) -> (&'static str, &'static str) {
    let known = NAMES.iter().find(|(name, ..)| *name == encoding.name());
    known.map_or((encoding.name(), ""), |(_, name, region)| (name, region))
}

/// `Windows-1252 (Western Europe)`.
#[must_use]
pub fn encoding_in_full(encoding: Encoding) -> String {
    match encoding_name(encoding) {
        (name, "") => name.to_owned(),
        (name, region) => format!("{name} ({region})"),
    }
}

/// The encodings that a form offers, each as its WHATWG name and in full.
pub fn offered_encodings() -> impl Iterator<Item = (&'static str, String)> {
    NAMES.iter().filter_map(|(name, ..)| Some((*name, encoding_in_full(Encoding::labelled(name)?))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_in_the_table_is_an_encoding_of_the_whatwg() {
        for (label, ..) in NAMES {
            let encoding = Encoding::labelled(label).unwrap_or_else(|| panic!("{label}"));
            assert_eq!(encoding.name(), label);
        }
        assert_eq!(offered_encodings().count(), NAMES.len());
    }

    #[test]
    fn an_encoding_is_named_with_its_region_or_language() {
        let in_full = |label| encoding_in_full(Encoding::labelled(label).unwrap());
        for (label, name) in [
            ("utf-8", "UTF-8"),
            ("latin1", "Windows-1252 (Western Europe)"),
            ("shift_jis", "Shift_JIS (Japanese)"),
            ("macintosh", "Mac Roman (Western Europe)"),
            ("iso-2022-jp", "ISO-2022-JP"),
        ] {
            assert_eq!(in_full(label), name);
        }
    }
}
