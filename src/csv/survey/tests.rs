use encoding_rs::{
    BIG5, EUC_JP, EUC_KR, GB18030, ISO_8859_2, ISO_8859_15, KOI8_R, MACINTOSH, SHIFT_JIS, WINDOWS_1250,
    WINDOWS_1251, WINDOWS_1252, WINDOWS_1253, WINDOWS_1254, WINDOWS_1255, WINDOWS_1256, WINDOWS_1257,
};
use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::csv::How;

/// Rows as people keep them, by the encodings in which they are written.
const TEXTS: &[(&str, &[&encoding_rs::Encoding], &str)] = &[
    (
        "German",
        &[WINDOWS_1252, MACINTOSH],
        "Name;Straße;Ort\r\nJürgen Müller;Königstraße 5;Köln\r\nBjörn Groß;Schloßgäßchen 12;Göttingen\r\nÄnne Übel;Am Brühl 3;Lübeck\r\n",
    ),
    (
        "French",
        &[WINDOWS_1252, MACINTOSH],
        "prénom,ville,remarque\nRenée,Orléans,déjà payé\nFrançois,Nîmes,à rappeler\nZoé,Besançon,reçu le chèque\nHélène,Sète,\n",
    ),
    (
        "Spanish",
        &[WINDOWS_1252, MACINTOSH],
        "nombre,ciudad,teléfono\nMuñoz,Málaga,952\nPeña,A Coruña,981\nGarcía,León,987\nIbáñez,Cádiz,956\n",
    ),
    ("Danish", &[WINDOWS_1252, MACINTOSH], "navn;by\nSøren Ærø;Århus\nBjørn Kjær;Tønder\nÅse Lægaard;Køge\n"),
    (
        "Swedish",
        &[WINDOWS_1252, MACINTOSH],
        "namn;ort\nÅke Sjöberg;Västerås\nGöran Öberg;Malmö\nMärta Ångström;Örebro\n",
    ),
    (
        "Portuguese",
        &[WINDOWS_1252, MACINTOSH],
        "nome;cidade;observação\nJoão;São Paulo;não pago\nConceição;Brasília;avaliação\nAntônio;Goiânia;coração\n",
    ),
    (
        "Italian",
        &[WINDOWS_1252, MACINTOSH],
        "nome;città;qualità\nNiccolò;Forlì;così così\nGiosuè;Cantù;perché sì\n",
    ),
    ("Euro", &[ISO_8859_15], "article;prix\nœufs;3 €\ncœur de bœuf;12 €\nSoirée à Plœmeur;50 €\n"),
    (
        "Polish",
        &[WINDOWS_1250, ISO_8859_2],
        "imię;miasto;ulica\nŁukasz;Łódź;Świętokrzyska\nMałgorzata;Kraków;Żółkiewskiego\nStanisław;Gdańsk;Długa\nWiesław;Wrocław;Śląska\n",
    ),
    (
        "Czech",
        &[WINDOWS_1250, ISO_8859_2],
        "jméno;město;ulice\nJiří Dvořák;Plzeň;Žižkova\nŠtěpán Kříž;České Budějovice;Příčná\nTomáš Němec;Třebíč;Růžová\n",
    ),
    (
        "Hungarian",
        &[WINDOWS_1250, ISO_8859_2],
        "név;város;utca\nSzűcs Győző;Győr;Fő tér\nNagy Erzsébet;Székesfehérvár;Hűség útja\nTörök Gergő;Hódmezővásárhely;Kőris köz\n",
    ),
    (
        "Russian",
        &[WINDOWS_1251, KOI8_R],
        "имя;город;улица\r\nИван Петров;Москва;Тверская\r\nСергей Кузнецов;Казань;Баумана\r\nАнна Соколова;Самара;Ленина\r\n",
    ),
    (
        "Ukrainian",
        &[WINDOWS_1251],
        "ім'я;місто\nОлексій;Київ\nЮлія;Запоріжжя\nЄвген;Чернівці\nЇжакевич;Рівне\n",
    ),
    (
        "Bulgarian",
        &[WINDOWS_1251],
        "име,град\nГеорги,София\nЙорданка,Пловдив\nСтоян,Велико Търново\nЖивко,Стара Загора\n",
    ),
    (
        "Greek",
        &[WINDOWS_1253],
        "όνομα;πόλη;οδός\nΓιώργος;Αθήνα;Πανεπιστημίου\nΕλένη;Θεσσαλονίκη;Τσιμισκή\nΝίκος;Ηράκλειο;Έβανς\n",
    ),
    (
        "Turkish",
        &[WINDOWS_1254],
        "adı;şehir;açıklama\nİbrahim Yıldız;İzmir;ödeme yapıldı\nAyşe Şahin;Muğla;teşekkürler\nOğuz Çağlar;Eskişehir;gönderildi\n",
    ),
    ("Hebrew", &[WINDOWS_1255], "שם;עיר\nיוסף כהן;ירושלים\nרחל לוי;תל אביב\nמשה פרץ;חיפה\n"),
    ("Arabic", &[WINDOWS_1256], "الاسم;المدينة\nمحمد علي;القاهرة\nفاطمة حسن;الإسكندرية\nأحمد يوسف;بغداد\n"),
    (
        "Lithuanian",
        &[WINDOWS_1257],
        "vardas;miestas;gatvė\nŽilvinas;Šiauliai;Ąžuolų\nRūta;Panevėžys;Šviesos\nKęstutis;Mažeikiai;Žemaičių\nVytautė;Kėdainiai;Jūrų\n",
    ),
    (
        "Latvian",
        &[WINDOWS_1257],
        "vārds;pilsēta;iela\nJānis;Rīga;Brīvības\nĒrika;Jūrmala;Kļavu\nKārlis;Rēzekne;Zaļā\nLīga;Cēsis;Ķiršu\n",
    ),
    (
        "Japanese",
        &[SHIFT_JIS, EUC_JP],
        "名前,住所,備考\n田中太郎,東京都千代田区,支払い済み\n鈴木花子,大阪市北区,カタカナのメモ\n佐藤健,横浜市,連絡してください\n",
    ),
    (
        "Korean",
        &[EUC_KR],
        "이름,도시,비고\n김철수,서울,지불 완료\n이영희,부산,전화해 주세요\n박민수,대구,없음\n",
    ),
    (
        "simplified Chinese",
        &[GB18030],
        "姓名,城市,备注\n张三,北京,已付款\n李四,上海,请打电话\n王小明,广州,没有问题\n",
    ),
    (
        "traditional Chinese",
        &[BIG5],
        "姓名,城市,備註\n陳大文,臺北,已經付款\n林志明,高雄,請打電話\n黃美玲,臺中,沒有問題\n",
    ),
];

fn encoded(text: &str, encoding: &'static encoding_rs::Encoding) -> Vec<u8> {
    let (bytes, _, is_lossy) = encoding.encode(text);
    assert!(!is_lossy, "{} cannot hold the text", encoding.name());
    bytes.into_owned()
}

fn utf16(text: &str, bytes: impl Fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

fn found(bytes: &[u8]) -> (&'static str, How) {
    let Part { value, how } = Survey::of(bytes).encoding();
    (value.name(), how)
}

/// Whether `bytes` are read as `text`; some texts are the same bytes in several encodings.
fn is_read_as(bytes: &[u8], text: &str) -> bool {
    let encoding: &encoding_rs::Encoding = Survey::of(bytes).encoding().value.into();
    encoding.decode_without_bom_handling(bytes).0 == text
}

#[test]
fn texts_of_many_languages_are_recognised_in_the_encodings_that_they_come_in() {
    for (language, encodings, text) in TEXTS {
        for encoding in *encodings {
            // Old Macintosh programs ended lines in CR.
            let text = if *encoding == MACINTOSH {
                text.replace("\r\n", "\n").replace('\n', "\r")
            } else {
                text.to_string()
            };
            let bytes = encoded(&text, encoding);
            let (name, how) = found(&bytes);
            assert_eq!(how, How::Guess);
            assert!(is_read_as(&bytes, &text), "{language} in {}: {name}", encoding.name());
        }
        assert_eq!(found(text.as_bytes()), ("UTF-8", How::Certain), "{language}");
    }
    assert_eq!(found(b"id,name\n1,abc\n"), ("UTF-8", How::Certain));
    assert_eq!(found(b""), ("UTF-8", How::Certain));
}

#[test]
fn most_single_lines_are_enough() {
    let (mut lines, mut wrong) = (0, Vec::new());
    for (language, encodings, text) in TEXTS {
        for encoding in *encodings {
            for line in text.lines().skip(1) {
                lines += 1;
                let bytes = encoded(line, encoding);
                if !is_read_as(&bytes, line) {
                    wrong.push(format!("{language} in {}: {}: {line}", encoding.name(), found(&bytes).0));
                }
            }
        }
    }
    assert!(wrong.len() * 100 <= lines * 8, "{} of {lines}: {wrong:#?}", wrong.len());
}

#[test]
fn utf_16_is_recognised_with_a_mark_and_without() {
    for (language, _, text) in TEXTS {
        let (low, high) = (utf16(text, u16::to_le_bytes), utf16(text, u16::to_be_bytes));
        assert_eq!(found(&low), ("UTF-16LE", How::Guess), "{language}");
        assert_eq!(found(&high), ("UTF-16BE", How::Guess), "{language}");
        assert_eq!(found(&[b"\xff\xfe", &low[..]].concat()), ("UTF-16LE", How::Certain));
        assert_eq!(found(&[b"\xfe\xff", &high[..]].concat()), ("UTF-16BE", How::Certain));
    }
    assert_eq!(found(&utf16("id,name\r\n1,abc\r\n", u16::to_le_bytes)), ("UTF-16LE", How::Guess));
    let kana = "なまえ,まち\nはなこ,おおさか\nさくら,ひろしま\n";
    assert_eq!(found(&utf16(kana, u16::to_le_bytes)), ("UTF-16LE", How::Guess));
    // A few NULs in a small file.
    assert_eq!(found(b"id;x\n1;a\x00b\n22;\x00c\n33;\x00d\n"), ("UTF-8", How::Certain));
    assert_eq!(found(b"id;name\n1;a\x00b\n2;c\x00d\n3;e\x00f\n"), ("UTF-8", How::Certain));
    // Padded with NUL, as mainframes do.
    assert_eq!(found(b"id,name\n1,abc\0\0\0\n2,defg\0\0\n"), ("UTF-8", How::Certain));
    assert_eq!(found(b"id,name\n12,abc\0\n13,def\0\n"), ("UTF-8", How::Certain));
}

#[test]
fn a_few_broken_characters_leave_a_file_utf_8() {
    // The name in line 4 is in Windows-1252.
    let mixed = b"id,name\n1,Zo\xc3\xab\n2,\xc3\x85sa\n3,Ren\xe9e\n4,J\xc3\xbcrgen\n5,\xc3\x98yvind\n";
    assert_eq!(found(mixed), ("UTF-8", How::Guess));
    // In GBK the word for women is a character of UTF-8, and that for men is not.
    let sexes =
        [&b"\xb1\xe0\xba\xc5,\xd0\xd4\xb1\xf0\n"[..], &b"1,\xc5\xae\n2,\xc4\xd0\n".repeat(20)].concat();
    assert_eq!(found(&sexes).0, "gb18030");
    // The broken record has more characters than all others.
    let one = b"id,name\n1,Zo\xc3\xab\n2,Anna\n3,M\xfcller Stra\xdfe\n4,Bo\n";
    assert_eq!(found(one), ("UTF-8", How::Guess));
    assert_eq!(found(b"\xef\xbb\xbfid\n\xe9\n\xe9\n"), ("UTF-8", How::Certain));
    assert_eq!(found(b"id,name\n1,Zo\xc3\xab\n2,Ren\xe9e\n3,M\xfcller\n").0, "windows-1252");
    // Cut off inside a character.
    assert_eq!(found("ä,ö,ü".as_bytes().split_last().unwrap().1), ("UTF-8", How::Guess));
}

#[test]
fn the_whole_file_counts_and_not_only_its_front() {
    let mut surveyor = Surveyor::default();
    for _ in 0..100 {
        surveyor.feed(&b"12345,plain words\n".repeat(1000));
    }
    surveyor.feed(&encoded("7,Müller aus Köln\n", WINDOWS_1252));
    let survey = surveyor.finish();
    assert_eq!((survey.encoding().value.name(), survey.encoding().how), ("windows-1252", How::Guess));
    assert_eq!((survey.bytes(), survey.first_high), (1_800_018, Some(1_800_003)));
}

#[test]
fn only_so_many_words_are_kept_from_all_parts_of_a_file() {
    let mut surveyor = Surveyor::default();
    let lines = 100_000;
    for line in 0..lines {
        surveyor.feed(format!("{line},caf").as_bytes());
        surveyor.feed(&[0xE9, b'a' + (line % 26) as u8, b'a' + (line / 26 % 26) as u8, b'\n']);
        surveyor.feed(&line.to_string().into_bytes());
        surveyor.feed(b"\xe9\n");
    }
    let survey = surveyor.finish();
    let json = serde_json::to_string(&survey).unwrap();
    assert!(json.len() < 30_000, "{}", json.len());
    assert_eq!(serde_json::from_str::<Survey>(&json).unwrap(), survey);
    let numbers =
        survey.words.iter().filter_map(|word| str::from_utf8(&word[..word.len() - 1]).ok()?.parse().ok());
    let numbers: Vec<i32> = numbers.collect();
    let late = numbers.iter().filter(|&&number| number > lines / 2).count();
    assert!(late > numbers.len() / 4 && late < numbers.len() * 3 / 4, "{late} of {}", numbers.len());
}

const PIECES: &[&[u8]] = &[
    b",",
    b"\n",
    b"\r\n",
    b"a",
    b"plain",
    b"7",
    b"\0",
    b"\xff",
    b"\xfe",
    b"\xef\xbb\xbf",
    b"\xe9",
    b"\xc3",
    b"\xc3\xa9",
    b"\xf0\x9f\x98\x80",
    b"\xf0\x9f",
    b"\xe4\xb8\xad",
    b"\x81\x30\x81\x30",
    b"\xed\xa0\x80",
    b"\x80",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chunks_of_any_size_say_the_same(
        pieces in vec(select(PIECES), 0..60),
        cuts in vec(1_usize..9, 1..40),
    ) {
        let file = pieces.concat();
        let mut surveyor = Surveyor::default();
        let (mut at, mut sizes) = (0, cuts.iter().cycle());
        while at < file.len() {
            let end = file.len().min(at + sizes.next().unwrap());
            surveyor.feed(&file[at..end]);
            at = end;
        }
        let survey = surveyor.finish();
        prop_assert_eq!(&survey, &Survey::of(&file));
        prop_assert_eq!(survey.invalid == 0, str::from_utf8(&file).is_ok());
        let in_several = String::from_utf8_lossy(&file).chars().filter(|c| c.len_utf8() > 1).count() as u64;
        prop_assert_eq!(survey.valid + survey.invalid, in_several);
    }

    #[test]
    fn utf_8_is_recognised_however_long_its_words_are(
        text in "[a-zäöü中😀]{0,40}",
        times in 1_usize..600,
        chunk in 1_usize..9000,
    ) {
        let file = text.repeat(times);
        let mut surveyor = Surveyor::default();
        file.as_bytes().chunks(chunk).for_each(|chunk| surveyor.feed(chunk));
        let survey = surveyor.finish();
        prop_assert_eq!(survey.invalid, 0);
        prop_assert_eq!(survey.valid, file.chars().filter(|c| !c.is_ascii()).count() as u64);
    }
}
