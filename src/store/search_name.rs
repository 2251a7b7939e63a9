//! File names in the form that is searched.

use unicode_normalization::UnicodeNormalization;

/// A file name, or a part of one, in a comparable form: letter case and Unicode composition do not matter
/// (macOS writes an umlaut as two characters).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchName(String);

impl SearchName {
    #[must_use]
    pub fn of(name: &str) -> Self {
        // Each letter separately, because `str::to_lowercase` converts a sigma depending on what follows.
        let lower = name.nfc().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c });
        Self(lower.nfc().collect())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A LIKE pattern that matches the text anywhere. Special characters are escaped.
    pub(super) fn pattern(&self) -> String {
        let mut pattern = "%".to_owned();
        for c in self.0.chars() {
            if matches!(c, '%' | '_' | '\\') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern.push('%');
        pattern
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_in_another_case_and_composed_another_way() {
        for (one, other) in
            [("KUNDEN-ÜBERSICHT.csv", "kunden-übersicht.CSV"), ("Zu\u{308}rich", "ZÜRICH"), ("ΟΔΟΣ", "οδος")]
        {
            assert_eq!(SearchName::of(one), SearchName::of(other));
        }
        assert!(SearchName::of("ΟΔΟΣΑ").as_str().contains(SearchName::of("οδος").as_str()));
        assert_ne!(SearchName::of("ubersicht"), SearchName::of("übersicht"));
    }

    #[test]
    fn nothing_that_is_searched_for_is_a_wildcard() {
        assert_eq!(SearchName::of(r"100%_\").pattern(), r"%100\%\_\\%");
    }
}
