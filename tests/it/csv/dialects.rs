//! Files in every dialect.

use proptest::{collection::vec, prelude::*, sample::select};
use runboard::csv::{Cursor, Dialect, Escape, Layout, Output, Pass, Quote};

use super::reference::encoded;

const LIMIT: usize = 1000;

fn layout(dialect: Dialect, columns: usize) -> Layout {
    let mut layout = Layout::read(b"", true, LIMIT).expect("an empty file");
    layout.dialect = dialect;
    layout.header = (0..columns).map(|column| format!("c{column}")).collect();
    layout.start = Cursor { byte: 0, line: 1, record: 0 };
    layout
}

fn read(layout: &Layout, file: &[u8]) -> Output {
    let mut output = Output::default();
    let consumed = Pass::new(layout, layout.start, LIMIT).read(file, true, u64::MAX, &mut output);
    assert_eq!(consumed, file.len());
    output
}

fn dialect(delimiter: &str, quote: Quote, escape: Escape) -> Dialect {
    Dialect { delimiter: delimiter.parse().expect("a delimiter"), quote, escape, ..Dialect::plain() }
}

#[test]
fn records_are_split_in_their_dialect() {
    let backslash = dialect(",", Quote::Double, Escape::Backslash);
    let spaces = Dialect { spaces_around_quotes: true, ..Dialect::plain() };
    let lines = Dialect { lines_are_quoted: true, ..Dialect::plain() };
    let inner = Dialect { inner_quotes_are_text: true, ..Dialect::plain() };
    for (name, dialect, file, expected) in [
        ("semicolons", dialect(";", Quote::Double, Escape::Doubled), "1,5;\"a;b\"\n", "\"1,5\",a;b\r\n"),
        ("two pipes", dialect("||", Quote::Double, Escape::Doubled), "a|b||\"c||d\"\n", "a|b,c||d\r\n"),
        (
            "single quotes",
            dialect(",", Quote::Single, Escape::Doubled),
            "'a,''b\"',2\n",
            "\"a,'b\"\"\",2\r\n",
        ),
        (
            "escaped separators",
            dialect(",", Quote::None, Escape::Backslash),
            "a\\,b,c:\\\\\\N\\\"\n",
            "\"a,b\",\"c:\\\\N\"\"\"\r\n",
        ),
        ("no quotes", dialect(",", Quote::None, Escape::Doubled), "\"a,b\"\n", "\"\"\"a\",\"b\"\"\"\r\n"),
        ("backslash", backslash.clone(), "\"a\\\"b\\\\\",\"c\"\"\\n\"\n", "\"a\"\"b\\\",\"c\"\"\\n\"\r\n"),
        ("backslash without quotes", backslash, "a\\,b\n", "a\\,b\r\n"),
        ("spaces around quotes", spaces.clone(), "1, \"a, b\" \n \"c\"\t,d\n", "1,\"a, b\"\r\nc,d\r\n"),
        ("spaces that are data", spaces, " a , b \n", " a , b \r\n"),
        ("quoted lines", lines.clone(), "\"1,\"\"a, b\"\"\"\n2,c\n", "1,\"a, b\"\r\n2,c\r\n"),
        ("quoted lines with a line end", lines, "\"1,a\nb\"\n", "1,\"a\nb\"\r\n"),
        ("inner quotes", inner.clone(), "\"say \"hi\" now\",2\n", "\"say \"\"hi\"\" now\",2\r\n"),
        ("inner quotes at the end", inner.clone(), "\"say \"hi\"\",2\n", "\"say \"\"hi\"\"\",2\r\n"),
        ("inner quotes that are doubled", inner, "\"say \"\"hi\"\"\",\"\"\n", "\"say \"\"hi\"\"\",\r\n"),
    ] {
        let output = read(&layout(dialect, 2), file.as_bytes());
        assert_eq!(String::from_utf8_lossy(&output.processed), expected, "{name}");
        assert_eq!(output.counts.failed, 0, "{name}");
    }
}

#[test]
fn surplus_fields_are_told_in_csv() {
    let output = read(&layout(dialect(";", Quote::Single, Escape::Doubled), 1), b"a;b;'c;d';e,f\n");
    let expected = "1,,\"4 fields, expected 1\",a,\"b,c;d,\"\"e,f\"\"\"\r\n";
    assert_eq!(String::from_utf8_lossy(&output.failed), expected);
}

fn dialects() -> impl Strategy<Value = Dialect> {
    let delimiter = select(&[",", ";", "\t", "|", " ", ":", "||", "::", "\u{1}", "§"][..]);
    let quote = select(&[Quote::Double, Quote::Single][..]);
    let escape = select(&[Escape::Doubled, Escape::Backslash][..]);
    (delimiter, quote, escape, any::<(bool, bool, bool)>()).prop_map(
        |(delimiter, quote, escape, (spaces, lines, inner))| Dialect {
            spaces_around_quotes: spaces,
            lines_are_quoted: lines,
            inner_quotes_are_text: inner,
            ..dialect(delimiter, quote, escape)
        },
    )
}

/// A record as a writer of this dialect writes it, with all fields in quotes or only those that need it.
fn written(dialect: &Dialect, record: &[String], all: bool, line_end: &str) -> String {
    let quote = dialect.quote.byte().map_or('"', char::from);
    let delimiter = dialect.delimiter.as_str();
    let escaped = |text: &str| match dialect.escape {
        Escape::Doubled => text.replace(quote, &format!("{quote}{quote}")),
        Escape::Backslash => text.replace('\\', "\\\\").replace(quote, &format!("\\{quote}")),
    };
    let in_quotes = |text: &str| format!("{quote}{}{quote}", escaped(text));
    let field = |text: &String| {
        let special = [quote, '\r', '\n', '\\', ' ', '\t'];
        let first_of_delimiter = delimiter.chars().next().unwrap_or_default();
        let needs_quotes = text.is_empty() || text.contains(special) || text.contains(first_of_delimiter);
        if all || needs_quotes { in_quotes(text) } else { text.clone() }
    };
    let around = if dialect.spaces_around_quotes && !delimiter.starts_with(' ') { " " } else { "" };
    let fields: Vec<String> = record.iter().map(field).collect();
    let line = fields.join(&format!("{delimiter}{around}"));
    let line = if dialect.lines_are_quoted { in_quotes(&line) } else { line };
    format!("{line}{line_end}")
}

fn records() -> impl Strategy<Value = Vec<Vec<String>>> {
    let pieces: &[&str] =
        &["a", "B", "ü", ",", ";", "|", ":", "\t", " ", "\"", "'", "\\", "\n", "\r", "§", "1"];
    let field = vec(select(pieces), 0..5).prop_map(|pieces| pieces.concat());
    vec(vec(field, 3), 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, max_global_rejects: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_writer_of_a_dialect_writes_is_read_back_exactly(
        dialect in dialects(),
        records in records(),
        all in any::<bool>(),
        line_end in select(&["\n", "\r\n", "\r"][..]),
        repairs in any::<bool>(),
    ) {
        // Spaces that are not quoted and quotes that are not escaped have another meaning then.
        let plain_spaces = !dialect.spaces_around_quotes || all;
        let ambiguous = |text: &String| {
            let quote = dialect.quote.byte().map_or('"', char::from);
            dialect.inner_quotes_are_text && text.contains([quote, '\\'])
        };
        prop_assume!(plain_spaces && !records.iter().flatten().any(ambiguous));
        prop_assume!(!(dialect.lines_are_quoted && dialect.inner_quotes_are_text));
        let lines: String = records.iter().map(|record| written(&dialect, record, all, line_end)).collect();
        let layout = Layout { repairs, ..layout(dialect, 3) };
        let output = read(&layout, lines.as_bytes());
        let expected: Vec<u8> = records
            .iter()
            .flat_map(|record| encoded(&record.iter().map(|field| field.clone().into_bytes()).collect::<Vec<_>>()))
            .collect();
        prop_assert_eq!(
            String::from_utf8_lossy(&output.processed), String::from_utf8_lossy(&expected), "{}", lines);
        prop_assert_eq!(output.counts.failed, 0);
    }

    #[test]
    fn every_record_is_processed_or_failed_once_in_every_dialect(
        dialect in dialects(),
        file in vec(select(&["a", ",", ";", "|", "||", ":", " ", "\"", "'", "\\", "\n", "\r\n", "\r", "§", "\0"][..]), 0..60),
        cut in 0_usize..60,
        repairs in any::<bool>(),
    ) {
        let file = file.concat();
        let file = file.as_bytes();
        let layout = Layout { repairs, ..layout(dialect, 2) };
        let whole = read(&layout, file);
        let mut pass = Pass::new(&layout, layout.start, LIMIT);
        let mut output = Output::default();
        let first = pass.read(&file[..cut.min(file.len())], false, u64::MAX, &mut output);
        let second = pass.read(&file[first..], true, u64::MAX, &mut output);
        prop_assert_eq!(first + second, file.len());
        prop_assert_eq!(pass.cursor().record, output.counts.total());
        prop_assert_eq!(output.counts, whole.counts);
        prop_assert_eq!(output.processed, whole.processed);
        prop_assert_eq!(output.failed, whole.failed);
        prop_assert_eq!(output.raw, whole.raw);
    }
}
