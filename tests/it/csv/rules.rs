//! Every rule, by example.

use runboard::csv::{Cursor, Layout, LayoutError, Output, Pass};

use super::{LIMIT, failed_lines, processed, read, read_with_limit};

#[test]
fn records_are_split_as_rfc_4180_says_but_leniently() {
    for (name, records, expected) in [
        ("plain", "1,2\n3,4\n", "1,2\r\n3,4\r\n"),
        ("no line end at the end", "1,2\n3,4", "1,2\r\n3,4\r\n"),
        ("all line ends", "1,2\n3,4\r\n5,6\r7,8", "1,2\r\n3,4\r\n5,6\r\n7,8\r\n"),
        ("empty lines are no records", "\n\r\n1,2\n\n\r\r3,4\n\n", "1,2\r\n3,4\r\n"),
        ("a line of blanks is one", " , \n", " , \r\n"),
        ("empty fields", ",\n\"\",\n", ",\r\n,\r\n"),
        ("needless quotes", "\"1\",\"2\"\n", "1,2\r\n"),
        ("commas in quotes", "\"1,5\",2\n", "\"1,5\",2\r\n"),
        ("line ends in quotes", "\"1\n2\r\n3\r4\",5\n", "\"1\n2\r\n3\r4\",5\r\n"),
        ("doubled quotes", "\"6\"\" pipe\",2\n", "\"6\"\" pipe\",2\r\n"),
        ("a quote inside a field is text", "6\" pipe,2\n3,4\n", "\"6\"\" pipe\",2\r\n3,4\r\n"),
        ("a quote behind a blank is text", "1, \"2\"\n", "1,\" \"\"2\"\"\"\r\n"),
        ("text after a closing quote is kept", "\"1\"x\"y,2\n", "\"1x\"\"y\",2\r\n"),
        (
            "a byte-order mark at a record's front is data",
            "\u{feff}1,2\n\u{feff}3,4\n",
            "\u{feff}1,2\r\n\u{feff}3,4\r\n",
        ),
    ] {
        let file = format!("a,b\n{records}");
        assert_eq!(processed(file.as_bytes()), expected, "{name}");
        assert_eq!(failed_lines(file.as_bytes()), "", "{name}");
    }
}

#[test]
fn an_only_field_that_is_empty_does_not_become_an_empty_line() {
    assert_eq!(processed(b"a\n\"\"\nx\n"), "\"\"\r\nx\r\n");
}

#[test]
fn a_record_fails_with_its_line_its_column_and_one_reason() {
    for (name, records, expected) in [
        ("too few fields", &b"1\n"[..], "2,,\"1 field, expected 2\",1\r\n"),
        ("too many fields", b"1,2,3\n", "2,,\"3 fields, expected 2\",1,2,3\r\n"),
        (
            "surplus fields are CSV",
            b"1,2,3,\"4,5\",\"6\"\n",
            "2,,\"5 fields, expected 2\",1,2,\"3,\"\"4,5\"\",6\"\r\n",
        ),
        ("an empty surplus field is not lost", b"1,2,\n", "2,,\"3 fields, expected 2\",1,2,\"\"\"\"\"\"\r\n"),
        ("closing quote missing", b"1,2\n3,\"4\n", "3,b,closing quote missing,3,\"4\n\",\r\n"),
        ("nothing in the open quotes", b"1,\"", "2,b,closing quote missing,1,,\r\n"),
        ("open quotes without a column", b"1,2,3,\"4,", "2,,closing quote missing,1,2,\"3,\"\"4,\"\"\"\r\n"),
        ("NUL", b"1,2\0\n", "2,b,contains a NUL byte,1,2\u{fffd},\r\n"),
        ("not UTF-8", b"M\xfcnchen,2\n", "2,a,not valid UTF-8,M\u{fffd}nchen,2,\r\n"),
        ("half a letter at the end", b"1,\xc3", "2,b,not valid UTF-8,1,\u{fffd},\r\n"),
        ("bad byte without a column", b"1,2,\xff\n", "2,,not valid UTF-8,1,2,\u{fffd}\r\n"),
        ("a letter torn by a quote", b"\"\xc3\"\xa4,2\n", "2,,not valid UTF-8,\u{e4},2,\r\n"),
        ("open quotes before NUL", b"\0,\"1", "2,b,closing quote missing,\u{fffd},1,\r\n"),
        ("NUL before UTF-8", b"\xff,\0\n", "2,b,contains a NUL byte,\u{fffd},\u{fffd},\r\n"),
        ("UTF-8 before the number of fields", b"\xff\n", "2,a,not valid UTF-8,\u{fffd}\r\n"),
        ("the line on which it starts", b"\"\r\n\r\n\",2\n\n3\n", "6,,\"1 field, expected 2\",3\r\n"),
        ("CR alone counts as a line", b"1,2\r3,4\r\r5\r", "5,,\"1 field, expected 2\",5\r\n"),
    ] {
        let file = [b"a,b\n", records].concat();
        assert_eq!(failed_lines(&file), expected, "{name}");
    }
}

#[test]
fn failed_records_keep_their_original_bytes_and_line_ends() {
    let (_, output, _) = read(b"a,b\n1\r\n1,2\n\"\0\",\"\xff\"\r3");
    assert_eq!(output.raw, b"1\r\n\"\0\",\"\xff\"\r3");
    assert_eq!((output.counts.processed, output.counts.failed), (1, 3));
}

#[test]
fn a_cell_that_a_spreadsheet_would_calculate_is_guarded_in_failed_csv_alone() {
    for (cell, guarded) in [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("\"\rx\"", "\"'\rx\""),
        ("+x", "'+x"),
        ("-", "'-"),
        ("-inf", "'-inf"),
        ("+49 30", "'+49 30"),
        ("-1", "-1"),
        ("+1.5", "+1.5"),
        ("-.5e-3", "-.5e-3"),
        ("a=1", "a=1"),
        ("'=1", "'=1"),
        ("＝1+1", "'＝1+1"),
        ("＠SUM(A1)", "'＠SUM(A1)"),
        ("＋x", "'＋x"),
        ("－1", "'－1"),
        ("\"\nx\"", "\"'\nx\""),
        ("  =1+1", "'  =1+1"),
        ("\u{a0}\u{3000}@x", "'\u{a0}\u{3000}@x"),
        (" \tx", "' \tx"),
        ("\" \n1\"", "\"' \n1\""),
        ("  -1", "  -1"),
        ("  -x", "'  -x"),
        ("  x=1", "  x=1"),
        (" ", " "),
    ] {
        let reason = "2,,\"1 field, expected 2\"";
        let failed = failed_lines(format!("a,b\n{cell}\n").as_bytes());
        assert_eq!(failed, format!("{reason},{guarded}\r\n"));
        if cell.starts_with('\'') {
            continue;
        }
        let corrected = failed.replace("\r\n", ",2\n");
        let written = processed(format!("_line,_column,_reason,a,b\n{corrected}").as_bytes());
        assert_eq!(written, processed(format!("a,b\n{cell},2\n").as_bytes()), "the reader takes it off");
    }
    assert_eq!(processed(b"a,b\n=1,@x\n"), "=1,@x\r\n");
    assert_eq!(failed_lines(b"a\n1,=2\n"), "2,,\"2 fields, expected 1\",1,'=2\r\n");

    let (layout, output, _) = read(b"=a,b\n\0,2\n");
    assert_eq!(layout.processed_header(), b"=a,b\r\n");
    assert_eq!(layout.failed_header(), b"_line,_column,_reason,'=a,b,_extra\r\n");
    assert_eq!(String::from_utf8(output.failed).expect("text"), "2,'=a,contains a NUL byte,\u{fffd},2,\r\n");
}

#[test]
fn too_long_a_record_fails_and_reading_goes_on_at_the_next_line_end() {
    for (name, records, raw, processed) in [
        ("exactly the limit", "1234567,\n1,2\n", "", "1234567,\r\n1,2\r\n"),
        ("exactly the limit at the end", "1234567,", "", "1234567,\r\n"),
        ("one more", "12345678,\n1,2\n", "12345678,\n", "1,2\r\n"),
        ("one more at the end", "12345678,", "12345678,", ""),
        ("open quotes end at the limit", "\"234567\n\n1,2\n", "\"234567\n\n", "1,2\r\n"),
        ("line ends before the limit do not count", "\"\n\r\n\r6789\n1,2\n", "\"\n\r\n\r6789\n", "1,2\r\n"),
    ] {
        let (_, output, _) = read_with_limit(format!("a,b\n{records}").as_bytes(), 8);
        let failed = if raw.is_empty() { "" } else { "2,,longer than 8 bytes\r\n" };
        assert_eq!(String::from_utf8(output.failed).expect("text"), failed, "{name}");
        assert_eq!(String::from_utf8(output.raw).expect("text"), raw, "{name}");
        assert_eq!(String::from_utf8(output.processed).expect("text"), processed, "{name}");
    }
}

#[test]
fn a_crlf_across_the_limit_is_one_line_end() {
    let (_, output, cursor) = read_with_limit(b"a,b\n\"234567\r\n1\n", 8);
    let failed = "2,,longer than 8 bytes\r\n3,,\"1 field, expected 2\",1\r\n";
    assert_eq!(String::from_utf8(output.failed).expect("text"), failed);
    assert_eq!(cursor, Cursor { byte: 15, line: 4, record: 2 });
}

#[test]
fn the_limit_is_told_in_the_largest_unit_that_fits() {
    for (limit, words) in
        [(1000, "1000 bytes"), (2048, "2 KiB"), (1 << 20, "1 MiB"), ((1 << 20) + 1024, "1025 KiB")]
    {
        let file = format!("a\n{}", "x".repeat(limit + 1));
        let (_, output, _) = read_with_limit(file.as_bytes(), limit);
        assert_eq!(String::from_utf8(output.failed).expect("text"), format!("2,,longer than {words}\r\n"));
    }
}

#[test]
fn a_huge_line_passes_through_without_being_held() {
    const BLOCK: usize = 1 << 16;
    const BLOCKS: usize = 400;
    for filling in [b'x', b',', b'"'] {
        let layout = Layout::read(b"a,b\n", true, BLOCK).expect("a readable header");
        let mut pass = Pass::new(&layout, layout.start, BLOCK);
        let (mut output, mut raw, stop) = (Output::default(), 0, layout.start.byte + 1);
        let mut input = vec![filling];
        for block in 0..BLOCKS {
            input.resize(input.len() + BLOCK, filling);
            let consumed = pass.read(&input, false, stop, &mut output);
            assert_eq!(consumed, if block == 0 { input.len() } else { BLOCK }, "all is consumed at once");
            assert!(!pass.at_boundary(), "the stop does not end the record");
            raw += output.raw.len();
            assert!(output.raw.len() <= 2 * BLOCK && output.raw.capacity() <= 4 * BLOCK);
            output.raw.clear();
            input.clear();
        }
        assert_eq!(pass.read(b"\n1,2\n", true, u64::MAX, &mut output), 5);
        assert!(pass.at_boundary());
        assert_eq!(raw + output.raw.len(), BLOCK * BLOCKS + 2);
        assert_eq!(output.processed, b"1,2\r\n");
        assert_eq!((output.counts.processed, output.counts.failed), (1, 1));
    }
}

#[test]
fn a_cr_at_the_end_of_the_input_waits_for_what_follows() {
    let layout = Layout::read(b"a,b\n", true, LIMIT).expect("a readable header");
    let mut pass = Pass::new(&layout, layout.start, LIMIT);
    let mut output = Output::default();
    assert_eq!(pass.read(b"1,2\r", false, u64::MAX, &mut output), 0);
    assert_eq!(pass.read(b"1,2\r\n\r", false, u64::MAX, &mut output), 5);
    assert_eq!(pass.read(b"\r", true, u64::MAX, &mut output), 1);
    assert_eq!(pass.cursor(), Cursor { byte: 10, line: 4, record: 1 });
}

#[test]
fn a_pass_stops_before_the_first_record_at_or_behind_the_stop() {
    let file = b"a,b\n1,2\n3,4\n5,6\n";
    let layout = Layout::read(file, true, LIMIT).expect("a readable header");
    for (stop, byte) in [(0, 4), (4, 4), (5, 8), (8, 8), (9, 12), (u64::MAX, 16)] {
        let mut pass = Pass::new(&layout, layout.start, LIMIT);
        let consumed = pass.read(&file[4..], true, stop, &mut Output::default());
        assert_eq!((consumed as u64 + 4, pass.cursor().byte), (byte, byte), "stop {stop}");
    }
}

#[test]
fn a_header_is_the_first_line_that_is_not_empty() {
    for (name, file, header, start) in [
        ("plain", &b"a,b\n1,2\n"[..], &["a", "b"][..], (4, 2)),
        ("nothing behind it", b"a,b", &["a", "b"], (3, 1)),
        ("byte-order mark and empty lines", b"\xef\xbb\xbf\n\r\na\r\n", &["a"], (9, 4)),
        (
            "only the first byte-order mark is taken off",
            b"\xef\xbb\xbf\xef\xbb\xbfa\n",
            &["\u{feff}a"],
            (8, 2),
        ),
        ("quotes", b"\"a\nb\",\"\"\"c\"\"\"\rx", &["a\nb", "\"c\""], (14, 3)),
        ("one name twice", b"a,a\n", &["a", "a"], (4, 2)),
        ("no text", b"\xff,\0\n", &["\u{fffd}", "\u{fffd}"], (4, 2)),
        ("nothing", b"", &[], (0, 1)),
        ("nothing but a byte-order mark", b"\xef\xbb\xbf", &[], (3, 1)),
        ("nothing but empty lines", b"\n\r\n\r", &[], (4, 4)),
    ] {
        let layout = Layout::read(file, true, LIMIT).expect(name);
        assert_eq!(layout.header, header, "{name}");
        assert_eq!((layout.start.byte, layout.start.line), start, "{name}");
        assert_eq!((layout.start.record, layout.is_failed_csv), (0, false), "{name}");
    }
    assert_eq!(read(b"\n\n").0.processed_header(), b"");
    assert_eq!(read(b"\"\"\n").0.processed_header(), b"\"\"\r\n");
}

#[test]
fn a_header_that_cannot_be_read_says_why() {
    let too_long = Err(LayoutError::TooLong { limit: 4 });
    for (file, eof, expected) in [
        (&b""[..], false, Err(LayoutError::NeedMore)),
        (b"\n\n", false, Err(LayoutError::NeedMore)),
        (b"a,b", false, Err(LayoutError::NeedMore)),
        (b"a,b\r", false, Err(LayoutError::NeedMore)),
        (b"\"a", true, Err(LayoutError::QuotesNeverClose)),
        (b"\"a\nb", false, Err(LayoutError::NeedMore)),
        (b"\"a\nbc", false, too_long),
        (b"a,bcd\n", true, too_long),
        (b"\n\n\n\n\n", false, too_long),
        (b"a,bc\n", false, Ok(5)),
        (b"a,b\rx", false, Ok(4)),
    ] {
        let read = Layout::read(file, eof, 4).map(|layout| layout.start.byte);
        assert_eq!(read, expected, "{}", file.escape_ascii());
    }
}

#[test]
fn an_uploaded_failed_csv_is_read_as_the_records_it_tells_of() {
    let header = "_line,_column,_reason,'=a,b,_extra\n";
    for (name, line, expected) in [
        ("corrected", "7,b,any,1,2,\n", "1,2\r\n"),
        ("the guard is taken off", "7,,any,'=1,'-x,\n", "=1,-x\r\n"),
        ("what is no guard is kept", "7,,any,'1,'-1,\n", "'1,'-1\r\n"),
        ("quotes", "7,,\"a,b\",\"x,y\",2,\"\"\n", "\"x,y\",2\r\n"),
        ("a spreadsheet cut the empty end off", "7,,any,1,2\n", "1,2\r\n"),
        ("the bad bytes were corrected", "7,b,not valid UTF-8,1,Müller,\n", "1,Müller\r\n"),
        ("a replacement character that is data", "7,,any,1,\u{fffd},\n", "1,\u{fffd}\r\n"),
    ] {
        let (layout, output, _) = read(format!("{header}{line}").as_bytes());
        assert_eq!(layout.header, ["=a", "b"], "{name}");
        assert!(layout.is_failed_csv && layout.has_extra, "{name}");
        assert_eq!(String::from_utf8(output.processed).expect("text"), expected, "{name}");
    }
    for (name, line, expected) in [
        ("surplus", "7,,any,1,2,\"3,\"\"4,5\"\"\"\n", "2,,any,1,2,\"3,\"\"4,5\"\"\"\r\n"),
        ("guarded surplus", "7,,any,1,2,'=3\n", "2,,any,1,2,'=3\r\n"),
        ("an empty surplus field", "7,,any,1,2,\"\"\"\"\"\"\n", "2,,any,1,2,\"\"\"\"\"\"\r\n"),
        ("more than the file has columns", "7,,any,1,2,,3\n", "2,,any,1,2,3\r\n"),
        ("too few", "7,,any,1\n", "2,,any,1\r\n"),
        ("too few, its reason removed", "7,,,1\n", "2,,\"1 field, expected 2\",1\r\n"),
        ("none", "7\n", "2,,\"0 fields, expected 2\"\r\n"),
        ("the column stays", "7,'=a,any,1\n", "2,'=a,any,1\r\n"),
        ("a column that the header lacks", "7,c,any,1\n", "2,,any,1\r\n"),
        ("a long reason", &format!("7,,{},1\n", "x".repeat(100)), &format!("2,,{}…,1\r\n", "x".repeat(80))),
        ("bad bytes", "7,b,not valid UTF-8,1,M\u{fffd}ller,\n", "2,b,not valid UTF-8,1,M\u{fffd}ller,\r\n"),
        ("a NUL", "7,b,contains a NUL byte,1,\u{fffd}\n", "2,b,contains a NUL byte,1,\u{fffd},\r\n"),
        ("NUL", "7,,any,1,\0,\n", "2,b,contains a NUL byte,1,\u{fffd},\r\n"),
    ] {
        let (_, output, _) = read(format!("{header}{line}").as_bytes());
        assert_eq!(String::from_utf8(output.failed).expect("text"), expected, "{name}");
        assert_eq!(output.raw, line.as_bytes(), "{name}");
    }
}

#[test]
fn failed_csv_is_not_much_larger_than_its_file() {
    let wide = |columns: usize| vec!["c"; columns].join(",");
    let long_name = format!("{}\n", "n".repeat(1 << 19));
    for (name, header, record, times) in [
        ("short records under a wide header", &wide(16_384), "x\n", 30),
        ("bad bytes in short records under a wide header", &wide(16_384), "\0\n", 30),
        ("bad bytes in a column with a long name", &long_name, "\0\n", 200),
        ("quotes without a column", &"a,b".to_owned(), "1,2,\"\"\"\"\"\"\n", 10),
    ] {
        let records = record.repeat(1 << 10);
        let file = format!("{}\n{records}", header.trim_end());
        let (_, output, _) = read_with_limit(file.as_bytes(), 1 << 20);
        assert_eq!(output.counts.failed, 1 << 10, "{name}");
        assert!(output.failed.len() < times * records.len(), "{name}: {}", output.failed.len());
    }
}

#[test]
fn a_failed_csv_needs_its_columns_in_front_and_others_behind() {
    for (header, is_failed_csv, names) in [
        ("_line,_column,_reason,a", true, &["a"][..]),
        ("_line,_column,_reason,a,_extra,b", true, &["a", "_extra", "b"]),
        ("_line,_column,_reason", false, &["_line", "_column", "_reason"]),
        ("_line,_column,_reason,_extra", false, &["_line", "_column", "_reason", "_extra"]),
        ("_line,_column,a,_extra", false, &["_line", "_column", "a", "_extra"]),
        ("a,_line,_column,_reason", false, &["a", "_line", "_column", "_reason"]),
    ] {
        let (layout, output, _) = read(format!("{header}\n").as_bytes());
        assert_eq!(layout.is_failed_csv, is_failed_csv, "{header}");
        assert_eq!(layout.header, names, "{header}");
        assert!(!layout.has_extra, "{header}");
        assert_eq!(output.counts.processed + output.counts.failed, 0);
    }
    let (_, output, _) = read(b"_line,_column,_reason,a\n7,,any,1\n7,,any,1,\n");
    assert_eq!(
        (output.counts.processed, output.counts.failed),
        (1, 1),
        "without `_extra` it is a surplus field"
    );
}

#[test]
fn a_long_record_is_written_as_a_short_one() {
    let field = "x\"\"é,".repeat(300_000);
    let (_, output, _) = read_with_limit(format!("a,b\n1,\"{field}\"\n").as_bytes(), 1 << 24);
    assert!(output.processed == format!("1,\"{field}\"\r\n").as_bytes());
    let (_, output, _) = read_with_limit(format!("a,b\n1,2,\"{field}\"\n").as_bytes(), 1 << 24);
    let doubled = field.replace('"', "\"\"");
    let expected = format!("2,,\"3 fields, expected 2\",1,2,\"\"\"{doubled}\"\"\"\r\n");
    assert!(output.failed == expected.as_bytes());
}
