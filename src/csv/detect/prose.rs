//! Text without a table.

use super::{
    candidates::has_spaces_behind,
    grid::{Grid, Judged, ratio},
};

/// The most bytes that are examined.
const MOST_BYTES: usize = 64 << 10;

/// The most lines that are examined.
const MOST_LINES: usize = 400;

/// Whether the text is sentences, although `best` splits it into rows.
pub(super) fn is_prose(best: &Grid<'_>) -> bool {
    let lines = Lines::of(best.front);
    // Sentences can have equally many commas by chance, but a space follows each.
    let is_even = best.fit() >= 0.8 && lines.filled.len() > 2;
    let is_spaced = best.dialect.delimiter.as_str().ends_with(' ') || has_spaces_behind(best);
    !is_even && lines.share(is_sentence) >= 0.5 && is_spaced
}

/// Whether the text, which no delimiter splits, is sentences or program text rather than one column.
pub(super) fn has_no_column(front: Judged<'_>) -> bool {
    let lines = Lines::of(front);
    let Some(first) = lines.filled.first() else { return false };
    let is_code =
        |line: &str| line.trim_end().ends_with([';', '{', '}', ')']) || line.starts_with([' ', '\t']);
    lines.share(is_sentence) >= 0.5 && (lines.has_gaps || is_sentence(first))
        || lines.share(is_code) >= 0.5 && lines.filled.len() > 2
}

/// The lines at the front.
struct Lines {
    filled: Vec<String>,
    /// There are empty lines among them.
    has_gaps: bool,
}

impl Lines {
    fn of(front: Judged<'_>) -> Self {
        let text =
            String::from_utf8_lossy(&front.text[..front.text.len().min(MOST_BYTES)]).replace("\r\n", "\n");
        let lines: Vec<&str> = text.split(['\n', '\r']).take(MOST_LINES).collect();
        let is_filled = |line: &&&str| !line.trim().is_empty();
        let filled: Vec<String> = lines.iter().filter(is_filled).map(|line| (*line).to_owned()).collect();
        let trailing = lines.iter().rev().take_while(|line| line.trim().is_empty()).count();
        Self { has_gaps: lines.len() - trailing > filled.len(), filled }
    }

    fn share(&self, is: impl Fn(&str) -> bool) -> f64 {
        ratio(self.filled.iter().filter(|line| is(line)).count(), self.filled.len())
    }
}

/// Several words and the punctuation of a sentence.
fn is_sentence(line: &str) -> bool {
    let line = line.trim();
    let words = line.split_whitespace().filter(|word| word.chars().any(char::is_alphabetic)).count();
    let digits = line.chars().filter(char::is_ascii_digit).count();
    let ends = line.ends_with(['.', '!', '?', ':', ',', '…']);
    let is_in_quotes = line.starts_with('"');
    let long = words >= 8 && (line.contains(", ") || line.contains(". "));
    !is_in_quotes
        && digits * 5 <= line.len()
        && (words >= 3 && ends || long || words >= 2 && ends && line.len() < 30)
}
