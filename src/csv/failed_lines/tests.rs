use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::csv::{Output, Pass};

const LIMIT: usize = 60;

fn read(layout: &Layout, rows: &[u8]) -> Output {
    let mut out = Output::default();
    let mut pass = Pass::new(layout, layout.start, LIMIT);
    assert_eq!(pass.read(rows, true, u64::MAX, &mut out), rows.len());
    out
}

fn lines(layout: &Layout, out: &Output) -> Vec<FailedLine> {
    let mut lines = FailedLines::new(&out.failed[..], &out.raw[..], layout, LIMIT);
    let mut all = Vec::new();
    while let Some(line) = lines.next_line().unwrap() {
        all.push(line);
    }
    assert_eq!(lines.taken(), (out.failed.len() as u64, out.raw.len() as u64));
    all
}

fn layout(header: &[u8], repairs: bool) -> Layout {
    let mut layout = Layout::read(header, true, 100).unwrap();
    layout.repairs = repairs;
    layout
}

#[test]
fn each_record_comes_with_its_lines_and_its_bytes() {
    let layout = layout(b"id,name\n", true);
    let long = "x".repeat(LIMIT + 1);
    let rows = [
        b"1,a,\"b\r\nc\",=d\n2,\xff\n3\n".as_slice(),
        long.as_bytes(),
        b"\n4,\"never closed\n5,b\n6,\"open\n",
    ]
    .concat();
    let found = lines(&layout, &read(&layout, &rows));
    let told: Vec<_> = found
        .iter()
        .map(|line| (line.line, line.last_line, line.column.as_deref(), &*line.reason, &*line.raw))
        .collect();
    assert_eq!(
        told,
        [
            (2, 3, None, "4 fields, expected 2", "1,a,\"b\r\nc\",=d"),
            (4, 4, Some("name"), "not valid UTF-8", "2,\u{fffd}"),
            (5, 5, None, "1 field, expected 2", "3"),
            (6, 6, None, "longer than 60 bytes", &*long),
            (7, 7, Some("name"), "closing quote missing", "4,\"never closed"),
            (9, 9, Some("name"), "closing quote missing", "6,\"open\n"),
        ]
    );
    let fields = |at: usize| found[at].fields.as_deref();
    assert_eq!(fields(0), Some(&["1", "a", "b\r\nc", "=d"].map(str::to_owned)[..]));
    assert_eq!((fields(2), fields(3)), (Some(&["3".to_owned()][..]), None));
}

#[test]
fn long_records_are_cut() {
    let mut out = Output::default();
    let text = "y".repeat(2 << 20);
    out.failed = format!("2,,1 field,{text}\r\n3,,1 field,b\r\n").into_bytes();
    out.raw = format!("{text}\nb\n").into_bytes();
    let found = lines(&layout(b"a,b\n", false), &out);
    assert_eq!((found[0].raw.len(), &found[0].fields), (MOST_OF_RAW, &None));
    assert_eq!((&*found[1].raw, found[1].line), ("b", 3));
}

const PIECES: &[&[u8]] = &[
    b"1,2\n",
    b"3,4,5\r\n",
    b"6\n",
    b"\"a\nb\",\"c\",d\n",
    b"\"a\r\nb\"\r",
    b"\"",
    b"\"",
    b",",
    b"\r",
    b"\n",
    b"\xff",
    b"\0,\n",
    b"=x,+y,z\n",
    b"a text that is longer than sixty bytes, which is the limit of a record here,\n",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn records_are_told_apart_whatever_a_file_contains(
        pieces in vec(select(PIECES), 0..50),
        repairs in any::<bool>(),
    ) {
        let layout = layout(b"a,b\n", repairs);
        let file = pieces.concat();
        let out = read(&layout, &file);
        let found = lines(&layout, &out);
        prop_assert_eq!(found.len() as u64, out.counts.failed);
        let file = [b"a,b\n".as_slice(), &file].concat();
        let mut last = 0;
        for line in &found {
            prop_assert!(line.line > last && line.last_line >= line.line, "{:?}", line);
            last = line.last_line;
            // It is where its lines are in the file.
            let mut rest = file.as_slice();
            for _ in 1..line.line {
                rest = &rest[crate::csv::split::behind_line_end(rest).unwrap()..];
            }
            prop_assert!(lossy(rest).contains(&line.raw), "{:?} in {:?}", line, lossy(rest));
        }
    }
}
