use encoding_rs::{
    BIG5, EUC_JP, EUC_KR, GB18030, IBM866, ISO_8859_2, ISO_8859_3, ISO_8859_4, ISO_8859_5, ISO_8859_6,
    ISO_8859_7, ISO_8859_8, ISO_8859_10, ISO_8859_13, ISO_8859_14, ISO_8859_15, ISO_8859_16, KOI8_R, KOI8_U,
    MACINTOSH, SHIFT_JIS, WINDOWS_874, WINDOWS_1250, WINDOWS_1251, WINDOWS_1252, WINDOWS_1253, WINDOWS_1254,
    WINDOWS_1255, WINDOWS_1256, WINDOWS_1257, WINDOWS_1258, X_MAC_CYRILLIC,
};
use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

const OF_ONE_BYTE: &[&encoding_rs::Encoding] = &[
    IBM866,
    ISO_8859_2,
    ISO_8859_3,
    ISO_8859_4,
    ISO_8859_5,
    ISO_8859_6,
    ISO_8859_7,
    ISO_8859_8,
    ISO_8859_10,
    ISO_8859_13,
    ISO_8859_14,
    ISO_8859_15,
    ISO_8859_16,
    KOI8_R,
    KOI8_U,
    MACINTOSH,
    WINDOWS_874,
    WINDOWS_1250,
    WINDOWS_1251,
    WINDOWS_1252,
    WINDOWS_1253,
    WINDOWS_1254,
    WINDOWS_1255,
    WINDOWS_1256,
    WINDOWS_1257,
    WINDOWS_1258,
    X_MAC_CYRILLIC,
];

const OF_SEVERAL_BYTES: &[&encoding_rs::Encoding] = &[SHIFT_JIS, EUC_JP, EUC_KR, GB18030, BIG5];

/// The same in each of them, and characters that only one has.
const WORDS: &[[&[u8]; 5]] = &[
    [b"\x96\xbc\x91O", b"\xcc\xbe\xc1\xb0", b"\xc0\xcc\xb8\xa7", b"\xd0\xd5\xc3\xfb", b"\xa9m\xa6W"],
    [b",", b",", b",", b",", b","],
    [b"\xb1", b"\x8e\xb1", b"\x8cd", b"\x81\x39\xb7\x39", b"\x87\x40"],
    [b"\x83\x5c", b"\x8f\xb0\xa1", b"a", b"\xa2\xe3", b"\n"],
];

/// Pieces of text that cut and break characters of many encodings.
const PIECES: &[&[u8]] = &[
    b",",
    b"\n",
    b"a",
    b"\0",
    b"1",
    b"0",
    b"\x81",
    b"\x81\x30",
    b"\x81\x30\x81\x30",
    b"\x84\x31\xa4\x39",
    b"\xa4\xa2",
    b"\x8f\xa2\xaf",
    b"\x8e\xb1",
    b"\xff",
    b"\xfe",
    b"\x80",
    b"\xb0\xa1",
    b"\xd8\x00",
    b"\x00\xd8",
    b"\xdc\x80",
    b"\x80\xdc",
    b"\xff\xdb",
    b"\x3d\xd8",
    b"\x00\xde",
    b"\xe9",
];

/// Runs `convert` over chunks of `input` that end at `cuts`.
fn in_chunks(input: &[u8], cuts: &[usize], mut convert: impl FnMut(&[u8], bool, &mut Vec<u8>)) -> Vec<u8> {
    let (mut out, mut at, mut sizes) = (Vec::new(), 0, cuts.iter().cycle());
    while at < input.len() {
        let end = input.len().min(at + sizes.next().unwrap());
        convert(&input[at..end], false, &mut out);
        at = end;
    }
    convert(b"", true, &mut out);
    out
}

fn decoded(bytes: &[u8], encoding: Encoding, cuts: &[usize]) -> Vec<u8> {
    let mut decoder = ToUtf8::new(encoding);
    in_chunks(bytes, cuts, |input, last, out| decoder.decode(input, last, out))
}

fn encoded(text: &[u8], encoding: Encoding, cuts: &[usize]) -> Vec<u8> {
    let mut encoder = FromUtf8::new(encoding);
    in_chunks(text, cuts, |input, last, out| encoder.encode(input, last, out))
}

#[test]
fn text_is_decoded_and_what_cannot_be_is_escaped() {
    let decoded = |bytes: &[u8], name: &str| decoded(bytes, Encoding::labelled(name).unwrap(), &[100]);
    assert_eq!(decoded(b"Zo\xeb \x80", "windows-1252"), "Zoë €".as_bytes());
    assert_eq!(decoded(b"\x96\xbc\x91O", "shift_jis"), "名前".as_bytes());
    assert_eq!(decoded(b"\xff\xfeA\0\x3d\xd8\x00\xde", "utf-16le"), "\u{FEFF}A😀".as_bytes());
    assert_eq!(decoded(b"\xd8\x3d\xde\0\0\n", "utf-16be"), "😀\n".as_bytes());
    assert_eq!(decoded(b"\xe1\xaa,\xff", "windows-1253"), b"\xce\xb1\xed\xb2\xaa,\xed\xb3\xbf");
    assert_eq!(decoded(b"\x81\n", "shift_jis"), b"\xed\xb2\x81\n", "a line end stays one");
    // A high surrogate alone, then a low one, then half a unit.
    assert_eq!(
        decoded(b"\xd8\x3d\0A\xde\0\x7f", "utf-16be"),
        b"\xed\xa0\xbdA\xed\xb8\x80\xed\xaf\xbf\xed\xb1\xbf"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_byte_comes_back_from_encodings_of_one_byte(
        bytes in vec(any::<u8>(), 0..300),
        cuts in vec(1_usize..40, 1..10),
    ) {
        for encoding in OF_ONE_BYTE {
            let text = decoded(&bytes, (*encoding).into(), &cuts);
            prop_assert_eq!(&text, &decoded(&bytes, (*encoding).into(), &[1]), "{}", encoding.name());
            prop_assert_eq!(&encoded(&text, (*encoding).into(), &cuts), &bytes, "{}", encoding.name());
        }
    }

    #[test]
    fn every_byte_comes_back_from_utf_16(
        bytes in prop_oneof![vec(any::<u8>(), 0..60), vec(select(PIECES), 0..30).prop_map(|pieces| pieces.concat())],
        cuts in vec(1_usize..9, 1..10),
    ) {
        for encoding in [Encoding::UTF_16LE, Encoding::UTF_16BE] {
            let text = decoded(&bytes, encoding, &cuts);
            prop_assert_eq!(&text, &decoded(&bytes, encoding, &[1]));
            prop_assert_eq!(&encoded(&text, encoding, &cuts), &bytes);
        }
    }

    #[test]
    fn chunks_of_any_size_give_the_same_from_encodings_of_several_bytes(
        pieces in vec(select(PIECES), 0..40),
        cuts in vec(1_usize..9, 1..10),
    ) {
        let bytes = pieces.concat();
        for encoding in OF_SEVERAL_BYTES {
            let text = decoded(&bytes, (*encoding).into(), &cuts);
            prop_assert_eq!(&text, &decoded(&bytes, (*encoding).into(), &[bytes.len().max(1)]), "{}", encoding.name());
            let line_ends = |text: &[u8]| text.iter().filter(|&&byte| byte == b'\n').count();
            prop_assert_eq!(line_ends(&text), line_ends(&bytes), "{}", encoding.name());
            let (expected, _) = encoding.decode_without_bom_handling(&bytes);
            let is_broken = str::from_utf8(&text).is_err();
            prop_assert_eq!(is_broken, expected.contains('\u{FFFD}'), "{}", encoding.name());
            if !is_broken {
                prop_assert_eq!(text, expected.as_bytes(), "{}", encoding.name());
            }
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn text_comes_back_from_encodings_of_several_bytes(
        pieces in vec(select(WORDS), 0..12),
        cuts in vec(1_usize..9, 1..10),
    ) {
        for (place, encoding) in OF_SEVERAL_BYTES.iter().enumerate() {
            let bytes: Vec<u8> = pieces.iter().flat_map(|words| words[place]).copied().collect();
            let text = decoded(&bytes, (*encoding).into(), &cuts);
            prop_assert!(str::from_utf8(&text).is_ok(), "{}", encoding.name());
            prop_assert_eq!(encoded(&text, (*encoding).into(), &cuts), bytes, "{}", encoding.name());
        }
    }
}
