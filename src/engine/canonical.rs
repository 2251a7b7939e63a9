//! Canonical JSON (RFC 8785): sorted keys, and numbers in JavaScript's format.
//!
//! An SDK checks a call's signature over the JSON that it has parsed and serialised again, so calls are
//! signed and sent in this form. Integers beyond 2^53 lose digits, as on Inngest.

use serde_json::{Number, Value};

/// Up to this integer each one has its own double.
const MAX_SAFE_INTEGER: u64 = 1 << 53;

#[must_use]
pub fn to_vec(value: &Value) -> Vec<u8> {
    let mut text = String::new();
    write(value, &mut text);
    text.into_bytes()
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Number(number) => text.push_str(&number_text(number)),
        Value::Array(items) => {
            text.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    text.push(',');
                }
                write(item, text);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            text.push('{');
            for (position, (key, item)) in fields.into_iter().enumerate() {
                if position > 0 {
                    text.push(',');
                }
                write_string(key, text);
                text.push(':');
                write(item, text);
            }
            text.push('}');
        }
        Value::String(string) => write_string(string, text),
        Value::Null | Value::Bool(_) => text.push_str(&value.to_string()),
    }
}

/// `serde_json` escapes the same characters as JavaScript.
fn write_string(string: &str, text: &mut String) {
    text.push_str(&Value::from(string).to_string());
}

fn number_text(number: &Number) -> String {
    let is_exact = |integer: u64| integer <= MAX_SAFE_INTEGER;
    match (number.as_i64(), number.as_f64()) {
        (Some(integer), _) if is_exact(integer.unsigned_abs()) => integer.to_string(),
        (_, Some(double)) => ryu_js::Buffer::new().format(double).to_owned(),
        (_, None) => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(json: &str) -> String {
        String::from_utf8(to_vec(&serde_json::from_str(json).unwrap())).unwrap()
    }

    #[test]
    fn keys_are_sorted_at_every_depth() {
        let json = r#"{"b":[{"z":1,"a":null}],"a":{"d":true,"C":"x"},"__a":[]}"#;
        assert_eq!(canonical(json), r#"{"__a":[],"a":{"C":"x","d":true},"b":[{"a":null,"z":1}]}"#);
        // Sorted by UTF-16: the surrogates of an emoji come before U+FB33.
        let expected = "{\"é\":3,\"😀\":2,\"\u{fb33}\":1}";
        assert_eq!(canonical(r#"{"\ufb33":1,"😀":2,"é":3}"#), expected);
    }

    #[test]
    fn strings_are_escaped_no_more_than_javascript_does() {
        let json = r#""\u00e9\u20ac\/\"\\\n\r\t\b\f\u001f\u007f😀""#;
        let expected = "\"é€/\\\"\\\\\\n\\r\\t\\b\\f\\u001f\u{7f}😀\"";
        assert_eq!(canonical(json), expected);
    }

    // The expected texts were printed by Node 20.
    #[test]
    fn numbers_are_written_as_javascript_does() {
        for (json, expected) in [
            ("1.0", "1"),
            ("-0.0", "0"),
            ("1795466576208", "1795466576208"),
            ("-9007199254740992", "-9007199254740992"),
            ("9007199254740993", "9007199254740992"),
            ("12345678901234567890", "12345678901234567000"),
            ("1e20", "100000000000000000000"),
            ("1e21", "1e+21"),
            ("-1.5e300", "-1.5e+300"),
            ("0.1", "0.1"),
            ("-123.456", "-123.456"),
            ("0.000001", "0.000001"),
            ("0.00000123", "0.00000123"),
            ("1e-7", "1e-7"),
            ("1.25e-7", "1.25e-7"),
            ("5e-324", "5e-324"),
            // RFC 8785, appendix B.
            ("-5e-324", "-5e-324"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            ("9007199254740992", "9007199254740992"),
            ("295147905179352830000", "295147905179352830000"),
            ("9.999999999999997e22", "9.999999999999997e+22"),
            ("1e23", "1e+23"),
            ("1.0000000000000001e23", "1.0000000000000001e+23"),
            ("999999999999999700000", "999999999999999700000"),
            ("9.999999999999997e-7", "9.999999999999997e-7"),
            ("333333333.33333329", "333333333.3333333"),
            ("333333333.33333340", "333333333.3333334"),
            ("-0.0000033333333333333333", "-0.0000033333333333333333"),
            ("1424953923781206.25", "1424953923781206.2"),
        ] {
            assert_eq!(canonical(json), expected, "{json}");
        }
    }
}
