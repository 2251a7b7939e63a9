//! Compression of answers, over HTTP.

use reqwest::{
    Method, Response, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING, VARY},
};

use crate::support::{
    spawn_app,
    visitor::{Visitor, attributes},
};

/// The header that a browser sends.
const BROWSER: &str = "gzip, deflate, br, zstd";

async fn ask(visitor: &Visitor, method: Method, path: &str, accepted: &str) -> Response {
    let mut request = visitor.request(method, path).header(ACCEPT_ENCODING, accepted);
    // The fragment of a missing page is a sentence, too small to be compressed; the page is larger.
    if path != "/nothing/here" {
        request = request.header("HX-Request", "true");
    }
    request.send().await.unwrap()
}

fn header<'r>(answer: &'r Response, name: &str) -> &'r str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn compressed_answers_are_sent_whole_with_their_length() {
    let app = spawn_app().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let import = visitor.upload("prices.csv", "a,b\n1,2\n3\n").await;
    visitor.wait_for_state(&import, "Completed").await;
    let id = import.rsplit('/').next().unwrap();
    let live = format!("/live?keep={id}");
    for path in ["/", &import, &format!("{import}/panel"), &live, "/nothing/here"] {
        let plain = ask(&visitor, Method::GET, path, "identity").await;
        assert_eq!(header(&plain, "vary"), "accept-encoding", "{path}");
        assert!(!plain.headers().contains_key(CONTENT_ENCODING), "{path}");
        let head = ask(&visitor, Method::HEAD, path, BROWSER).await;
        let answer = ask(&visitor, Method::GET, path, BROWSER).await;
        for answer in [&head, &answer] {
            assert_eq!(answer.headers()[CONTENT_ENCODING], "gzip", "{path}");
            assert_eq!(answer.headers()[VARY], "accept-encoding", "{path}");
            assert!(!answer.headers().contains_key(TRANSFER_ENCODING), "{path} comes in pieces");
        }
        let lengths = [&head, &answer].map(|answer| header(answer, "content-length").to_owned());
        let body = answer.bytes().await.unwrap();
        assert_eq!(lengths[1], body.len().to_string(), "{path}");
        assert!(head.bytes().await.unwrap().is_empty());
        let text = std::io::read_to_string(flate2::read::GzDecoder::new(&*body)).unwrap();
        // Durations change between two answers.
        assert!(text.len().abs_diff(plain.bytes().await.unwrap().len()) < 200, "{path}");
    }
    app.stop().await;
}

#[tokio::test]
async fn files_come_in_the_best_form_that_the_browser_takes() {
    let app = spawn_app().await;
    let visitor = app.visitor();
    let page = visitor.get("/sign-up").await.text().await.unwrap();
    let style = attributes(&page, "href").into_iter().find(|path| path.ends_with(".css")).unwrap();
    let plain = ask(&visitor, Method::GET, &style, "identity").await.text().await.unwrap();
    for (accepted, expected) in
        [(BROWSER, "br"), ("gzip", "gzip"), ("br;q=0.1, gzip", "gzip"), ("gzip;q=0", "")]
    {
        let answer = ask(&visitor, Method::GET, &style, accepted).await;
        assert_eq!(header(&answer, "content-encoding"), expected, "{accepted}");
        assert_eq!(header(&answer, "vary"), "accept-encoding");
        let body = answer.bytes().await.unwrap();
        let text = match expected {
            "br" => {
                let mut text = Vec::new();
                brotli::BrotliDecompress(&mut &*body, &mut text).unwrap();
                String::from_utf8(text).unwrap()
            }
            "gzip" => std::io::read_to_string(flate2::read::GzDecoder::new(&*body)).unwrap(),
            _ => String::from_utf8(body.to_vec()).unwrap(),
        };
        assert_eq!(text, plain, "{accepted}");
    }
    app.stop().await;
}

#[tokio::test]
async fn downloads_and_empty_answers_are_left_as_they_are() {
    let app = spawn_app().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let import = visitor.upload("prices.csv", format!("a,b\n{}", "1,2\n".repeat(5_000))).await;
    visitor.wait_for_state(&import, "Completed").await;
    let answer = ask(&visitor, Method::GET, &format!("{import}/processed.csv"), BROWSER).await;
    assert!(!answer.headers().contains_key(CONTENT_ENCODING));
    let length = answer.headers()[CONTENT_LENGTH].to_str().unwrap().to_owned();
    assert_eq!(length, answer.bytes().await.unwrap().len().to_string());
    let redirect =
        visitor.request(Method::GET, "/imports").header(ACCEPT_ENCODING, BROWSER).send().await.unwrap();
    assert_eq!(redirect.status(), StatusCode::SEE_OTHER);
    assert!(!redirect.headers().contains_key(CONTENT_ENCODING));
    app.stop().await;
}
