//! Numbers and dates of cells as text.

use jiff::{SignedDuration, ToSpan, civil::date};

/// How a number is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Format {
    #[default]
    Number,
    Date,
    Time,
    DateTime,
    /// `[h]:mm:ss`
    Duration,
}

/// The last day that Excel has, 9999-12-31.
const LAST_DAY: f64 = 2_958_465.0;

/// The days between the epochs of 1900 and 1904.
const DAYS_TO_1904: f64 = 1_462.0;

const MILLIS_OF_A_DAY: f64 = 86_400_000.0;

/// The digits that Excel keeps.
const DIGITS: usize = 15;

impl Format {
    /// The format with a number of its own (ECMA-376, 18.8.30).
    pub(super) fn built_in(id: u32) -> Self {
        match id {
            14..=17 | 27..=31 | 34..=36 | 50..=54 | 57..=58 => Self::Date,
            18..=21 | 32..=33 | 45 | 47 | 55..=56 => Self::Time,
            22 => Self::DateTime,
            46 => Self::Duration,
            _ => Self::Number,
        }
    }

    /// The format with this code, by its first section, which is that of positive numbers.
    pub(super) fn of_code(code: &str) -> Self {
        let is_general = code.to_ascii_lowercase().contains("general");
        let (mut is_date, mut is_time, mut has_m) = (false, false, false);
        let mut chars = code.chars();
        while let Some(char) = chars.next() {
            match char {
                ';' => break,
                // The next character is shown, or its width left free.
                '\\' | '_' | '*' => {
                    chars.next();
                }
                '"' => {
                    let _ = chars.by_ref().find(|char| *char == '"');
                }
                '[' => {
                    let inside: String = chars.by_ref().take_while(|char| *char != ']').collect();
                    let is_elapsed = |letter: char| {
                        !inside.is_empty() && inside.chars().all(|char| char.eq_ignore_ascii_case(&letter))
                    };
                    if ['h', 'm', 's'].into_iter().any(is_elapsed) {
                        return Self::Duration;
                    }
                }
                'y' | 'Y' | 'd' | 'D' => is_date = true,
                'h' | 'H' | 's' | 'S' => is_time = true,
                'm' | 'M' => has_m = true,
                // `General` and `Standard` have letters of dates.
                'G' | 'g' if is_general => return Self::Number,
                _ => {}
            }
        }
        match (is_date, is_time, has_m) {
            (true, true, _) => Self::DateTime,
            (true, false, _) => Self::Date,
            (false, true, _) => Self::Time,
            // Months alone.
            (false, false, true) => Self::Date,
            (false, false, false) => Self::Number,
        }
    }
}

/// Appends the number `value`, as it stands in the sheet.
pub(super) fn write(value: &str, format: Format, is_1904: bool, text: &mut String) {
    let Ok(number) = value.parse::<f64>() else {
        text.push_str(value);
        return;
    };
    match dated(number, format, is_1904) {
        Some(dated) => text.push_str(&dated),
        None => text.push_str(&plain(value, number)),
    }
}

/// The number without the noise of binary fractions: Excel shows 15 digits.
fn plain(value: &str, number: f64) -> String {
    let digits = value.strip_prefix('-').unwrap_or(value);
    if digits.len() <= DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return value.to_owned();
    }
    let rounded = format!("{number:.*e}", DIGITS - 1).parse::<f64>().unwrap_or(number);
    let magnitude = rounded.abs();
    if rounded == 0.0 {
        "0".to_owned()
    } else if (1e-9..1e21).contains(&magnitude) {
        rounded.to_string()
    } else {
        // As Excel writes it: 1E+21.
        let text = format!("{rounded:E}");
        match text.split_once('E') {
            Some((digits, power)) if !power.starts_with('-') => format!("{digits}E+{power}"),
            _ => text,
        }
    }
}

/// The date or time that `number` is; None if it is none.
fn dated(number: f64, format: Format, is_1904: bool) -> Option<String> {
    if format == Format::Number || !number.is_finite() {
        return None;
    }
    if format == Format::Duration {
        return elapsed(number);
    }
    let number = if is_1904 { number + DAYS_TO_1904 } else { number };
    if !(0.0..LAST_DAY + 1.0).contains(&number) {
        return None;
    }
    // Rounded to milliseconds, because a day's fraction is not exact.
    let millis = (number * MILLIS_OF_A_DAY).round();
    let day = (millis / MILLIS_OF_A_DAY).floor();
    let of_day = (millis - day * MILLIS_OF_A_DAY) as i64;
    let time = time_of_day(of_day);
    let is_time_alone = format == Format::Time && day == 0.0;
    if is_time_alone {
        return Some(time);
    }
    let day = day_of(day as i64)?;
    // A format without the time hides it, but it is there.
    let is_day_alone = format == Format::Date && of_day == 0;
    Some(if is_day_alone { day } else { format!("{day}T{time}") })
}

/// The day with this number. Excel has a 29 February 1900, so that the days before it are one later.
fn day_of(number: i64) -> Option<String> {
    if number == 60 {
        return Some("1900-02-29".to_owned());
    }
    let epoch = if number < 60 { date(1899, 12, 31) } else { date(1899, 12, 30) };
    Some(epoch.checked_add(number.days()).ok()?.to_string())
}

fn time_of_day(millis: i64) -> String {
    let (seconds, rest) = (millis / 1_000, millis % 1_000);
    let time = format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if rest == 0 { time } else { format!("{time}.{rest:03}") }
}

/// Hours, minutes and seconds, also beyond a day.
fn elapsed(days: f64) -> Option<String> {
    if days.abs() > LAST_DAY {
        return None;
    }
    let millis = (days.abs() * MILLIS_OF_A_DAY).round();
    let time = time_of_day(SignedDuration::from_millis(millis as i64).as_millis().try_into().ok()?);
    Some(if days < 0.0 { format!("-{time}") } else { time })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str, format: Format) -> String {
        let mut text = String::new();
        write(value, format, false, &mut text);
        text
    }

    #[test]
    fn numbers_have_no_noise() {
        for (value, text) in [
            ("1", "1"),
            ("-7", "-7"),
            ("007", "007"),
            ("1.50", "1.5"),
            ("0.30000000000000004", "0.3"),
            ("1.1000000000000001", "1.1"),
            ("99999999999999999999", "100000000000000000000"),
            ("1E-3", "0.001"),
            ("1.0E+30", "1E+30"),
            ("1.5e-20", "1.5E-20"),
            ("1E5", "100000"),
            ("-0", "-0"),
            ("0.0", "0"),
            ("x", "x"),
        ] {
            assert_eq!(shown(value, Format::Number), text, "{value}");
        }
    }

    #[test]
    fn dates_are_iso() {
        for (value, format, text) in [
            ("45306", Format::Date, "2024-01-15"),
            ("45306.5625", Format::DateTime, "2024-01-15T13:30:00"),
            ("45306", Format::DateTime, "2024-01-15T00:00:00"),
            ("45306.5625", Format::Date, "2024-01-15T13:30:00"),
            ("0.5625", Format::Time, "13:30:00"),
            ("0.56250001157", Format::Time, "13:30:00.001"),
            ("0.99999999999", Format::Time, "1900-01-01T00:00:00"),
            ("1.5", Format::Duration, "36:00:00"),
            ("-0.25", Format::Duration, "-06:00:00"),
            ("1", Format::Date, "1900-01-01"),
            ("59", Format::Date, "1900-02-28"),
            ("60", Format::Date, "1900-02-29"),
            ("61", Format::Date, "1900-03-01"),
            ("2958465", Format::Date, "9999-12-31"),
            ("2958466", Format::Date, "2958466"),
            ("-1", Format::Date, "-1"),
        ] {
            assert_eq!(shown(value, format), text, "{value} {format:?}");
        }
        let mut text = String::new();
        write("43844", Format::Date, true, &mut text);
        assert_eq!(text, "2024-01-15");
    }

    #[test]
    fn formats_are_told_by_their_code() {
        for (code, format) in [
            ("General", Format::Number),
            ("0.00", Format::Number),
            ("#,##0.00 \"days\"", Format::Number),
            ("[Red]0;[Blue]-0", Format::Number),
            ("\\d0", Format::Number),
            ("_d0_m", Format::Number),
            ("0%", Format::Number),
            ("#,##0.00\\ [$€-407]", Format::Number),
            ("yyyy-mm-dd", Format::Date),
            ("[$-407]d. mmmm yyyy;@", Format::Date),
            ("mmm", Format::Date),
            ("dd/mm/yyyy hh:mm", Format::DateTime),
            ("h:mm AM/PM", Format::Time),
            ("mm:ss.0", Format::Time),
            ("[h]:mm:ss", Format::Duration),
            ("[mm]:ss", Format::Duration),
            ("0;yyyy", Format::Number),
        ] {
            assert_eq!(Format::of_code(code), format, "{code}");
        }
    }
}
