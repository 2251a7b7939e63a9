//! Reading of records: each one once, and the same in one pass as in many.

#![no_main]

use libfuzzer_sys::fuzz_target;
use runboard_fuzz::{
    Options,
    csv::{Choices, Cursor, Delimiter, Dialect, Encoding, Escape, Layout, Output, Pass, Past, Quote, detect},
    line_ends, utf8,
};

fuzz_target!(|data: &[u8]| {
    let Some((mut options, file)) = Options::split_off(data) else { return };
    let limit = options.one_of(&[1 << 20, 1000, 30, 8]);
    let (blocks, steps) = (options.sizes(), options.sizes());
    let layout = match options.below(3) {
        0 => detect(file, true, utf8(), &Choices::default(), limit).map(|(layout, _)| layout),
        1 => Layout::read(file, true, limit),
        _ => Ok(any_layout(&mut options)),
    };
    let Ok(layout) = layout else { return };

    let (whole, end) = in_one_pass(&layout, file, limit);
    let (in_steps, end_of_steps) = in_steps(&layout, file, limit, &blocks, &steps);
    assert_eq!(in_steps.processed, whole.processed);
    assert_eq!(in_steps.failed, whole.failed);
    assert_eq!(in_steps.raw, whole.raw);
    assert_eq!(in_steps.counts, whole.counts);
    assert_eq!(in_steps.notes, whole.notes);
    assert_eq!(end_of_steps, end);

    assert_eq!(whole.counts.total(), end.record, "each record is processed or failed once");
    assert_eq!(whole.reasons.total(), whole.counts.failed);
    let records = &file[layout.start.byte as usize..];
    assert_eq!(end.line, layout.start.line + line_ends(records));
    assert!(whole.raw.len() <= records.len());

    let plain = Layout {
        dialect: Dialect::plain(),
        header: layout.header.clone(),
        start: Cursor { byte: 0, line: 1, record: 0 },
        is_failed_csv: false,
        has_extra: false,
        left_out_at_end: 0,
        repairs: false,
        ..layout
    };
    let (again, _) = in_one_pass(&plain, &whole.processed, usize::MAX);
    assert_eq!(again.processed, whole.processed, "what is written is read again");
    assert_eq!(again.counts.processed, whole.counts.processed);
    let (failed, _) = in_one_pass(&plain, &whole.failed, usize::MAX);
    assert_eq!(failed.counts.total(), whole.counts.failed, "failed.csv has each failed record once");
});

/// A layout that detection may never make.
fn any_layout(options: &mut Options<'_>) -> Layout {
    let flags = options.below(16);
    let flag = |bit: u8| flags & (1 << bit) != 0;
    let delimiters = [",", ";", "\t", "none", " ", "||", "é"];
    let columns = 1 + options.below(3);
    let quote = options.one_of(&[Quote::Double, Quote::Single, Quote::None]);
    let escape = options.one_of(&[Escape::Doubled, Escape::Backslash]);
    let delimiter = Delimiter::named(options.one_of(&delimiters)).expect("a delimiter");
    Layout {
        dialect: Dialect {
            delimiter,
            quote,
            escape,
            spaces_around_quotes: flag(1),
            lines_are_quoted: flag(2),
            inner_quotes_are_text: flag(3),
        },
        encoding: Encoding::UTF_8,
        header: ["a", "b", "c"].iter().take(columns.into()).map(|&name| name.to_owned()).collect(),
        start: Cursor { byte: 0, line: 1, record: 0 },
        is_failed_csv: false,
        has_extra: false,
        left_out_at_end: options.below(3).into(),
        repairs: flag(0),
        reader_3: true,
        reader_4: true,
        cut: Vec::new(),
    }
}

fn in_one_pass(layout: &Layout, file: &[u8], limit: usize) -> (Output, Cursor) {
    let mut output = Output::default();
    let mut pass = Pass::new(layout, layout.start, limit);
    let mut rest = &file[layout.start.byte as usize..];
    while !rest.is_empty() {
        let consumed = pass.read(rest, true, u64::MAX, &mut output);
        assert!(consumed > 0, "repeated calls consume the whole file");
        rest = &rest[consumed..];
    }
    assert_eq!(pass.cursor().byte, file.len() as u64);
    (output, pass.cursor())
}

/// Reads a file as steps do: each is a new pass, and gets the file in blocks.
fn in_steps(
    layout: &Layout,
    file: &[u8],
    limit: usize,
    blocks: &[usize],
    steps: &[usize],
) -> (Output, Cursor) {
    let mut blocks = blocks.iter().copied().cycle();
    let (mut cursor, mut past, mut all) = (layout.start, Past::default(), Output::default());
    for step in steps.iter().copied().cycle() {
        let stop = cursor.byte + step as u64;
        let mut pass = Pass::resume(layout, cursor, past, limit);
        let mut from = cursor.byte as usize;
        let (mut to, mut eof, mut output) = (from, false, Output::default());
        while !(pass.at_boundary() && (pass.cursor().byte >= stop || from == file.len())) {
            let consumed = pass.read(&file[from..to], eof, stop, &mut output);
            from += consumed;
            assert_eq!(pass.cursor().byte, from as u64, "the cursor follows what is consumed");
            assert!(consumed > 0 || to - from <= limit + 2, "{} bytes must be enough", limit + 2);
            eof = to == file.len();
            to = file.len().min(to + blocks.next().unwrap_or(1));
        }
        if from == file.len() {
            pass.read(&[], true, stop, &mut output);
        }
        all.processed.append(&mut output.processed);
        all.failed.append(&mut output.failed);
        all.raw.append(&mut output.raw);
        all.notes.append(&output.notes);
        all.counts = all.counts.plus(output.counts);
        (cursor, past) = (pass.cursor(), pass.past());
        if from == file.len() {
            break;
        }
    }
    (all, cursor)
}
