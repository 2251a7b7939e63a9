//! Words that are not UTF-8, picked evenly from a whole file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::is_between_words;

/// How many words are kept. They are some KB, and more would hardly change what they show.
const MOST: usize = 256;

/// Bytes of a word that are kept.
pub(super) const LONGEST: usize = 48;

/// How far before its first odd byte a word may begin.
const LONGEST_BEFORE: usize = 24;

/// The distinct words with the smallest hashes: an even choice, whatever the order and number of words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<String>", from = "Vec<String>")]
pub(super) struct Words {
    by_hash: BTreeMap<u64, Box<[u8]>>,
}

impl Words {
    /// Adds the word around the byte `odd` of `text`, which begins at `from` or later. Returns where it ends.
    pub(super) fn add_around(&mut self, text: &[u8], from: usize, odd: usize) -> usize {
        let end =
            text[odd..].iter().position(|&byte| is_between_words(byte)).map_or(text.len(), |at| odd + at);
        let before = text[from..odd].iter().rposition(|&byte| is_between_words(byte));
        let mut start = before.map_or(from, |at| from + at + 1);
        if odd - start > LONGEST_BEFORE {
            // Cut where no character of several bytes can be cut.
            let before = text[start..odd].iter().rposition(u8::is_ascii);
            start = before.map_or(start, |at| start + at + 1);
        }
        if odd - start <= LONGEST_BEFORE {
            self.add(&text[start..end.min(start + LONGEST)]);
        }
        end
    }

    fn add(&mut self, word: &[u8]) {
        let hash = hash(word);
        let is_full = self.by_hash.len() >= MOST;
        if is_full && self.by_hash.last_key_value().is_some_and(|(&largest, _)| hash >= largest) {
            return;
        }
        self.by_hash.insert(hash, word.into());
        if self.by_hash.len() > MOST {
            self.by_hash.pop_last();
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.by_hash.values().map(AsRef::as_ref)
    }
}

/// FNV-1a, mixed at the end. It only has to be even and the same in every version.
fn hash(word: &[u8]) -> u64 {
    let fnv = word.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (fnv ^ (fnv >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

/// As texts of the characters U+0000 to U+00FF, one for each byte.
impl From<Words> for Vec<String> {
    fn from(words: Words) -> Self {
        words.iter().map(|word| word.iter().map(|&byte| char::from(byte)).collect()).collect()
    }
}

impl From<Vec<String>> for Words {
    fn from(texts: Vec<String>) -> Self {
        let mut words = Self::default();
        for text in texts {
            // A character that is no byte is not ours.
            let word: Vec<u8> = text.chars().filter_map(|c| u8::try_from(u32::from(c)).ok()).collect();
            words.add(&word);
        }
        words
    }
}
