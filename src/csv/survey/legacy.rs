//! The most likely encoding of words that are not UTF-8.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{
    GB18030, GBK, ISO_8859_2, ISO_8859_15, KOI8_R, KOI8_U, MACINTOSH, WINDOWS_1250, WINDOWS_1252,
};

use super::words::{LONGEST, Words};
use crate::csv::Encoding;

/// With so many whole words, those that were cut are not needed.
const ENOUGH_WORDS: usize = 16;

pub(super) fn encoding(words: &Words, lone_crs: bool) -> Encoding {
    let guess = guess(words);
    let is_in = |bytes: &[u8]| words.iter().flatten().any(|byte| bytes.contains(byte));
    let encoding = if is_macintosh(words, guess, lone_crs) {
        MACINTOSH
    } else if guess == GBK {
        // GBK is a part of it.
        GB18030
    } else if guess == KOI8_U && !is_in(UKRAINIAN_IN_KOI8) {
        KOI8_R
    } else if is_latin_9(words, guess) {
        ISO_8859_15
    } else {
        guess
    };
    Encoding::from(encoding)
}

/// The letters that KOI8-U has and KOI8-R has not.
const UKRAINIAN_IN_KOI8: &[u8] = b"\xa4\xa6\xa7\xad\xae\xb4\xb6\xb7\xbd\xbe";

/// By letter pairs. The detector knows neither Mac Roman nor the parts of ISO 8859 that differ from
/// Windows-1252 in a few signs.
fn guess(words: &Words) -> &'static encoding_rs::Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    let mut feed = |word: &[u8]| {
        detector.feed(word, false);
        detector.feed(b" ", false);
    };
    let (cut, whole): (Vec<&[u8]>, Vec<&[u8]>) = words.iter().partition(|word| word.len() == LONGEST);
    whole.iter().for_each(|word| feed(word));
    if whole.len() < ENOUGH_WORDS {
        cut.iter().for_each(|word| feed(without_half_character(word)));
    }
    detector.feed(b"", true);
    detector.guess(None, Utf8Detection::Deny)
}

/// Most characters of several bytes have two.
fn without_half_character(word: &[u8]) -> &[u8] {
    let high = word.iter().rev().take_while(|byte| !byte.is_ascii()).count();
    &word[..word.len() - high % 2]
}

/// Whether the words look better in Mac Roman: its letters are signs or capitals in other encodings, and the
/// other way round.
fn is_macintosh(words: &Words, guess: &'static encoding_rs::Encoding, lone_crs: bool) -> bool {
    let [as_guess, as_macintosh] = [guess, MACINTOSH].map(|encoding| oddness(words, encoding));
    as_macintosh * 2 < as_guess || (lone_crs && as_macintosh <= as_guess)
}

/// How much in the words is not as people write.
fn oddness(words: &Words, encoding: &'static encoding_rs::Encoding) -> u32 {
    let odd = |word: &[u8]| {
        let (text, _) = encoding.decode_without_bom_handling(word);
        let letters: Vec<char> = text.chars().collect();
        let at = |at: usize| letters.get(at).copied().filter(|c| c.is_alphabetic());
        let oddness =
            letters.iter().enumerate().filter(|(_, letter)| !letter.is_ascii()).map(|(place, &letter)| {
                let (before, after) = (place.checked_sub(1).and_then(at), at(place + 1));
                oddness_between(before, letter, after)
            });
        oddness.sum::<u32>()
    };
    words.iter().map(odd).sum()
}

fn oddness_between(before: Option<char>, letter: char, after: Option<char>) -> u32 {
    let is_latin = |c: char| c < '\u{250}' || ('\u{1E00}'..'\u{1F00}').contains(&c);
    if letter.is_alphabetic() {
        let mixes_scripts =
            [before, after].into_iter().flatten().any(|other| is_latin(other) != is_latin(letter));
        let is_capital_inside = letter.is_uppercase() && before.is_some_and(char::is_lowercase);
        return 2 * u32::from(mixes_scripts || is_capital_inside);
    }
    match (letter, before, after) {
        ('\u{80}'..='\u{9F}' | '\u{FFFD}', ..) => 3,
        ('’' | '‘' | '·', ..) | (_, None, None) => 0,
        (_, Some(_), Some(_)) => 2,
        (
            '“' | '”' | '„' | '‚' | '«' | '»' | '‹' | '›' | '…' | '–' | '—' | '™' | '®' | '©' | '°' | '€',
            ..,
        ) => 0,
        ('£' | '§' | '¿' | '¡' | '\u{A0}', ..) => 0,
        _ => 1,
    }
}

/// ISO 8859-15 has the euro sign and eight letters in the place of signs that hardly anybody writes.
fn is_latin_9(words: &Words, guess: &'static encoding_rs::Encoding) -> bool {
    let is_rival = guess == WINDOWS_1252
        || ([WINDOWS_1250, ISO_8859_2].contains(&guess)
            && oddness(words, ISO_8859_15) < oddness(words, guess));
    let is_letter = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphabetic() || *byte >= 0xC0);
    let is_sign = |word: &[u8], place: usize| {
        let before = place.checked_sub(1).and_then(|place| word.get(place));
        let after = word.get(place + 1);
        match word[place] {
            // The euro.
            0xA4 => true,
            // Š, Ž and Œ begin a word.
            0xA6 | 0xB4 | 0xBC => before.is_none() && is_letter(after),
            // š, ž and œ.
            0xA8 | 0xB8 | 0xBD => is_letter(after) || (is_letter(before) && after.is_none()),
            _ => false,
        }
    };
    is_rival
        && words.iter().any(|word| (0..word.len()).any(|place| is_sign(word, place)))
        && !words.iter().flatten().any(|byte| (0x80..0xA0).contains(byte))
}
