//! What is left out, repaired and noticed where a file does not look as its front does.

use proptest::{collection::vec, prelude::*, sample::select};
use runboard::csv::{Cursor, CutRecord, Layout, Note, Output, Pass};

use super::read_in_steps;

/// A record limit that a test can reach.
const LIMIT: usize = 200;

fn layout(header: &str) -> Layout {
    let mut layout = Layout::read(header.as_bytes(), true, LIMIT).expect("a readable header");
    layout.repairs = true;
    layout
}

/// Reads the records behind `header` in one pass.
fn read(header: &str, records: &[u8]) -> Output {
    let layout = layout(header);
    let file = [header.as_bytes(), records].concat();
    let mut pass = Pass::new(&layout, layout.start, LIMIT);
    let mut output = Output::default();
    let rest = &file[header.len()..];
    let mut consumed = 0;
    while consumed < rest.len() {
        let more = pass.read(&rest[consumed..], true, u64::MAX, &mut output);
        assert!(more > 0, "no progress at byte {consumed}");
        consumed += more;
    }
    output
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("text")
}

fn notes(output: &Output) -> Vec<(Note, u64, u64)> {
    output.notes.iter().map(|(note, noted)| (note, noted.count, noted.first_line)).collect()
}

#[test]
fn a_quote_that_never_closes_is_text_where_its_line_is_a_record() {
    let output = read("id,text,n\n", b"1,one,5\n2,\"two,6\n3,w3,3\n4,w4,4\n");
    assert_eq!(text(&output.processed), "1,one,5\r\n2,\"\"\"two\",6\r\n3,w3,3\r\n4,w4,4\r\n");
    assert_eq!((output.counts.processed, output.counts.failed), (4, 0));
    assert_eq!(notes(&output), [(Note::QuotesAsText, 1, 3)]);
}

#[test]
fn a_quote_that_never_closes_fails_alone_where_its_line_is_no_record() {
    let output = read("id,text,n\n", b"1,one,5\n2,\"two\n3,w3,3\n4,w4,4\n");
    assert_eq!(text(&output.processed), "1,one,5\r\n3,w3,3\r\n4,w4,4\r\n");
    assert_eq!(text(&output.failed), "3,text,closing quote missing,2,two\r\n");
    assert_eq!(text(&output.raw), "2,\"two\n");
}

#[test]
fn the_last_record_fails_if_the_file_ends_inside_its_quotes() {
    for (records, failed) in [
        (&b"1,whole\n2,\"cut of"[..], "3,text,closing quote missing,2,cut of,\r\n"),
        (b"1,whole\n2,\"cut\nof", "3,text,closing quote missing,2,\"cut\nof\",\r\n"),
        (b"1,whole\n2,\"cut\n", "3,text,closing quote missing,2,\"cut\n\",\r\n"),
    ] {
        let output = read("id,text\n", records);
        assert_eq!(text(&output.failed), failed);
        assert_eq!(output.counts.processed, 1);
    }
}

#[test]
fn a_quote_that_another_line_closes_fails_alone() {
    let output = read("id,text,n\n", b"1,one,\"\n2,\"two, or so\",8\n3,three,9\n");
    assert_eq!(text(&output.processed), "2,\"two, or so\",8\r\n3,three,9\r\n");
    assert_eq!(text(&output.failed), "2,n,closing quote missing,1,one,,\r\n");

    // The joined record would have the right width, and a quote with text behind it.
    let output = read("id,text,n\n", b"1,\"one,5\n2,two,6\n3,\"three\",7\n");
    assert_eq!(text(&output.processed), "2,two,6\r\n3,three,7\r\n");
    assert_eq!(output.counts.failed, 1);
}

#[test]
fn quotes_that_lead_from_line_to_line_swallow_no_file() {
    let good = "7,good,3\n".repeat(9);
    for (bad, failed) in [
        // No line is a record by itself.
        ("x\"y,\"z\n".repeat(50), 50),
        // Each quote but the last has its pair.
        ("b\",\"c\n".repeat(50), 50),
        // The quote closes where a field of the next line opens.
        ("1,one,\"\n2,\"two\" or so,8,9\n".to_owned(), 2),
        // The line behind it is no record, but those behind that are.
        (format!("1,\"one\nnote\n{}8,x,y\",9,9\n", "5,a,b\n".repeat(3)), 3),
        ("1,\"one\nnote\n".to_owned(), 2),
    ] {
        let output = read("id,text,n\n", format!("{bad}{good}").as_bytes());
        assert_eq!(output.counts.failed, failed, "{bad:?}");
        assert_eq!(text(&output.processed).matches("good").count(), 9, "{bad:?}");
    }
}

#[test]
fn a_record_of_several_lines_stays_one() {
    let output = read("id,text,n\n", b"1,\"Dear\nall, the \"\"big\"\"\none\",5\n2,\"a\n3,b,4\nc\",6\n");
    assert_eq!((output.counts.processed, output.counts.failed), (2, 0));
    // A wrong width does not tear it either, because its second line is no record.
    let output = read("id,text\n", b"1,\"two\nlines\",5\n2,b\n");
    assert_eq!(text(&output.raw), "1,\"two\nlines\",5\n");
    assert_eq!(text(&output.processed), "2,b\r\n");
    // Nor do quotes inside it that are not escaped, or several fields of several lines.
    for record in
        ["1,\"two\nlines \"big\", they said\",5\n", "1,\"two\nlines\",\"three\n\nlines\",\"x\ny\",5\n"]
    {
        let output = read("id,text,n\n", format!("{record}2,b,6\n").as_bytes());
        assert_eq!(text(&output.raw), record);
        assert_eq!(text(&output.processed), "2,b,6\r\n");
    }
}

#[test]
fn a_quote_that_closes_nowhere_near_swallows_nothing() {
    let lines: String = (0..200).map(|n| format!("{n},b\n")).collect();
    let output = read("id,text\n", format!("x,\"y\n{lines}z,\"quoted\"\n").as_bytes());
    assert_eq!((output.counts.processed, output.counts.failed), (202, 0));
    assert_eq!(notes(&output), [(Note::QuotesAsText, 1, 2)]);
}

#[test]
fn a_quote_that_closes_nowhere_swallows_no_records_however_far_behind_it() {
    let counts = |reader_4: bool, file: &str| {
        let layout = Layout { reader_4, ..layout("id,text\n") };
        let mut output = Output::default();
        let rest = &file.as_bytes()["id,text\n".len()..];
        Pass::new(&layout, layout.start, 1 << 20).read(rest, true, u64::MAX, &mut output);
        (output.counts.processed, output.counts.failed)
    };
    let junk = "\"\" a note\n".repeat(50);
    let good: String = (0..200).map(|n| format!("{n},good\n")).collect();
    let header = "id,text\n";
    let torn = format!("{header}x,y,\"open\n{junk}{good}");
    assert_eq!(counts(true, &torn), (200, 51));
    // The reader of an earlier version looked at the first lines only.
    assert_eq!(counts(false, &torn), (0, 1));
    // A text that was cut at the end of the file stays one record.
    let cut = format!("{header}{good}x,y,\"open\n{}", "a line of text\n".repeat(50));
    assert_eq!(counts(true, &cut), (200, 1));
}

#[test]
fn the_header_is_known_again_with_the_marks_that_its_names_lose() {
    let output = read("id,name\n", "1,a\n\u{202a}id\u{202c},\u{180e}name \u{206a}\n".as_bytes());
    assert_eq!(notes(&output), [(Note::RepeatedHeaders, 1, 3)]);
    assert_eq!((output.counts.processed, output.counts.failed), (1, 0));
}

#[test]
fn a_line_of_a_failed_csv_that_was_not_corrected_is_no_header() {
    let header = "_line,_column,_reason,id,na\u{fffd}me,_extra\n";
    let records = "3,na\u{fffd}me,contains a NUL byte,id,na\u{fffd}me,\n4,,any,2,b,\n";
    let output = read(header, records.as_bytes());
    assert_eq!((output.counts.processed, output.counts.failed), (1, 1));
    assert!(output.notes.is_empty(), "{:?}", output.notes);

    // The reader of an earlier version left the line out.
    let layout = Layout { reader_3: false, ..layout(header) };
    let mut output = Output::default();
    Pass::new(&layout, layout.start, LIMIT).read(records.as_bytes(), true, u64::MAX, &mut output);
    assert_eq!((output.counts.processed, output.counts.failed), (1, 0));
    assert_eq!(notes(&output), [(Note::RepeatedHeaders, 1, 2)]);
}

#[test]
fn a_record_that_was_cut_ends_with_its_line_again() {
    for records in [&b"1,\"torn,x\n3\n"[..], b"1,\"torn\n9\",\"x\n"] {
        let mut layout = layout("id,name\n");
        let start = layout.start.byte;
        let line = records.iter().position(|byte| *byte == b'\n').unwrap() as u64;
        let cut = CutRecord { start, end: start + line, quote_is_text: false };
        for (cut, counts) in [(vec![], 1), (vec![cut], 2)] {
            layout.cut = cut;
            let mut output = Output::default();
            Pass::new(&layout, layout.start, LIMIT).read(records, true, u64::MAX, &mut output);
            assert_eq!(output.counts.processed + output.counts.failed, counts, "{}", records.escape_ascii());
        }
    }
}

#[test]
fn rows_that_are_no_records_are_left_out_and_counted() {
    let output = read("id,name\n", b"1,a\n,\n,,,\nid,name\n\xef\xbb\xbfid,name\n\xef\xbb\xbf2,b\n\x1a");
    assert_eq!(text(&output.processed), "1,a\r\n2,b\r\n");
    assert_eq!(output.counts.failed, 0);
    let expected = [
        (Note::EmptyRows, 2, 3),
        (Note::RepeatedHeaders, 2, 5),
        (Note::JoinMarks, 2, 6),
        (Note::EndMark, 1, 8),
    ];
    assert_eq!(notes(&output), expected);

    let output = read("id,name\n", b" id , \xc2\xa0name\n1,a\x1a");
    assert_eq!(text(&output.processed), "1,a\r\n", "a header with spaces, and an end mark without a line");

    let output = read("a\n", b"\n\"\"\nx\n");
    assert_eq!(text(&output.processed), "\"\"\r\nx\r\n", "an only field that is empty is a record");
}

#[test]
fn empty_fields_at_the_end_are_left_out_where_the_layout_says_so() {
    let mut layout = layout("id,name\n");
    layout.left_out_at_end = 2;
    let mut output = Output::default();
    let records = b"1,a,\n2,b,,\n3,c\n4,d,\"\"\n5,e,,,\n6,f,,x\n";
    Pass::new(&layout, layout.start, LIMIT).read(records, true, u64::MAX, &mut output);
    assert_eq!(text(&output.processed), "1,a\r\n2,b\r\n3,c\r\n4,d\r\n");
    assert_eq!(output.counts.failed, 2);
}

#[test]
fn odd_quotes_are_noted() {
    let output = read("id,name\n", b"1,6\" pipe\n2,\"a\"b\n3,5\" pipe\n");
    assert_eq!(notes(&output), [(Note::QuotesInside, 2, 2), (Note::TextAfterQuote, 1, 3)]);
}

#[test]
fn what_is_below_the_table_says_so() {
    let records = b"1,a,x\n\n2,b,x\n3,b\n\nTotal,2\nas of today\n\nk,v\na,1\nb,2\nc,3\n4,c,x\n5,d\n";
    let output = read("id,name,note\n", records);
    let reasons: Vec<_> =
        output.reasons.groups.iter().map(|group| (group.reason.as_str(), group.count, group.line)).collect();
    let expected = [
        ("2 fields, expected 3", 2, 5),
        ("2 fields, expected 3, below the table", 2, 7),
        ("1 field, expected 3, below the table", 1, 8),
        ("2 fields, expected 3, second table from line 10", 3, 11),
    ];
    assert_eq!(reasons, expected);
    assert_eq!(notes(&output), [(Note::BelowTable, 3, 7), (Note::SecondTable, 3, 10)]);
}

#[test]
fn a_last_row_that_looks_like_a_total_is_a_record_and_said() {
    for (records, line) in [
        (&b"1,a,2\nTotal,,17\n"[..], Some(3)),
        (b"1,a,2\n\n,SUMME: ,17,50\n\n", None),
        (b"1,a,2\n\n,SUMME: ,17\r\n\r\n\x1a", Some(4)),
        (b"1,a,2\n\"Grand total\",\"\",\"1,7\"", Some(3)),
        (b"Total,a,2\n1,a,3\n", None),
        (b"Total,a,2\n", None),
        (b"1,a,2\nTotal,a,b\n", None),
    ] {
        let output = read("id,name,n\n", records);
        let total = output.notes.of(Note::TotalsRow).map(|noted| noted.first_line);
        assert_eq!(total, line, "{}", records.escape_ascii());
    }
    let output = read("id,name,n\n", b"1,a,2\nTotal,,17\n");
    assert_eq!(text(&output.processed), "1,a,2\r\nTotal,,17\r\n");
}

#[test]
fn undecodable_bytes_are_told_with_the_name_of_the_encoding() {
    let mut layout = layout("id,name\n");
    layout.encoding = runboard::csv::Encoding::labelled("shift_jis").expect("an encoding");
    let mut output = Output::default();
    // Two bytes that could not be decoded, as they are in the decoded copy.
    let records = b"1,a\xed\xb2\x80\xed\xb3\xbfb\n";
    Pass::new(&layout, layout.start, LIMIT).read(records, true, u64::MAX, &mut output);
    assert_eq!(text(&output.failed), "2,name,not valid Shift_JIS,1,a\u{fffd}\u{fffd}b,\r\n");
    assert_eq!(output.reasons.groups[0].example, "a\u{fffd}\u{fffd}b");

    let again = [layout.failed_header(), output.failed].concat();
    let layout = Layout::read(&again, true, LIMIT).expect("a readable header");
    let mut output = Output::default();
    Pass::new(&layout, layout.start, LIMIT).read(
        &again[layout.start.byte as usize..],
        true,
        u64::MAX,
        &mut output,
    );
    assert_eq!((output.counts.processed, output.counts.failed), (0, 1), "not corrected");
}

#[test]
fn a_quote_in_every_line_costs_time_in_proportion_to_the_bytes() {
    const LINES: u64 = 50_000;
    let begun = std::time::Instant::now();
    // The quotes of the last kind of line lead from one to the next, so that no line is a record by itself.
    for (line, inner_quotes_are_text) in
        [("1,\"x\n", true), ("1,\"x\n", false), ("x\"y,\"z\n", false), ("b\",\"c\n", false)]
    {
        let mut layout = layout("id,name\n");
        layout.dialect.inner_quotes_are_text = inner_quotes_are_text;
        let file = line.repeat(LINES as usize);
        let mut output = Output::default();
        let mut pass = Pass::new(&layout, layout.start, 16 << 20);
        let mut consumed = 0;
        while consumed < file.len() {
            consumed += pass.read(&file.as_bytes()[consumed..], true, u64::MAX, &mut output);
            (output.processed, output.failed, output.raw) = Default::default();
        }
        assert_eq!(output.counts.total(), LINES, "{line}");
    }
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
}

/// Files with all that is repaired or left out, and a limit that they often reach.
fn files() -> impl Strategy<Value = (Vec<u8>, usize)> {
    let pieces: &[&[u8]] = &[
        b",",
        b",",
        b"\"",
        b"\"",
        b"\n",
        b"\r\n",
        b"\r",
        b"x",
        b"\0",
        b"\xff",
        b"1,2\n",
        b"3,4\r\n",
        b"5,\"6\n",
        b"7,\"8\"\n",
        b"a,b\n",
        b",\n",
        b"\xef\xbb\xbf",
        b"\x1a",
        b"\n\n",
        b"Total,3\n",
    ];
    (vec(select(pieces), 0..60).prop_map(|pieces| pieces.concat()), prop_oneof![Just(LIMIT), 8_usize..30])
}

/// Some lines of a file, each as a record that leaves a quote open.
fn cut_lines(file: &[u8], which: u64, as_text: u64, start: u64) -> Vec<CutRecord> {
    let mut at = start;
    let lines = file.split_inclusive(|byte| matches!(byte, b'\r' | b'\n')).map(|line| {
        let begins_at = at;
        at += line.len() as u64;
        (begins_at, begins_at + line.trim_ascii_end().len() as u64)
    });
    let is_one = |bits: u64, number: usize| bits.rotate_right(number as u32) & 1 == 1;
    let cut = lines.enumerate().filter(|(number, (start, end))| is_one(which, *number) && start < end);
    cut.map(|(number, (start, end))| CutRecord { start, end, quote_is_text: is_one(as_text, number) })
        .collect()
}

fn read_in_one_pass(layout: &Layout, file: &[u8], limit: usize) -> (Output, Cursor) {
    let mut output = Output::default();
    let mut pass = Pass::new(layout, layout.start, limit);
    assert_eq!(pass.read(file, true, u64::MAX, &mut output), file.len());
    (output, pass.cursor())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_does_not_matter_how_a_repaired_file_is_cut_into_blocks_and_steps(
        (file, limit) in files(),
        blocks in vec(1_usize..40, 1..8),
        steps in vec(1_u64..60, 1..8),
        (which, as_text) in (select(&[0_u64, 0x1111_1111, u64::MAX][..]), any::<u64>()),
    ) {
        let mut layout = layout("a,b\n");
        layout.cut = cut_lines(&file, which, as_text, layout.start.byte);
        let (whole, end) = read_in_one_pass(&layout, &file, limit);
        let (in_steps, cursor) = read_in_steps(&layout, &file, limit, &blocks, &steps);
        prop_assert_eq!(in_steps.processed, whole.processed);
        prop_assert_eq!(in_steps.failed, whole.failed);
        prop_assert_eq!(in_steps.raw, whole.raw);
        prop_assert_eq!(in_steps.counts, whole.counts);
        prop_assert_eq!(notes(&Output { notes: in_steps.notes, ..Output::default() }), notes(&Output { notes: whole.notes, ..Output::default() }));
        prop_assert_eq!(cursor, end);
    }

    #[test]
    fn every_record_is_processed_or_failed_once((file, limit) in files()) {
        let layout = layout("a,b\n");
        let (output, cursor) = read_in_one_pass(&layout, &file, limit);
        prop_assert_eq!(output.counts.total(), cursor.record);
        prop_assert_eq!(output.reasons.total(), output.counts.failed);
        prop_assert_eq!(cursor.byte, layout.start.byte + file.len() as u64);
        let plain = Layout { repairs: false, ..layout };
        let written = read_in_one_pass(&plain, &output.processed, usize::MAX).0;
        prop_assert_eq!(written.counts.processed, output.counts.processed);
        prop_assert_eq!(written.processed, output.processed);
    }
}
