//! Properties of all files.

use proptest::{collection::vec, prelude::*, sample::select};
use runboard::csv::{Cursor, Layout};

use super::{
    LIMIT, read_in_steps, read_with_limit,
    reference::{self, encoded},
};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A file made of significant pieces, and a limit that it often reaches.
fn files() -> impl Strategy<Value = (Vec<u8>, usize)> {
    let fronts: &[&[u8]] = &[b"", BYTE_ORDER_MARK, b"\r\n\n", b"\xef\xbb\xbf\r"];
    let headers: &[&[u8]] = &[b"a,b\n", b"a\r\n", b"\"a\r\nb\",c\r", b"a,b,c\n\n"];
    let pieces: &[&[u8]] = &[
        b",",
        b",",
        b",",
        b"\"",
        b"\"",
        b"\"",
        b"\r",
        b"\n",
        b"\n",
        b"\r\n",
        b"\r\n",
        b"\0",
        b"\xff",
        b"\xc3",
        b"\xa4",
        BYTE_ORDER_MARK,
        b"x",
        b"y",
        b"=",
        b"-",
        b"'",
        b"1",
        b"\"\"",
        b"a,b\n",
        b"c,d\r\n",
    ];
    let body = vec(select(pieces), 0..60).prop_map(|pieces| pieces.concat());
    let limit = prop_oneof![Just(LIMIT), 8_usize..30];
    (select(fronts), select(headers), body, limit)
        .prop_map(|(front, header, body, limit)| ([front, header, &body].concat(), limit))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_file_is_read_as_the_reference_reads_it((file, limit) in files()) {
        let (layout, output, cursor) = read_with_limit(&file, limit);
        let start = layout.start.byte as usize;
        let (records, last_line) = reference::records(&file, start, layout.start.line, limit);
        let (failed, taken): (Vec<_>, Vec<_>) =
            records.iter().partition(|record| record.fails(layout.header.len()));

        prop_assert_eq!(output.counts.processed, taken.len() as u64);
        prop_assert_eq!(output.counts.failed, failed.len() as u64);
        let end = Cursor { byte: file.len() as u64, line: last_line, record: records.len() as u64 };
        prop_assert_eq!(cursor, end);

        let processed: Vec<u8> = taken.iter().flat_map(|record| encoded(&record.fields)).collect();
        prop_assert_eq!(output.processed, processed);
        let raw: Vec<u8> = failed.iter().flat_map(|record| record.bytes.clone()).collect();
        prop_assert_eq!(output.raw, raw);

        let (lines, _) = reference::records(&output.failed, 0, 1, usize::MAX);
        let in_failed_csv: Vec<_> = lines.iter().map(|line| line.fields[0].clone()).collect();
        let expected: Vec<_> = failed.iter().map(|record| record.line.to_string().into_bytes()).collect();
        prop_assert_eq!(in_failed_csv, expected);
        for (line, record) in lines.iter().zip(&failed) {
            let columns = layout.header.len();
            let known = if record.too_long { 0 } else { record.fields.len() };
            let expected = 3 + if known < columns { known } else { columns + 1 };
            prop_assert!(!line.fails(expected), "a line of failed.csv is not sound");
        }
    }

    #[test]
    fn it_does_not_matter_how_a_file_is_cut_into_blocks_and_steps(
        (file, limit) in files(),
        blocks in vec(1_usize..40, 1..8),
        steps in vec(1_u64..60, 1..8),
    ) {
        let (_, whole, end) = read_with_limit(&file, limit);
        let layout = Layout::read(&file, true, limit).expect("a readable header");
        let rest = &file[layout.start.byte as usize..];
        let (in_steps, cursor) = read_in_steps(&layout, rest, limit, &blocks, &steps);
        prop_assert_eq!(in_steps.processed, whole.processed);
        prop_assert_eq!(in_steps.failed, whole.failed);
        prop_assert_eq!(in_steps.raw, whole.raw);
        prop_assert_eq!(in_steps.counts, whole.counts);
        prop_assert_eq!(cursor, end);
    }

    #[test]
    fn processed_records_are_read_again_as_they_are((file, limit) in files()) {
        let (layout, first, _) = read_with_limit(&file, limit);
        let written = [layout.processed_header(), first.processed.clone()].concat();
        let (again, second, _) = read_with_limit(&written, usize::MAX);
        prop_assert_eq!(again.header, layout.header);
        prop_assert_eq!(second.counts.processed, first.counts.processed);
        prop_assert_eq!(second.counts.failed, 0);
        prop_assert_eq!(second.processed, first.processed);
    }

    #[test]
    fn failed_records_fail_again_behind_their_header((file, limit) in files()) {
        let (layout, first, _) = read_with_limit(&file, limit);
        let header = &file[..layout.start.byte as usize];
        let (_, second, _) = read_with_limit(&[header, &first.raw].concat(), limit);
        prop_assert_eq!(second.counts.processed, 0);
        prop_assert_eq!(second.counts.failed, first.counts.failed);
        prop_assert_eq!(second.raw, first.raw);
    }

    #[test]
    fn an_uploaded_failed_csv_has_the_header_and_the_records_of_the_first((file, limit) in files()) {
        let (layout, first, _) = read_with_limit(&file, limit);
        let written = [layout.failed_header(), first.failed].concat();
        let (again, second, _) = read_with_limit(&written, usize::MAX);
        prop_assert!(again.is_failed_csv);
        prop_assert_eq!(again.header, layout.header);
        prop_assert_eq!(second.counts.processed + second.counts.failed, first.counts.failed);
        // Records that failed for bytes that failed.csv cannot contain, or for the file's last quote, may
        // pass.
        let may_pass = ["closing quote missing", "not valid UTF-8"];
        let passed_for = first.reasons.groups.iter().filter(|group| may_pass.contains(&group.reason.as_str()));
        prop_assert!(second.counts.processed <= passed_for.map(|group| group.count).sum());
        let kept: Vec<_> = second.reasons.groups.iter().map(|group| &group.reason).collect();
        prop_assert!(kept.iter().all(|kept| first.reasons.groups.iter().any(|group| group.reason == **kept)));
    }

    #[test]
    fn the_header_is_the_same_in_any_sample_that_holds_it((file, limit) in files(), length in 0_usize..40) {
        let sample = &file[..length.min(file.len())];
        let whole = Layout::read(&file, true, limit);
        let partly = Layout::read(sample, false, limit);
        prop_assert!(partly == whole || partly == Err(runboard::csv::LayoutError::NeedMore));
    }
}
