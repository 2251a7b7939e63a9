//! What a parser (serde) says about a value, in plain words.

use serde_json::error::Category;

/// The parser's names of types, and what people call them.
const TYPES: [(&str, &str); 6] = [
    ("u32", "a whole number from 0 to 4294967295"),
    ("u64", "a whole number, 0 or more"),
    ("a sequence", "a list"),
    ("a map", "an object"),
    ("a boolean", "`true` or `false`"),
    ("string or map", "a string"),
];

/// Why `body` is not JSON that can be read: a sentence without its full stop.
pub fn of_json(body: &[u8], why: &serde_json::Error) -> String {
    let place = format!("line {}, column {}", why.line(), why.column());
    match why.classify() {
        Category::Eof if body.trim_ascii().is_empty() => "The body is empty".to_owned(),
        Category::Eof => "The body is not JSON: it ends too early".to_owned(),
        // The parser has no kind of error for these two, whose bodies are JSON.
        Category::Syntax if why.to_string().starts_with("recursion limit exceeded") => {
            "The body is nested too deeply".to_owned()
        }
        Category::Syntax if why.to_string().starts_with("number out of range") => {
            format!("The body has a number that is too large, at {place}")
        }
        Category::Syntax | Category::Data | Category::Io => {
            format!("The body is not JSON: it has an error at {place}")
        }
    }
}

/// What is wrong with a value, as the rest of a sentence that begins with its name: `must be a list, not null`.
pub fn predicate(why: &str) -> String {
    let why = without_place(why);
    // A value that is repeated may contain the words between it and what was expected, but those come last.
    let parts = |start: &str| why.strip_prefix(start)?.rsplit_once(", expected ");
    if let Some((name, fields)) = parts("unknown field ") {
        let fields = fields.strip_prefix("one of ").unwrap_or(fields);
        return format!("has the unknown field {name}; it can have {fields}");
    }
    if let Some(name) = why.strip_prefix("unknown field ") {
        return format!(
            "has the unknown field {}",
            name.strip_suffix(", there are no fields").unwrap_or(name)
        );
    }
    if let Some((word, words)) = parts("unknown variant ") {
        return format!("must be {words}, not {word}");
    }
    if let Some((value, expected)) = parts("invalid type: ").or_else(|| parts("invalid value: ")) {
        let plain = TYPES.iter().find(|(name, _)| *name == expected).map_or(expected, |(_, plain)| plain);
        return format!("must be {plain}, not {}", plain_value(value));
    }
    if let Some(name) = why.strip_prefix("missing field ") {
        return format!("needs the field {name}");
    }
    if let Some(name) = why.strip_prefix("duplicate field ") {
        return format!("has the field {name} twice");
    }
    match why {
        "invalid digit found in string" | "cannot parse integer from empty string" => {
            "must be a whole number, 0 or more".to_owned()
        }
        "number too large to fit in target type" => "must be a smaller number".to_owned(),
        "provided string was not `true` or `false`" => "must be `true` or `false`".to_owned(),
        // In JSON that is correct: another value in place of a word.
        "expected value" => "must be a string".to_owned(),
        why if why.starts_with("must ") => why.to_owned(),
        why => format!("is not accepted: {why}"),
    }
}

/// What is wrong with the member `name` of an object: a sentence that begins with its name in backquotes, with those of
/// the objects around it.
pub fn of_member(name: &str, why: &str) -> String {
    match without_place(why).strip_prefix('`') {
        Some(inner) => format!("`{name}.{inner}"),
        None => format!("`{name}` {}", predicate(why)),
    }
}

/// What is wrong with `whole`: a sentence that begins with the name of its member, or with `whole`.
pub fn of_whole(whole: &str, why: &str) -> String {
    match without_place(why) {
        why if why.starts_with('`') => why.to_owned(),
        why => format!("{whole} {}", predicate(why)),
    }
}

/// Without ` at line 1 column 7`: the sentence names the member instead.
fn without_place(why: &str) -> &str {
    let Some((text, place)) = why.rsplit_once(" at line ") else { return why };
    let is_place = place.split(" column ").all(|number| number.parse::<usize>().is_ok());
    if is_place { text } else { why }
}

fn plain_value(value: &str) -> String {
    let (kind, shown) = value.split_once(' ').unwrap_or((value, ""));
    match (kind, shown) {
        ("sequence", "") => "a list".to_owned(),
        ("map", "") => "an object".to_owned(),
        ("boolean", shown) => shown.to_owned(),
        ("integer", shown) => format!("the number {shown}"),
        ("floating", shown) => format!("the number {}", shown.strip_prefix("point ").unwrap_or(shown)),
        ("string", shown) => format!("the string {shown}"),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_parser_says_is_put_in_plain_words() {
        for (why, plain) in [
            ("invalid type: null, expected an object at line 1 column 4", "must be an object, not null"),
            ("invalid type: map, expected a sequence", "must be a list, not an object"),
            ("invalid type: sequence, expected a string", "must be a string, not a list"),
            ("invalid type: boolean `true`, expected a string", "must be a string, not `true`"),
            (
                "invalid type: floating point `1.5`, expected u64",
                "must be a whole number, 0 or more, not the number `1.5`",
            ),
            (
                "invalid type: string \"a, expected u32 at line 1 column 1\", expected a sequence at line 2 column 3",
                "must be a list, not the string \"a, expected u32 at line 1 column 1\"",
            ),
            ("unknown field `x`, expected `a` or `b`", "has the unknown field `x`; it can have `a` or `b`"),
            (
                "unknown field `x`, expected one of `a`, `b`, `c`",
                "has the unknown field `x`; it can have `a`, `b`, `c`",
            ),
            ("unknown field `x`, there are no fields", "has the unknown field `x`"),
            ("unknown variant `x`, expected `failed`", "must be `failed`, not `x`"),
            ("missing field `name` at line 1 column 2", "needs the field `name`"),
            ("something else", "is not accepted: something else"),
        ] {
            assert_eq!(predicate(why), plain);
        }
    }

    #[test]
    fn what_is_not_json_is_said_without_the_parsers_words() {
        let deep = "[".repeat(1_000);
        let huge = format!("{{\"a\": 1{}}}", "0".repeat(400));
        for (body, plain) in [
            (&b""[..], "The body is empty"),
            (b" \n", "The body is empty"),
            (b"{", "The body is not JSON: it ends too early"),
            (br#"{"a":"#, "The body is not JSON: it ends too early"),
            (br#"{"a":"b"#, "The body is not JSON: it ends too early"),
            (br#"{"a":1} x"#, "The body is not JSON: it has an error at line 1, column 9"),
            (b"{\"a\":\n  1,}", "The body is not JSON: it has an error at line 2, column 5"),
            (br#"["\u12x4"]"#, "The body is not JSON: it has an error at line 1, column "),
            (br#"["\ud800"]"#, "The body is not JSON: it has an error at line 1, column "),
            (b"[\"\xff\"]", "The body is not JSON: it has an error at line 1, column "),
            (deep.as_bytes(), "The body is nested too deeply"),
            (huge.as_bytes(), "The body has a number that is too large, at line 1, column "),
        ] {
            let why = serde_json::from_slice::<serde_json::Value>(body).unwrap_err();
            let told = of_json(body, &why);
            let rest = told.strip_prefix(plain).unwrap_or_else(|| panic!("{body:?}: {told}"));
            assert!(rest.bytes().all(|byte| byte.is_ascii_digit()), "{body:?}: {told}");
        }
    }

    #[test]
    fn a_member_is_named_with_the_objects_around_it() {
        let inner = of_member("header", "invalid type: map, expected a string at line 1 column 30");
        let outer = of_member("reading", &format!("{inner} at line 1 column 31"));
        assert_eq!(outer, "`reading.header` must be a string, not an object");
        assert_eq!(of_whole("The body", &outer), outer);
        let unknown = "unknown field `x`, there are no fields";
        assert_eq!(of_whole("The query", unknown), "The query has the unknown field `x`");
    }
}
