use std::io::{self, Read};

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::csv::{Delimiter, Quote};

fn dialect(delimiter: &str) -> Dialect {
    Dialect { delimiter: delimiter.parse::<Delimiter>().unwrap(), ..Dialect::plain() }
}

fn labelled(name: &str) -> Encoding {
    Encoding::labelled(name).unwrap()
}

/// Gives a few bytes at a time.
struct Slow<'b>(&'b [u8]);

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(3).min(self.0.len());
        buffer[..length].copy_from_slice(&self.0[..length]);
        self.0 = &self.0[length..];
        Ok(length)
    }
}

fn converted(mut form: SourceForm<Slow<'_>>, output: &[u8], chunk: usize) -> Vec<u8> {
    let mut out = Vec::new();
    output.chunks(chunk).for_each(|chunk| form.convert(chunk, false, &mut out).unwrap());
    form.convert(b"", true, &mut out).unwrap();
    out
}

fn processed(dialect: Dialect, encoding: &str, output: &str) -> Vec<u8> {
    let convert = |chunk| {
        converted(SourceForm::new(dialect.clone(), labelled(encoding), None), output.as_bytes(), chunk)
    };
    let out = convert(7);
    assert_eq!(convert(1), out);
    out
}

fn failed(dialect: Dialect, encoding: &str, output: &str, raw: &[u8]) -> Vec<u8> {
    let convert = |chunk| {
        converted(
            SourceForm::new(dialect.clone(), labelled(encoding), Some(Slow(raw))),
            output.as_bytes(),
            chunk,
        )
    };
    let out = convert(1000);
    assert_eq!(convert(1), out);
    out
}

#[test]
fn processed_records_have_the_separator_and_the_encoding_of_the_file() {
    let output = "name,price,note\r\nZoë,\"1,50\",\"a;b\"\r\n\"say \"\"hi\"\"\",2,\"two\r\nlines\"\r\n";
    assert_eq!(
        processed(dialect(";"), "windows-1252", output),
        b"name;price;note\r\nZo\xeb;1,50;\"a;b\"\r\n\"say \"\"hi\"\"\";2;\"two\r\nlines\"\r\n"
    );
    let utf16: Vec<u8> = "\u{feff}Zoë\tx\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(processed(dialect("\t"), "utf-16le", "Zoë,x\r\n"), utf16);
    let plain = output.replace("\"a;b\"", "a;b");
    assert_eq!(processed(dialect(","), "utf-8", &plain), ["\u{feff}", &plain].concat().as_bytes());
    assert_eq!(
        processed(dialect("||"), "utf-8", "a|b,\"c,d\",e||f\r\n"),
        "\u{feff}a|b||c,d||\"e||f\"\r\n".as_bytes()
    );
    assert_eq!(processed(dialect(";"), "windows-1252", "email\r\n\"\"\r\nx\r\n"), b"email\r\n\"\"\r\nx\r\n");
}

#[test]
fn processed_records_have_the_quotes_of_the_file() {
    let output = "a,b\r\nit's,\"x;y\"\r\n\"say \"\"hi\"\"\",\\\r\n";
    let single = Dialect { quote: Quote::Single, ..dialect(";") };
    assert_eq!(processed(single, "windows-1252", output), b"a;b\r\n'it''s';'x;y'\r\nsay \"hi\";\\\r\n");
    let backslash = Dialect { escape: Escape::Backslash, ..dialect(";") };
    assert_eq!(
        processed(backslash, "windows-1252", output),
        b"a;b\r\nit's;\"x;y\"\r\n\"say \\\"hi\\\"\";\\\r\n"
    );
    let escaped = Dialect { quote: Quote::None, escape: Escape::Backslash, ..dialect(",") };
    assert_eq!(processed(escaped, "windows-1252", "a,\"1,5\",c:\\\r\n"), b"a,1\\,5,c:\\\\\r\n");
    let none = Dialect { quote: Quote::None, ..dialect("\t") };
    assert_eq!(processed(none, "windows-1252", "\"5\"\" pipe\",\"1,5\"\r\n"), b"5\" pipe\t1,5\r\n");
}

#[test]
fn failed_records_have_double_quotes_whatever_the_file_has() {
    let output = "2,,\"a;b\",it's,\"say \"\"hi\"\"\",\"c:\\;\"\r\n";
    let expected = b"2;;\"a;b\";it's;\"say \"\"hi\"\"\";\"c:\\;\"\r\n";
    for (quote, escape) in [
        (Quote::None, Escape::Doubled),
        (Quote::Single, Escape::Doubled),
        (Quote::Single, Escape::Backslash),
        (Quote::Double, Escape::Backslash),
    ] {
        let dialect = Dialect { quote, escape, ..dialect(";") };
        assert_eq!(
            failed(dialect, "windows-1252", output, b"").escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    }
}

#[test]
fn failed_records_have_their_original_bytes() {
    let output = "_line,_column,_reason,name,town,_extra\r\n\
                  2,name,not valid UTF-8,Ren\u{fffd}e,\"K\u{f6}ln, Deutz\"\r\n\
                  4,,longer than 10 bytes\r\n\
                  6,town,contains a NUL byte,\u{fffd},\u{fffd}x\u{fffd},\"a,\u{fffd}\"\r\n";
    // The long record has odd bytes too, and U+FFFD is text in the last one.
    let raw = b"Ren\xe9e;K\xc3\xb6ln, Deutz\nlong\xff\xfe record\n\xef\xbf\xbd;\0x\xe2\x82;a;\xf0\x9f\x80\n";
    let restored = b"\xef\xbb\xbf_line;_column;_reason;name;town;_extra\r\n\
                     2;name;not valid UTF-8;Ren\xe9e;K\xc3\xb6ln, Deutz\r\n\
                     4;;longer than 10 bytes\r\n\
                     6;town;contains a NUL byte;\xef\xbf\xbd;\0x\xe2\x82;a,\xf0\x9f\x80\r\n";
    assert_eq!(
        failed(dialect(";"), "utf-8", output, raw).escape_ascii().to_string(),
        restored.escape_ascii().to_string()
    );
    // The escapes of a decoded copy become the bytes that they stand for.
    let output = "_line,_column,_reason,a,b\r\n2,,not,α\u{fffd},x\u{fffd}\r\n";
    let header = &b"_line;_column;_reason;a;b\r\n"[..];
    let greek = failed(dialect(";"), "windows-1253", output, "α".as_bytes());
    assert_eq!(greek, [header, b"2;;not;\xe1?;x?\r\n"].concat(), "nothing is left of the original");
    let raw = b"\xce\xb1\xed\xb2\xaa;x\xed\xb3\xbf\n";
    assert_eq!(
        failed(dialect(";"), "windows-1253", output, raw),
        [header, b"2;;not;\xe1\xaa;x\xff\r\n"].concat()
    );
    // The originals have no header, whose U+FFFD stays.
    let output = "_line,_column,_reason,i\u{fffd}\r\n2,,not,x\u{fffd}\r\n";
    let restored = failed(dialect(";"), "windows-1252", output, b"x\0\n");
    assert_eq!(restored, b"_line;_column;_reason;i?\r\n2;;not;x\0\r\n");
}

#[test]
fn a_long_field_is_written_in_pieces() {
    for before in LONG - 12..=LONG + 4 {
        let text = "x".repeat(before);
        let output =
            format!("_line,_column,_reason,a,b\r\n2,,not,\"{text}\u{fffd}\"\"yz\u{fffd}\",\u{fffd}\r\n");
        let raw = [text.as_bytes(), &b"\xe9\"yz\0,\xff\n"[..]].concat();
        let restored = failed(dialect(","), "utf-8", &output, &raw);
        let expected = [
            "\u{feff}_line,_column,_reason,a,b\r\n2,,not,\"".as_bytes(),
            text.as_bytes(),
            b"\xe9\"\"yz\0\",\xff\r\n",
        ]
        .concat();
        assert!(restored == expected, "{before}");
    }
    let text = "x".repeat(3 * LONG);
    let single = Dialect { quote: Quote::Single, ..dialect(";") };
    let out = processed(single, "windows-1252", &format!("a,b\r\n{text},'\r\n"));
    assert!(out == format!("a;b\r\n'{text}';''''\r\n").as_bytes());
}

#[test]
fn a_separator_across_two_pieces_of_a_long_field_is_escaped() {
    for before in LONG - 4..=LONG + 1 {
        let text = "x".repeat(before);
        let none = Dialect { quote: Quote::None, escape: Escape::Backslash, ..dialect("||") };
        let out = processed(none, "windows-1252", &format!("a,b\r\n{text}||y|z|,1\r\n"));
        assert!(out == format!("a||b\r\n{text}\\||y|z|||1\r\n").as_bytes(), "{before}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_converted_has_the_same_fields(
        records in vec(vec(vec(select(&["a", "ä", ",", ";", "\"", "\r\n", " ", "'", "\\"][..]), 0..5).prop_map(|pieces| pieces.concat()), 2..4), 0..5),
    ) {
        let mut output = Vec::new();
        for record in &records {
            let mut encoder = crate::csv::encode::Encoder::new(&mut output);
            record.iter().for_each(|field| encoder.field(field.as_bytes()));
            encoder.finish();
            output.extend_from_slice(LINE_END);
        }
        let form = SourceForm::new(dialect(";"), labelled("windows-1252"), None);
        let out = converted(form, &output, 5);
        let text = encoding_rs::WINDOWS_1252.decode(&out).0.into_owned();
        let mut reader = csv_core::ReaderBuilder::new().delimiter(b';').build();
        let (mut fields, mut ends) = (vec![0; text.len() + 1], vec![0; text.len() + 1]);
        let (mut rest, mut found) = (text.as_bytes(), Vec::new());
        loop {
            let (result, read, _, count) = reader.read_record(rest, &mut fields, &mut ends);
            rest = &rest[read..];
            match result {
                csv_core::ReadRecordResult::Record => {
                    let starts = std::iter::once(0).chain(ends.iter().copied());
                    let record = starts.zip(&ends[..count]).map(|(start, &end)| String::from_utf8(fields[start..end].to_vec()).unwrap());
                    found.push(record.collect::<Vec<_>>());
                }
                csv_core::ReadRecordResult::InputEmpty => {}
                _ => break,
            }
        }
        prop_assert_eq!(found, records);
    }
}
