//! Downloads in the form of the file that came in.

use encoding_rs::WINDOWS_1252;
use reqwest::{Method, StatusCode, header};

use super::{bytes, completed, read_in, text, utf16};
use crate::support::{spawn_app, visitor::Visitor};

async fn as_source(visitor: &Visitor, import: &str, output: &str) -> Vec<u8> {
    visitor.download(&format!("{import}/{output}?as=source")).await
}

#[tokio::test]
async fn a_corrected_file_in_the_form_that_came_in_is_recognised() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let file = "name;town;price\r\nZoë;Köln;1,50\r\nRenée;Málaga\r\nÅsa;Ærø;2,75\r\nJürgen;Lübeck;3,00;x\r\n";
    let import = completed(&visitor, "towns.csv", bytes(file, WINDOWS_1252), (2, 2)).await;
    let processed = as_source(&visitor, &import, "processed.csv").await;
    assert_eq!(processed, bytes("name;town;price\r\nZoë;Köln;1,50\r\nÅsa;Ærø;2,75\r\n", WINDOWS_1252));
    let failed = as_source(&visitor, &import, "failed.csv").await;
    let in_words = "_line;_column;_reason;name;town;price;_extra\r\n\
                    3;;2 fields, expected 3;Renée;Málaga\r\n\
                    5;;4 fields, expected 3;Jürgen;Lübeck;3,00;x\r\n";
    assert_eq!(failed, bytes(in_words, WINDOWS_1252));
    assert_eq!(
        text(&visitor, &import, "failed.csv").await,
        "_line,_column,_reason,name,town,price,_extra\r\n\
         3,,\"2 fields, expected 3\",Renée,Málaga\r\n\
         5,,\"4 fields, expected 3\",Jürgen,Lübeck,\"3,00\",x\r\n"
    );

    let corrected = bytes(&in_words.replace("Málaga", "Málaga;9,99"), WINDOWS_1252);
    let again = completed(&visitor, "towns-failed.csv", corrected, (1, 1)).await;
    let panel = visitor.panel(&again).await.html;
    assert!(panel.contains("Recognised as failed rows of an earlier import"), "{panel}");
    assert_eq!(read_in(&app, &again).await.0, "windows-1252");
    let processed = as_source(&visitor, &again, "processed.csv").await;
    assert_eq!(processed, bytes("name;town;price\r\nRenée;Málaga;9,99\r\n", WINDOWS_1252));
    let failed = text(&visitor, &again, "failed.csv").await;
    assert_eq!(failed.lines().nth(1).unwrap(), "3,,\"4 fields, expected 3\",Jürgen,Lübeck,\"3,00\",x");
    app.stop().await;
}

#[tokio::test]
async fn failed_records_keep_bytes_that_cannot_be_shown() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let file = b"id,name\n1,Zo\xc3\xab\n2,Ren\xe9e\n3,a\0b\n4,\xc3\x98yvind\n";
    let import = completed(&visitor, "mixed.csv", file, (2, 2)).await;
    assert!(text(&visitor, &import, "failed.csv").await.contains("Ren\u{fffd}e"));
    assert_eq!(
        as_source(&visitor, &import, "failed.csv").await,
        b"\xef\xbb\xbf_line,_column,_reason,id,name,_extra\r\n\
          3,name,not valid UTF-8,2,Ren\xe9e,\r\n\
          4,name,contains a NUL byte,3,a\0b,\r\n"
    );
    // UTF-16 with a surrogate that stands alone.
    let mut file = utf16("\u{feff}id,name\r\n1,😀\r\n2,x", u16::to_le_bytes);
    file.extend([0x3d, 0xd8]);
    file.extend(utf16("y\r\n", u16::to_le_bytes));
    let import = completed(&visitor, "half.csv", file, (1, 1)).await;
    let processed = utf16("\u{feff}id,name\r\n1,😀\r\n", u16::to_le_bytes);
    assert_eq!(as_source(&visitor, &import, "processed.csv").await, processed);
    let failed = as_source(&visitor, &import, "failed.csv").await;
    let row: Vec<u8> =
        [utf16("2,x", u16::to_le_bytes), vec![0x3d, 0xd8], utf16("y,\r\n", u16::to_le_bytes)].concat();
    assert!(failed.starts_with(b"\xff\xfe") && failed.ends_with(&row), "{}", failed.escape_ascii());
    app.stop().await;
}

#[tokio::test]
async fn its_head_says_what_it_is() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let import = completed(&visitor, "towns.csv", bytes("name,town\nZoë,Köln\n", WINDOWS_1252), (1, 0)).await;
    let path = format!("{import}/processed.csv?as=source");
    for method in [Method::GET, Method::HEAD] {
        let request = visitor.request(method.clone(), &path).header(header::RANGE, "bytes=0-3");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{method}");
        let head = |name| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(head(header::CONTENT_TYPE).unwrap(), "text/csv; charset=windows-1252");
        assert_eq!(head(header::ACCEPT_RANGES).unwrap(), "none");
        assert!(head(header::CONTENT_DISPOSITION).unwrap().contains("filename=\"processed.csv\""));
        let body = answer.bytes().await.unwrap();
        assert_eq!(body.len(), if method == Method::HEAD { 0 } else { 21 });
    }
    let plain = visitor.get(&format!("{import}/processed.csv?as=other")).await;
    assert_eq!(plain.headers()[header::CONTENT_TYPE], "text/csv; charset=utf-8");
    let stranger = Visitor::new(&app.origin);
    assert_ne!(stranger.get(&path).await.status(), StatusCode::OK);
    app.stop().await;
}
