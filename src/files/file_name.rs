//! The name of an uploaded file: sent by the client, made safe to show, and never used as a path.

use std::fmt;

use super::Address;
use crate::base::characters::misleads;

/// Longer names are cut. Real names are shorter.
const MAX_CHARS: usize = 200;

/// A file's name in one line, without folders, control characters or characters that change the text
/// direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName(String);

impl FileName {
    #[must_use]
    pub fn from_client(name: &str) -> Self {
        let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
        let shown: String = name.chars().filter(|c| !misleads(*c)).take(MAX_CHARS).collect();
        let shown = shown.trim();
        Self(if shown.is_empty() { "unnamed.csv".to_owned() } else { shown.to_owned() })
    }

    /// The name for a file with the failed records of `name`, the same as that of their download:
    /// `orders-failed.csv` for `orders.csv` and for `orders-failed.csv`.
    #[must_use]
    pub fn of_failed_records(&self) -> Self {
        const END: &str = "-failed.csv";
        let stem = self.0.rsplit_once('.').map_or(self.0.as_str(), |(stem, _)| stem);
        let stem = stem.strip_suffix("-failed").unwrap_or(stem);
        Self(stem.chars().take(MAX_CHARS - END.len()).chain(END.chars()).collect())
    }
}

impl From<&Address> for FileName {
    fn from(address: &Address) -> Self {
        Self::from_client(&address.file_name())
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_safe_to_show() {
        for (given, shown) in [
            ("orders.csv", "orders.csv"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\me\\kunden-übersicht.csv", "kunden-übersicht.csv"),
            ("a\0b\r\nc.csv", "abc.csv"),
            ("evil\u{202e}vsc.exe", "evilvsc.exe"),
            ("<b>bold</b>.csv", "b>.csv"),
            ("", "unnamed.csv"),
            ("dir/", "unnamed.csv"),
            ("\u{200b} ", "unnamed.csv"),
        ] {
            assert_eq!(FileName::from_client(given).to_string(), shown, "{given:?}");
        }
        assert_eq!(FileName::from_client(&"é".repeat(4_000)).to_string().chars().count(), MAX_CHARS);
    }
    #[test]
    fn failed_records_are_named_after_their_file_however_often_they_are_run_again() {
        for (given, failed) in [
            ("orders.csv", "orders-failed.csv"),
            ("orders-failed.csv", "orders-failed.csv"),
            ("orders.2026.txt", "orders.2026-failed.csv"),
            ("orders", "orders-failed.csv"),
        ] {
            assert_eq!(FileName::from_client(given).of_failed_records().to_string(), failed);
        }
        let long = FileName::from_client(&"é".repeat(4_000)).of_failed_records().to_string();
        assert_eq!(long.chars().count(), MAX_CHARS);
        assert!(long.ends_with("é-failed.csv"));
    }
}
