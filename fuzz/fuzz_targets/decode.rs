//! The look at a file's bytes, and their decoding and encoding, in chunks of any size.

#![no_main]

use libfuzzer_sys::fuzz_target;
use runboard_fuzz::{
    Options,
    csv::{Encoding, FromUtf8, Survey, Surveyor, ToUtf8},
    pieces,
};

/// All encodings of the WHATWG's list that Runboard takes.
const NAMES: &[&str] = &[
    "utf-8",
    "utf-16le",
    "utf-16be",
    "windows-1252",
    "shift_jis",
    "euc-jp",
    "euc-kr",
    "gb18030",
    "gbk",
    "big5",
    "iso-2022-jp",
    "ibm866",
    "iso-8859-2",
    "iso-8859-3",
    "iso-8859-4",
    "iso-8859-5",
    "iso-8859-6",
    "iso-8859-7",
    "iso-8859-8",
    "iso-8859-8-i",
    "iso-8859-10",
    "iso-8859-13",
    "iso-8859-14",
    "iso-8859-15",
    "iso-8859-16",
    "koi8-r",
    "koi8-u",
    "macintosh",
    "windows-874",
    "windows-1250",
    "windows-1251",
    "windows-1253",
    "windows-1254",
    "windows-1255",
    "windows-1256",
    "windows-1257",
    "windows-1258",
    "x-mac-cyrillic",
];

fuzz_target!(|data: &[u8]| {
    let Some((mut options, file)) = Options::split_off(data) else { return };
    let name = options.one_of(NAMES);
    let sizes = options.sizes();

    let survey = Survey::of(file);
    let mut surveyor = Surveyor::default();
    pieces(file, &sizes).for_each(|piece| surveyor.feed(piece));
    assert_eq!(surveyor.finish(), survey, "chunks do not matter to the survey");
    assert_eq!(survey.bytes(), file.len() as u64);
    assert_eq!(survey.is_ascii(), file.is_ascii());
    let stored = serde_json::to_string(&survey).unwrap();
    assert_eq!(serde_json::from_str::<Survey>(&stored).unwrap(), survey);

    convert(file, survey.encoding().value, &sizes);
    convert(file, Encoding::labelled(name).expect("the name of an encoding"), &sizes);
});

fn convert(file: &[u8], encoding: Encoding, sizes: &[usize]) {
    let name = encoding.name();
    let decode = |sizes: &[usize]| {
        let (mut decoder, mut text) = (ToUtf8::new(encoding), Vec::new());
        pieces(file, sizes).for_each(|piece| decoder.decode(piece, false, &mut text));
        decoder.decode(b"", true, &mut text);
        (text, decoder.has_escaped())
    };
    let (text, has_escaped) = decode(&[file.len().max(1)]);
    assert_eq!(decode(sizes), (text.clone(), has_escaped), "chunks do not matter to the decoder of {name}");
    if !encoding.is_utf8() {
        assert_eq!(
            has_escaped,
            str::from_utf8(&text).is_err(),
            "escapes, and only they, are not UTF-8: {name}"
        );
    }

    let encode = |text: &[u8], sizes: &[usize]| {
        let (mut encoder, mut bytes) = (FromUtf8::new(encoding), Vec::new());
        pieces(text, sizes).for_each(|piece| encoder.encode(piece, false, &mut bytes));
        encoder.encode(b"", true, &mut bytes);
        bytes
    };
    let encoded = encode(&text, sizes);
    let whatwg: &'static encoding_rs::Encoding = encoding.into();
    if encoding.is_unicode() || whatwg.is_single_byte() {
        assert_eq!(encoded, file, "every byte of {name} comes back");
    }
    assert_eq!(encode(&text, &[text.len().max(1)]), encoded, "chunks do not matter to the encoder of {name}");
    // Characters that the encoding does not have, too. Those of several bytes make a large table for each.
    if !encoding.is_unicode() && !whatwg.is_single_byte() {
        return;
    }
    let foreign = String::from_utf8_lossy(file);
    let whole = encode(foreign.as_bytes(), &[foreign.len().max(1)]);
    assert_eq!(encode(foreign.as_bytes(), sizes), whole, "chunks do not matter to the encoder of {name}");
}
