//! Files in other encodings than UTF-8, from the form to the rows.

mod source_form;

use std::{fs, path::Path};

use encoding_rs::{Encoding, SHIFT_JIS, WINDOWS_1252};
use reqwest::StatusCode;
use runboard::{csv::How, store::Store};
use serde_json::Value;
use tempfile::tempdir;

use crate::{
    packed::{begun, held, is_said},
    support::{
        TestApp,
        binary::{Binary, runboard},
        database,
        host::{Host, Reply, with_body},
        spawn_app, spawn_app_on, until,
        visitor::Visitor,
    },
};

const TOWNS: &str = "name,town\r\nZoë,Köln\r\nRenée,Málaga\r\nÅsa,Ærø\r\n";

fn files_in(data: &Path, folder: &str) -> usize {
    fs::read_dir(data.join("files").join(folder)).unwrap().count()
}

fn bytes(text: &str, encoding: &'static Encoding) -> Vec<u8> {
    let (bytes, _, is_lossy) = encoding.encode(text);
    assert!(!is_lossy);
    bytes.into_owned()
}

fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(unit).collect()
}

async fn completed(visitor: &Visitor, name: &str, file: impl AsRef<[u8]>, counts: (u64, u64)) -> String {
    let import = visitor.upload(name, file).await;
    assert_eq!(visitor.wait_for_state(&import, "Completed").await.counts(), counts, "{name}");
    import
}

async fn text(visitor: &Visitor, import: &str, output: &str) -> String {
    String::from_utf8(visitor.download(&format!("{import}/{output}")).await).unwrap()
}

async fn retry(visitor: &Visitor, import: &str, fields: &[(&str, &str)]) -> String {
    let answer = visitor.post_form(&format!("{import}/retry"), fields).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    answer.headers()["location"].to_str().unwrap().to_owned()
}

/// The encoding that an import was read in, and how that was known; and the names of its steps.
async fn read_in(app: &TestApp, import: &str) -> (String, How, Vec<String>) {
    let database = database::url(app.data.path());
    let store = Store::open(&database).await.unwrap();
    let id = import.rsplit('/').next().unwrap().parse().unwrap();
    let runs = store.runs_of(&[id]).await.unwrap();
    let run = runs.iter().find(|run| run.execution.is_some()).unwrap();
    let steps = store.steps(&run.run_id).await.unwrap();
    let plan = steps.iter().find(|step| step.name == "plan").unwrap();
    let plan: Value = serde_json::from_str(&plan.result).unwrap();
    let encoding = &plan["reading"]["encoding"];
    let how = serde_json::from_value(encoding["how"].clone()).unwrap();
    store.close().await;
    let names = steps.into_iter().map(|step| step.name).collect();
    (encoding["value"].as_str().unwrap().to_owned(), how, names)
}

#[tokio::test]
async fn a_file_is_read_in_its_encoding_and_written_as_utf_8() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let japanese = "名前,住所\r\n田中太郎,東京都千代田区\r\n鈴木花子,大阪市北区\r\n佐藤健,横浜市\r\n";
    let mark = |text: Vec<u8>, mark: &[u8]| [mark, &text].concat();
    for (name, file, said, how) in [
        (TOWNS, bytes(TOWNS, WINDOWS_1252), "windows-1252", How::Guess),
        (TOWNS, utf16(TOWNS, u16::to_le_bytes), "UTF-16LE", How::Guess),
        (TOWNS, mark(utf16(TOWNS, u16::to_le_bytes), b"\xff\xfe"), "UTF-16LE", How::Certain),
        (TOWNS, mark(utf16(TOWNS, u16::to_be_bytes), b"\xfe\xff"), "UTF-16BE", How::Certain),
        (japanese, bytes(japanese, SHIFT_JIS), "Shift_JIS", How::Guess),
    ] {
        let import = completed(&visitor, "towns.csv", file, (3, 0)).await;
        assert_eq!(text(&visitor, &import, "processed.csv").await, name, "{said}");
        let (encoding, known, steps) = read_in(&app, &import).await;
        assert_eq!((&*encoding, known), (said, how));
        assert_eq!(steps, ["decode", "plan", "rows-1"]);
        // A re-run of all reads the original file, not the copy.
        let again = retry(&visitor, &import, &[]).await;
        visitor.wait_for_state(&again, "Completed").await;
        assert_eq!(text(&visitor, &again, "processed.csv").await, name, "{said}");
        assert_eq!(read_in(&app, &again).await, (encoding, known, steps));
    }
    let import = completed(&visitor, "towns.csv", TOWNS, (3, 0)).await;
    let (encoding, known, steps) = read_in(&app, &import).await;
    assert_eq!((&*encoding, known), ("UTF-8", How::Certain));
    assert_eq!(steps, ["plan", "rows-1"], "UTF-8 is read in place");
    app.stop().await;
}

#[tokio::test]
async fn the_first_odd_byte_may_be_far_behind() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let mut file = String::from("id,text\n");
    for row in 0..200_000 {
        file += &format!("{row},plain words number {row}\n");
    }
    let mut file = file.into_bytes();
    file.extend(bytes("200000,Müller aus Köln\n", WINDOWS_1252));
    let import = completed(&visitor, "late.csv", &file, (200_001, 0)).await;
    let processed = text(&visitor, &import, "processed.csv").await;
    assert!(processed.ends_with("199999,plain words number 199999\r\n200000,Müller aus Köln\r\n"));
    app.stop().await;
}

#[tokio::test]
async fn an_encoding_that_is_chosen_decodes_the_original_bytes() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let greek = "όνομα,πόλη\nΓιώργος,Αθήνα\n";
    let file = [bytes(greek, encoding_rs::WINDOWS_1253), b"\xd2,x\n".to_vec()].concat();
    let import = visitor.upload("greek.csv", &file).await;
    visitor.wait_for_state(&import, "Completed").await;
    let as_latin = retry(&visitor, &import, &[("encoding", "latin1")]).await;
    assert_eq!(visitor.wait_for_state(&as_latin, "Completed").await.counts(), (2, 0));
    assert_eq!(read_in(&app, &as_latin).await.0, "windows-1252");
    // From there to Greek: the original bytes again, of which one is not Greek.
    let as_greek = retry(&visitor, &as_latin, &[("encoding", "windows-1253")]).await;
    assert_eq!(visitor.wait_for_state(&as_greek, "Completed").await.counts(), (1, 1));
    let (encoding, how, steps) = read_in(&app, &as_greek).await;
    assert_eq!((&*encoding, how, &*steps[0]), ("windows-1253", How::Chosen, "decode"));
    assert_eq!(text(&visitor, &as_greek, "processed.csv").await, greek.replace('\n', "\r\n"));
    let as_utf8 = retry(&visitor, &as_greek, &[("encoding", "utf-8")]).await;
    assert_eq!(visitor.wait_for_state(&as_utf8, "Completed").await.counts(), (0, 2));
    assert_eq!(read_in(&app, &as_utf8).await.2, ["plan", "rows-1"]);
    app.stop().await;
}

#[tokio::test]
async fn failed_records_are_read_again_as_their_import_read_them() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let rows = "name,town\nZoë,Köln\nRenée\nÅsa,Ærø,x\n";
    let file = bytes(rows, WINDOWS_1252);
    let import = completed(&visitor, "towns.csv", &file, (1, 2)).await;
    let failed = text(&visitor, &import, "failed.csv").await;
    let again = retry(&visitor, &import, &[("only", "failed")]).await;
    assert_eq!(visitor.wait_for_state(&again, "Completed").await.counts(), (0, 2));
    let (encoding, how, steps) = read_in(&app, &again).await;
    assert_eq!((&*encoding, how), ("windows-1252", How::Guess));
    assert_eq!(steps, ["failed-rows", "plan", "rows-1"]);
    let failed_again = text(&visitor, &again, "failed.csv").await;
    let without_lines = |failed: &str| -> Vec<String> {
        failed.lines().map(|line| line.split_once(',').unwrap().1.to_owned()).collect()
    };
    assert_eq!(without_lines(&failed_again), without_lines(&failed));
    assert!(failed_again.contains("Renée"), "{failed_again}");

    // Undecodable records stay so, with the same reason.
    let greek =
        [bytes("όνομα,πόλη\nΓιώργος,Αθήνα\n", encoding_rs::WINDOWS_1253), b"\xd2,x\n".to_vec()].concat();
    let import = visitor.upload("greek.csv", greek).await;
    visitor.wait_for_state(&import, "Completed").await;
    let as_greek = retry(&visitor, &import, &[("encoding", "windows-1253")]).await;
    assert_eq!(visitor.wait_for_state(&as_greek, "Completed").await.counts(), (1, 1));
    let again = retry(&visitor, &as_greek, &[("only", "failed")]).await;
    assert_eq!(visitor.wait_for_state(&again, "Completed").await.counts(), (0, 1));
    assert_eq!(read_in(&app, &again).await.0, "windows-1253");
    let failed = [text(&visitor, &as_greek, "failed.csv").await, text(&visitor, &again, "failed.csv").await];
    assert_eq!(without_lines(&failed[0]), without_lines(&failed[1]));
    app.stop().await;
}

#[tokio::test]
async fn failed_records_are_read_as_before_although_their_import_was_deleted() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    // By themselves the failed records are separated by commas.
    let file = format!("id;name,place\n{}1,2\n3,4\n", "5;six\n".repeat(20));
    let parent = completed(&visitor, "list.csv", file, (20, 2)).await;
    let child = retry(&visitor, &parent, &[("only", "failed")]).await;
    visitor.wait_for_state(&child, "Completed").await;
    assert_eq!(visitor.post_form(&format!("{parent}/delete"), &[]).await.status(), 303);
    let mut last = child;
    for _ in 0..2 {
        last = retry(&visitor, &last, &[]).await;
        let panel = visitor.wait_for_state(&last, "Completed").await;
        assert_eq!(panel.counts(), (0, 2));
        let failed = text(&visitor, &last, "failed.csv").await;
        assert!(failed.contains("\"1 field, expected 2\",\"1,2\""), "{failed}");
    }
    app.stop().await;
}

#[tokio::test]
async fn the_charset_of_an_address_decides_if_it_can_decode_all() {
    let host = Host::start(|path, _| {
        let (charset, file) = match path {
            "/named.csv" => ("ISO-8859-2", bytes("jméno,obec\nTomáš,Plzeň\n", encoding_rs::ISO_8859_2)),
            "/wrong.csv" => (
                "windows-1253",
                [&bytes("a,b\nRenée,K\u{f6}ln\n", WINDOWS_1252)[..], b"\xd2,\xff\n"].concat(),
            ),
            // An even number of bytes.
            "/utf16.csv" => ("utf-16le", bytes("name,town\nRenée,Köln\nÅsa,Ærø \n", WINDOWS_1252)),
            _ => ("iso-8859-1", TOWNS.into()),
        };
        Reply::Bytes(with_body(
            "200 OK",
            &format!("Content-Type: text/csv; charset=\"{charset}\"\r\n"),
            &file,
        ))
    })
    .await;
    let app =
        spawn_app_on(tempdir().unwrap(), |config| config.allow_addresses = host.allowed().parse().unwrap())
            .await;
    let visitor = app.signed_in().await;
    for (path, encoding, how, second) in [
        ("/named.csv", "ISO-8859-2", How::Certain, "decode"),
        ("/wrong.csv", "windows-1252", How::Guess, "decode"),
        // Nearly any bytes can be decoded as UTF-16.
        ("/utf16.csv", "windows-1252", How::Guess, "decode"),
        // What is UTF-8 to the last byte is so whatever a server says of all its files.
        ("/utf8.csv", "UTF-8", How::Certain, "plan"),
    ] {
        let import = visitor.import_address(&host.url(path)).await;
        visitor.wait_for_state(&import, "Completed").await;
        let (found, known, steps) = read_in(&app, &import).await;
        assert_eq!((&*found, known, &*steps[0], &*steps[1]), (encoding, how, "fetch", second), "{path}");
        // A re-run reads the bytes that were fetched, and remembers what their server said of them.
        let again = retry(&visitor, &import, &[]).await;
        visitor.wait_for_state(&again, "Completed").await;
        let (found, known, steps) = read_in(&app, &again).await;
        assert_eq!((&*found, known, &*steps[0]), (encoding, how, second), "{path}");
        let third = retry(&visitor, &again, &[]).await;
        visitor.wait_for_state(&third, "Completed").await;
        assert_eq!(read_in(&app, &third).await.0, encoding, "{path}");
    }
    app.stop().await;
}

#[tokio::test]
async fn what_is_decoded_counts_for_the_quota() {
    let app = spawn_app_on(tempdir().unwrap(), |config| config.quota_bytes = Some(300_000)).await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let file = bytes(&format!("a,b\n{}", "é,è\n".repeat(50_000)), WINDOWS_1252);
    let import = visitor.upload("large.csv", file).await;
    let panel = visitor.wait_for_state(&import, "Failed").await;
    assert!(panel.html.contains("The file does not fit: "), "{}", panel.html);
    assert_eq!((files_in(app.data.path(), "runs"), files_in(app.data.path(), "incoming")), (0, 0));
    app.stop().await;
}

/// Makes a stored file so long that it takes seconds to decode, however fast the machine is. Its disk space is not used.
fn lengthen(stored: &Path) {
    fs::File::options().write(true).open(stored).unwrap().set_len(2 << 30).unwrap();
}

const CHOSEN: &[(&str, &str)] = &[("encoding", "windows-1252")];

#[tokio::test]
async fn a_kill_while_decoding_loses_nothing() {
    let data = tempdir().unwrap();
    let file = bytes(TOWNS, WINDOWS_1252);
    let server = Binary::start(&mut runboard(data.path()));
    let mut visitor = Visitor::new(&server.origin);
    visitor.sign_up("mira@example.org").await;
    let (import, stored) = held(&visitor, data.path(), &file, CHOSEN).await;
    // The kill must come before the end, so until then there is much more to decode.
    lengthen(&stored);
    begun(&visitor, data.path(), &import, "runs").await;
    server.kill();
    fs::write(&stored, &file).unwrap();
    let server = Binary::start(&mut runboard(data.path()));
    visitor.origin.clone_from(&server.origin);
    assert_eq!(visitor.wait_for_state(&import, "Completed").await.counts(), (3, 0));
    assert_eq!(files_in(data.path(), "incoming"), 0);
}

#[tokio::test]
async fn a_cancel_while_decoding_stops_it_and_the_page_says_how_far_it_is() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let (import, stored) = held(&visitor, app.data.path(), &bytes(TOWNS, WINDOWS_1252), CHOSEN).await;
    lengthen(&stored);
    begun(&visitor, app.data.path(), &import, "runs").await;
    is_said(&visitor, &import, "GB decoded").await;
    assert_eq!(visitor.post_form(&format!("{import}/cancel"), &[]).await.status(), StatusCode::SEE_OTHER);
    visitor.wait_for_state(&import, "Cancelled").await;
    until("no file", || files_in(app.data.path(), "incoming") + files_in(app.data.path(), "runs") == 0).await;
    app.stop().await;
}
