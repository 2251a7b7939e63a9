//! Numbers, sizes and durations as people read them.

use std::time::Duration;

/// `1,234,567`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 column`, `1,234 columns`.
#[must_use]
pub fn counted(count: u64, thing: &str) -> String {
    format!("{} {thing}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// `1 row`, `1,234 rows`.
#[must_use]
pub fn rows(count: u64) -> String {
    counted(count, "row")
}

/// `number` with its first `digits` digits. More digits would make an estimate look exact.
#[must_use]
pub fn rounded(number: u64, digits: u32) -> u64 {
    let length = number.checked_ilog10().map_or(1, |log| log + 1);
    let unit = 10_u64.pow(length.saturating_sub(digits));
    number.saturating_add(unit / 2) / unit * unit
}

/// Decimal units, largest first: name, bytes, shown decimals.
const UNITS: [(&str, u64, usize); 4] =
    [("TB", 1_000_000_000_000, 1), ("GB", 1_000_000_000, 1), ("MB", 1_000_000, 1), ("KB", 1_000, 0)];

/// `512 bytes`, `205 KB`, `84.6 MB`, `1.2 GB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    for (name, unit, decimals) in UNITS {
        if count >= unit {
            return format!("{:.decimals$} {name}", count as f64 / unit as f64);
        }
    }
    if count == 1 { "1 byte".to_owned() } else { format!("{count} bytes") }
}

/// `40 ms`, `0.2 s`, `16 s`, `2 min 5 s`, `3 h 20 min`.
#[must_use]
pub fn duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let seconds = duration.as_secs().saturating_add(u64::from(duration.subsec_millis() >= 500));
    match (millis, seconds) {
        (..100, _) => format!("{millis} ms"),
        (..950, _) => format!("{:.1} s", duration.as_secs_f64()),
        (_, ..60) => format!("{seconds} s"),
        (_, ..3600) => format!("{} min {} s", seconds / 60, seconds % 60),
        (_, _) => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        let expected =
            [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345, "12,345"), (1_000_000, "1,000,000")];
        for (number, text) in expected {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!((rows(1), rows(2)), ("1 row".to_owned(), "2 rows".to_owned()));
    }

    #[test]
    fn estimates_are_rounded_to_the_digits_they_are_good_for() {
        for (number, expected) in
            [(0, 0), (7, 7), (999, 999), (1_004, 1_000), (61_949, 61_900), (999_951, 1_000_000)]
        {
            assert_eq!(rounded(number, 3), expected, "{number}");
        }
        assert_eq!(rounded(u64::MAX, 3), 18_400_000_000_000_000_000);
    }

    #[test]
    fn sizes_are_in_decimal_units() {
        for (count, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (205_123, "205 KB"),
            (84_600_000, "84.6 MB"),
            (12_000_000, "12.0 MB"),
            (1_200_000_000, "1.2 GB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn durations_are_as_long_as_is_useful() {
        for (millis, text) in [
            (0, "0 ms"),
            (40, "40 ms"),
            (200, "0.2 s"),
            (949, "0.9 s"),
            (950, "1 s"),
            (16_400, "16 s"),
            (59_500, "1 min 0 s"),
            (125_000, "2 min 5 s"),
            (12_000_000, "3 h 20 min"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }
}
