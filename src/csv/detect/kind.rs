//! What a cell looks like. Columns whose cells look alike tell a header from data, and a right delimiter from
//! a wrong one.

/// What a cell looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Empty, or a word for it.
    Missing,
    Number,
    /// Yes or no.
    Flag,
    Email,
    Url,
    /// Contains digits, in this arrangement with other characters: dates, times, codes.
    Shape(u64),
    Word,
}

/// Words for an empty cell, in lower case.
const MISSING: [&str; 23] = [
    "", ":", "-", "--", "---", "?", ".", "..", "*", "na", "n/a", "#n/a", "n.a.", "nan", "null", "nil",
    "none", "\\n", "missing", "unknown", "inf", "-inf", "no data",
];

const FLAGS: [&str; 6] = ["true", "false", "yes", "no", "t", "f"];

impl Kind {
    pub(super) fn of(cell: &str) -> Self {
        let cell = without_flag(cell.trim());
        if cell.len() > LONGEST {
            return Self::Word;
        }
        let has_digit = cell.bytes().any(|byte| byte.is_ascii_digit());
        if !has_digit {
            let lower = cell.to_ascii_lowercase();
            if MISSING.contains(&lower.as_str()) || is_rule(cell) {
                return Self::Missing;
            }
            if FLAGS.contains(&lower.as_str()) {
                return Self::Flag;
            }
        }
        if is_number(cell) {
            Self::Number
        } else if cell.starts_with("http://") || cell.starts_with("https://") || cell.starts_with("www.") {
            Self::Url
        } else if is_email(cell) {
            Self::Email
        } else if has_digit {
            Self::Shape(shape(cell))
        } else {
            Self::Word
        }
    }

    /// Whether cells of this kind are told from names.
    pub(super) fn is_typed(self) -> bool {
        !matches!(self, Self::Missing | Self::Word)
    }
}

/// A value without the letters behind it that say how good it is, as in `2.1 b` and `: c`.
fn without_flag(cell: &str) -> &str {
    let is_flag =
        |flag: &str| (1..=2).contains(&flag.len()) && flag.bytes().all(|byte| byte.is_ascii_lowercase());
    match cell.rsplit_once(' ') {
        Some((value, flag)) if is_flag(flag) && (value == ":" || is_number(value)) => value,
        _ => cell,
    }
}

/// Whether a cell is a line, as under the names of a printed table: `----`, `====`, `---:`.
pub(super) fn is_rule(cell: &str) -> bool {
    (cell.contains("--") || cell.contains("=="))
        && cell.bytes().all(|byte| matches!(byte, b'-' | b'=' | b':'))
}

/// Longer text is not examined, in bytes.
const LONGEST: usize = 200;

/// A number as people write it: with a sign, a currency, a percent sign, groups of digits, a decimal comma.
pub(super) fn is_number(cell: &str) -> bool {
    if !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit()) {
        return true;
    }
    let cell = cell.strip_prefix('(').and_then(|cell| cell.strip_suffix(')')).unwrap_or(cell);
    let is_around = |c: char| {
        matches!(c, '+' | '-' | '\u{2212}' | '$' | '€' | '£' | '¥' | '%' | '<' | '>' | '~')
            || c.is_whitespace()
    };
    let cell = cell.trim_matches(is_around);
    let has_letters = cell.bytes().any(|byte| byte.is_ascii_alphabetic());
    let currencies = CURRENCIES.iter().filter(|_| has_letters);
    let cell = currencies.fold(cell, |cell, currency| {
        let cell = cell.strip_prefix(currency).unwrap_or(cell);
        cell.strip_suffix(currency).unwrap_or(cell).trim_matches(is_around)
    });
    let (mantissa, exponent) = cell.split_once(['e', 'E']).unwrap_or((cell, "0"));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if exponent.is_empty() || !exponent.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let mut groups = mantissa.split(is_between_digits);
    let first = groups.next().unwrap_or_default();
    let digits = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
    let rest: Vec<&str> = groups.collect();
    let separators: Vec<char> = mantissa.chars().filter(|c| is_between_digits(*c)).collect();
    if !digits(first) || !rest.iter().all(|group| digits(group)) {
        return false;
    }
    match rest.as_slice() {
        [] => !first.is_empty(),
        // A decimal point or comma, or one group.
        [fraction] => {
            separators[0] != ' ' && !(first.is_empty() && fraction.is_empty()) || fraction.len() == 3
        }
        [groups @ .., last] => {
            let same = separators[..separators.len() - 1].iter().all(|c| *c == separators[0]);
            let is_fraction = separators.last() != separators.first();
            !first.is_empty()
                && first.len() <= 3
                && same
                && groups.iter().all(|group| group.len() == 3 || group.len() == 2)
                && (is_fraction || last.len() == 3)
        }
    }
}

const CURRENCIES: [&str; 5] = ["EUR", "USD", "GBP", "CHF", "kr"];

fn is_between_digits(c: char) -> bool {
    matches!(c, '.' | ',' | '\'' | ' ' | '\u{a0}' | '\u{202f}' | '’')
}

fn is_email(cell: &str) -> bool {
    let Some((name, host)) = cell.split_once('@') else { return false };
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '%' | '\'');
    !name.is_empty() && host.contains('.') && name.chars().all(is_part) && host.chars().all(is_part)
}

/// Runs of digits and of letters count as one character each.
fn shape(cell: &str) -> u64 {
    // FNV-1a: short, and the same in every build.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut before = None;
    for c in cell.chars() {
        let class = match c {
            '0'..='9' => '9',
            c if c.is_alphabetic() => 'a',
            c if c.is_whitespace() => ' ',
            c => c,
        };
        if before != Some(class) || !matches!(class, '9' | 'a') {
            hash = (hash ^ u64::from(class)).wrapping_mul(0x0100_0000_01b3);
        }
        before = Some(class);
    }
    hash
}

/// A year of our time.
pub(super) fn is_year(cell: &str) -> bool {
    let cell = cell.trim();
    cell.len() == 4 && matches!(cell.parse(), Ok(1800_u16..=2100))
}
