//! Detection of how a file is read, from arbitrary bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use runboard_fuzz::{
    Options,
    csv::{How, Layout, LayoutError, MOST_COLUMNS, Reading, detect},
    line_ends, utf8,
};

fuzz_target!(|data: &[u8]| {
    let Some((mut options, sample)) = Options::split_off(data) else { return };
    let choices = options.choices();
    let eof = options.one_of(&[true, false]);
    let max_header_bytes = options.one_of(&[1 << 20, 1000, 64]);
    let detect = || detect(sample, eof, utf8(), &choices, max_header_bytes);
    let detected = detect();
    assert_eq!(detected, detect(), "the same file is read in the same way");

    let (layout, reading) = match detected {
        Ok(detected) => detected,
        Err(LayoutError::NeedMore) => {
            assert!(!eof, "there is no more");
            // A byte-order mark and half a line end do not count.
            assert!(sample.len() <= 2 * max_header_bytes + 4, "{} bytes must be enough", sample.len());
            return;
        }
        Err(_) => return,
    };
    let start = usize::try_from(layout.start.byte).unwrap();
    assert!(start <= sample.len(), "the records begin in the sample");
    assert_eq!(layout.start.line, 1 + line_ends(&sample[..start]));
    assert_eq!(layout.start.record, 0);
    assert!(layout.header.len() <= MOST_COLUMNS);

    assert_eq!(layout.dialect.delimiter, reading.delimiter.value);
    assert_eq!(layout.dialect.quote, reading.quote.value);
    assert_eq!(layout.dialect.escape, reading.escape.value);
    if reading.delimiter.how == How::Chosen {
        assert_eq!(Some(reading.delimiter.value), choices.delimiter);
    }
    if reading.quote.how == How::Chosen {
        assert_eq!(Some(reading.quote.value), choices.quote);
    }
    if reading.escape.how == How::Chosen {
        assert_eq!(Some(reading.escape.value), choices.escape);
    }

    let stored = serde_json::to_string(&(&layout, &reading)).unwrap();
    let read: (Layout, Reading) = serde_json::from_str(&stored).unwrap();
    assert_eq!(read, (layout, reading), "later steps obey what is stored");
});
