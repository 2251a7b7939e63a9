//! Formats the sizes that are limits.

/// Binary units, largest first.
const UNITS: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// A limit in the units that an operator sets, rounded down, so that a file of the printed size is accepted:
/// `10 GiB`, `4.7 MiB`, `1,000 bytes`.
#[must_use]
pub fn bytes_at_most(limit: u64) -> String {
    let Some((name, unit)) = UNITS.into_iter().find(|(_, unit)| limit >= *unit) else {
        return match limit {
            1 => "1 byte".to_owned(),
            ..1_000 => format!("{limit} bytes"),
            _ => format!("1,{:03} bytes", limit - 1_000),
        };
    };
    let (whole, rest) = (limit / unit, limit % unit);
    match rest.saturating_mul(10) / unit {
        0 => format!("{whole} {name}"),
        tenths => format!("{whole}.{tenths} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_in_binary_units_and_never_promise_more() {
        for (limit, text) in [
            (10 << 30, "10 GiB"),
            (1 << 20, "1 MiB"),
            (5_000_000, "4.7 MiB"),
            ((1 << 20) - 1, "1023.9 KiB"),
            (1_999, "1.9 KiB"),
            (1_000, "1,000 bytes"),
            (1, "1 byte"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(bytes_at_most(limit), text);
        }
    }
}
