//! Importing by address, over HTTP.

use std::time::Duration;

use reqwest::StatusCode;
use tempfile::tempdir;

use crate::support::{
    TestApp,
    host::{Host, Reply, with_body},
    spawn_app_on,
    visitor::{Panel, Visitor, attributes},
};

const AIRPORTS: &str = include_str!("../fixtures/airports.csv");
const LIMIT: u64 = 1 << 20;

/// A server that may reach `hosts`, and a signed-in user.
async fn app_reaching(hosts: &[&Host]) -> (TestApp, Visitor) {
    let allowed: Vec<String> = hosts.iter().map(|host| host.allowed()).collect();
    let app = spawn_app_on(tempdir().unwrap(), |config| {
        config.allow_addresses = allowed.join(",").parse().unwrap();
        config.max_upload_bytes = LIMIT;
        config.engine_retries = vec![Duration::from_millis(10); 3];
    })
    .await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    (app, visitor)
}

fn stored_files(app: &TestApp) -> Vec<String> {
    let folders = ["incoming", "uploads", "runs"].map(|folder| app.data.path().join("files").join(folder));
    let entries = folders.iter().flat_map(|folder| folder.read_dir().unwrap());
    entries.map(|entry| entry.unwrap().path().display().to_string()).collect()
}

fn assert_failed(panel: &Panel, sentence: &str) {
    let sentence = format!("{}{}.", sentence[..1].to_uppercase(), &sentence[1..]);
    assert!(panel.html.contains(&format!(">{sentence}<")), "{sentence}: {}", panel.html);
    assert_eq!(panel.runs[0].status, "Failed", "{sentence}");
}

#[tokio::test]
async fn an_import_is_named_as_its_file_is() {
    let host = Host::start(|path, _| match path {
        "/export?id=7" => Reply::Bytes(with_body(
            "200 OK",
            "Content-Disposition: attachment; filename=\"x.csv\"; filename*=UTF-8''../%C3%BCbersicht.csv\r\n",
            b"a,b\n1,2\n",
        )),
        "/latest" => Reply::redirect("/2026/orders%20final.csv?key=secret"),
        _ => Reply::file("a,b\n1,2\n"),
    })
    .await;
    let (app, visitor) = app_reaching(&[&host]).await;
    for (path, name) in [
        ("/export?id=7", "übersicht.csv"),
        ("/latest", "orders final.csv"),
        ("/rates.csv", "rates.csv"),
        ("/rates", "rates"),
    ] {
        let import = visitor.import_address(&host.url(path)).await;
        visitor.wait_for_state(&import, "Completed").await;
        let page = visitor.get(&import).await.text().await.unwrap();
        assert!(page.contains(&format!("<title>Completed · {name} · Runboard</title>")), "{path}: {page}");
        assert!(page.contains(&format!("From {}", host.url("").trim_start_matches("http://"))), "{page}");
        let found = visitor.get(&format!("/?name={}", name.replace(' ', "+"))).await.text().await.unwrap();
        // The link leads back to the search.
        assert!(found.contains(&format!("href=\"{import}?from=")), "{path}: {found}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_web_page_at_an_address_says_how_to_get_the_file() {
    let page = "<!doctype html><title>Sign in</title><p>1,2</p>";
    let host = Host::start(move |_, _| Reply::file(page)).await;
    let (app, visitor) = app_reaching(&[&host]).await;
    let import = visitor.import_address(&host.url("/orders.csv")).await;
    let panel = visitor.wait_for_state(&import, "Failed").await;
    let sentence = "This is a web page (&#34;Sign in&#34;), not a CSV. Use the address of the file itself, \
                    such as its download or export link";
    assert_failed(&panel, sentence);
    app.stop().await;
}

#[tokio::test]
async fn a_file_at_an_address_is_counted_to_its_end_and_comes_back_whole() {
    let host = Host::start(|_, _| Reply::file(AIRPORTS)).await;
    let (app, visitor) = app_reaching(&[&host]).await;
    let import = visitor.import_address(&host.url("/2026/air%20ports.csv?key=secret")).await;
    let panel = visitor.wait_for_state(&import, "Completed").await;
    assert_eq!(panel.counts(), (3_376, 0));
    let processed = String::from_utf8(visitor.download(&format!("{import}/processed.csv")).await).unwrap();
    assert_eq!(processed.replace("\r\n", "\n"), AIRPORTS.replace("\r\n", "\n"));

    let page = visitor.get(&import).await.text().await.unwrap();
    assert!(page.contains("air ports.csv") && page.contains("From 127.0.0.1"), "{page}");
    let dashboard = visitor.get("/").await.text().await.unwrap();
    assert!(dashboard.contains("air ports.csv") && dashboard.contains("127.0.0.1"), "{dashboard}");
    assert!(!page.contains("secret") && !dashboard.contains("secret"), "what opens the file is not shown");

    let [request] = host.asked().try_into().unwrap();
    assert!(request.starts_with("GET /2026/air%20ports.csv?key=secret HTTP/1.1\r\n"), "{request}");
    let request = request.to_lowercase();
    assert!(request.contains(&format!("host: 127.0.0.1:{}\r\n", host.port)), "{request}");
    assert!(request.contains("accept-encoding: identity\r\n") && !request.contains("cookie"), "{request}");
    app.stop().await;
}

#[tokio::test]
async fn run_again_it_reads_what_was_fetched_and_only_what_never_arrived_is_fetched_anew() {
    // One file changes after the first request, the other exists only from the second request on.
    let host = Host::start(|request, asked| match (request.contains("/once.csv"), asked) {
        (true, 0) => Reply::file("a,b\n1,2\n"),
        (true, _) => Reply::file("a,b\n3,4\n5,6\n"),
        (false, 1) => Reply::status("404 Not Found", ""),
        (false, _) => Reply::file("a,b\n7,8\n"),
    })
    .await;
    let (app, visitor) = app_reaching(&[&host]).await;
    let again = async |import: &str| {
        let answer = visitor.post_form(&format!("{import}/retry"), &[]).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        answer.headers()["location"].to_str().unwrap().to_owned()
    };
    let once = visitor.import_address(&host.url("/once.csv")).await;
    visitor.wait_for_state(&once, "Completed").await;
    let retry = again(&once).await;
    visitor.wait_for_state(&retry, "Completed").await;
    assert_eq!(visitor.download(&format!("{retry}/processed.csv")).await, b"a,b\r\n1,2\r\n");
    assert_eq!(host.asked().len(), 1);

    let late = visitor.import_address(&host.url("/late.csv")).await;
    visitor.wait_for_state(&late, "Failed").await;
    let retry = again(&late).await;
    visitor.wait_for_state(&retry, "Completed").await;
    assert_eq!(visitor.download(&format!("{retry}/processed.csv")).await, b"a,b\r\n7,8\r\n");
    app.stop().await;
}

#[tokio::test]
async fn what_is_no_http_address_is_refused_and_stays_in_the_form() {
    let (app, visitor) = app_reaching(&[]).await;
    for (typed, why) in [
        ("ftp://files.example/a.csv", "Only http and https addresses can be imported, not ftp."),
        ("file:///etc/passwd", "This is a file on a computer, not an address. Choose the file instead."),
        ("localhost/a.csv", "Begin the address with https:// or http://."),
        ("orders.csv", "This address is incomplete."),
        ("http://", "This address is incomplete."),
        ("\"><b>", "This address is incomplete."),
        ("https://files.example:99999/a.csv", "The host or port in this address is not valid."),
    ] {
        let answer = visitor.post_import("", "", typed).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{typed}");
        let page = answer.text().await.unwrap();
        let error = format!("id=\"address-error\" role=\"alert\">{why}");
        assert!(page.contains(&error), "{typed}: {page}");
        assert!(page.contains("id=\"upload-error\" role=\"alert\"></p>"), "{typed}: {page}");
        let shown = typed.replace('"', "&#34;").replace('>', "&#62;").replace('<', "&#60;");
        assert!(page.contains(&format!("name=\"url\" value=\"{shown}\"")), "{typed}: {page}");
        assert_eq!(attributes(&page, "data-import-id").len(), 0, "{typed}");
    }
    let long = format!("http://files.example/{}", "a".repeat(100_000));
    let answer = visitor.post_import("", "", &long).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.text().await.unwrap().contains("The address is too long."));
    app.stop().await;
}

#[tokio::test]
async fn an_address_without_its_scheme_is_taken_as_https() {
    let (app, visitor) = app_reaching(&[]).await;
    let import = visitor.import_address("files.invalid/2026/orders.csv").await;
    let panel = visitor.wait_for_state(&import, "Failed").await;
    assert!(panel.html.contains("https://files.invalid/2026/orders.csv"), "{}", panel.html);
    app.stop().await;
}

#[tokio::test]
async fn what_will_not_get_better_fails_at_once_with_its_reason() {
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    let host = Host::start(move |path, _| match path {
        "/404" => Reply::status("404 Not Found", ""),
        "/403" => Reply::status("403 Forbidden", ""),
        "/206" => Reply::status("206 Partial Content", ""),
        "/304" => Reply::status("304 Not Modified", ""),
        "/empty" => Reply::file(""),
        "/png" => Reply::file(png),
        "/gzip" => Reply::Bytes(with_body("200 OK", "Content-Encoding: gzip\r\n", b"a,b\n1,2\n3,4\n")),
        // Announces a size and sends no byte.
        "/announced" => {
            Reply::Hold(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", LIMIT + 1).into())
        }
        "/unannounced" => Reply::Hold(
            [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".as_slice(), &vec![b'a'; LIMIT as usize + 1]]
                .concat(),
        ),
        "/nowhere" => Reply::status("302 Found", ""),
        "/ftp" => Reply::redirect("ftp://127.0.0.1/a.csv"),
        "/user" => Reply::redirect("http://me:secret@127.0.0.1/a.csv"),
        "/round" => Reply::redirect("/round"),
        other => panic!("{other}"),
    })
    .await;
    let (app, visitor) = app_reaching(&[&host]).await;
    let mut asked = 0;
    for (path, requests, sentence) in [
        ("/404", 1, "the address answered 404"),
        ("/403", 1, "the address answered 403"),
        ("/206", 1, "the address answered 206"),
        ("/304", 1, "the address answered 304"),
        ("/empty", 1, "the file is empty (0 bytes)"),
        ("/png", 1, "the file is a PNG image, not a CSV"),
        ("/gzip", 1, "the address sent the file compressed, and it cannot be decompressed"),
        ("/announced", 1, "the file is larger than the limit here"),
        ("/unannounced", 1, "the file is larger than the limit here"),
        ("/nowhere", 1, "the address redirects to an invalid address"),
        ("/ftp", 1, "the address does not begin with http:// or https://"),
        ("/user", 1, "the address contains a user name or password, which Runboard does not send"),
        ("/round", 6, "the address redirects more than 5 times"),
    ] {
        let import = visitor.import_address(&host.url(path)).await;
        assert_failed(&visitor.wait_for_state(&import, "Failed").await, sentence);
        asked += requests;
        assert_eq!(host.asked().len(), asked, "{path}");
    }
    assert_eq!(stored_files(&app), Vec::<String>::new());
    app.stop().await;
}

#[tokio::test]
async fn what_may_get_better_is_tried_again_and_counted_once() {
    let whole = || with_body("200 OK", "", b"a,b\n1,2\n3,4\n5\n");
    let host = Host::start(move |path, before| match (path, before % 2) {
        (_, 1) => Reply::Bytes(whole()),
        ("/half", _) => Reply::Bytes(whole()[..whole().len() - 4].to_vec()),
        ("/half-chunked", _) => {
            Reply::Bytes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\na,b\n9,9\n\r\n".to_vec())
        }
        ("/half-head", _) => Reply::Bytes(b"HTTP/1.1 200 OK\r\nConte".to_vec()),
        ("/503", _) => Reply::status("503 Service Unavailable", ""),
        ("/429", _) => Reply::status("429 Too Many Requests", ""),
        ("/nothing", _) => Reply::Bytes(Vec::new()),
        (other, _) => panic!("{other}"),
    })
    .await;
    let (app, visitor) = app_reaching(&[&host]).await;
    for path in ["/half", "/half-chunked", "/half-head", "/503", "/429", "/nothing"] {
        let import = visitor.import_address(&host.url(path)).await;
        let panel = visitor.wait_for_state(&import, "Completed").await;
        assert_eq!(panel.counts(), (2, 1), "{path}");
        let asked = host.asked();
        assert!(asked.len().is_multiple_of(2) && asked[asked.len() - 1].contains(path), "{path}: {asked:?}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_file_that_is_cut_off_again_and_again_fails_with_the_reason() {
    let host =
        Host::start(|_, _| Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\na,b\n".to_vec()))
            .await;
    let (app, visitor) = app_reaching(&[&host]).await;
    let import = visitor.import_address(&host.url("/a.csv")).await;
    let panel = visitor.wait_for_state(&import, "Failed").await;
    assert_failed(&panel, "the connection dropped before the file was complete");
    assert_eq!(host.asked().len(), 4);
    assert_eq!(stored_files(&app), Vec::<String>::new());
    app.stop().await;
}

#[tokio::test]
async fn an_address_that_is_not_open_fails_and_is_never_connected_to() {
    let host = Host::start(|_, _| Reply::file("a,b\n1,2\n")).await;
    let (app, visitor) = app_reaching(&[]).await;
    for address in [
        host.url("/a.csv"),
        format!("http://localhost:{}/a.csv", host.port),
        format!("http://LocalHost:{}/a.csv", host.port),
        format!("http://2130706433:{}/a.csv", host.port),
        format!("http://0x7f.1:{}/a.csv", host.port),
        format!("http://[::ffff:127.0.0.1]:{}/a.csv", host.port),
        format!("https://127.0.0.1:{}/a.csv", host.port),
    ] {
        let import = visitor.import_address(&address).await;
        let panel = visitor.wait_for_state(&import, "Failed").await;
        assert_failed(&panel, "this address is on a private network. Ask the operator to allow it");
    }
    assert_eq!(host.asked(), Vec::<String>::new());
    app.stop().await;
}

#[tokio::test]
async fn an_address_without_a_scheme_on_a_host_without_https_says_what_to_write() {
    let host = Host::start(|_, _| Reply::file("a,b\n1,2\n")).await;
    let (app, visitor) = app_reaching(&[&host]).await;
    let typed = format!("127.0.0.1:{}/a.csv", host.port);
    let import = visitor.import_address(&typed).await;
    let panel = visitor.wait_for_state(&import, "Failed").await;
    assert_failed(
        &panel,
        "the address could not be reached by https, which is used unless http:// is in front. \
         If the site offers http alone, import the address again with http:// in front",
    );
    let import = visitor.import_address(&format!("http://{typed}")).await;
    assert_eq!(visitor.wait_for_state(&import, "Completed").await.counts(), (1, 0));
    app.stop().await;
}

#[tokio::test]
async fn a_redirect_is_followed_to_what_is_open_and_nowhere_else() {
    let inside = Host::start(|_, _| Reply::file("a,b\n1,2\n")).await;
    let (to_inside, port) = (inside.url("/secret.csv"), inside.port);
    let host = Host::start(move |path, _| match path {
        "/inside" => Reply::redirect(&to_inside),
        "/inside-by-name" => Reply::redirect(&format!("//localhost:{port}/secret.csv")),
        "/metadata" => Reply::redirect("http://169.254.169.254/latest/meta-data/"),
        "/far" => Reply::redirect("near?x=1"),
        "/near?x=1" => Reply::redirect("/here"),
        "/here" => Reply::file("a,b\n1,2\n3,4\n"),
        other => panic!("{other}"),
    })
    .await;
    let (app, visitor) = app_reaching(&[&host]).await;
    for path in ["/inside", "/inside-by-name", "/metadata"] {
        let import = visitor.import_address(&host.url(path)).await;
        let panel = visitor.wait_for_state(&import, "Failed").await;
        match path {
            // The operator allows another port of that host.
            "/inside" => assert_failed(
                &panel,
                &format!("port {port} of this address is not allowed. Ask the operator to allow it"),
            ),
            // Machines resolve `localhost` to IPv4 or IPv6; only IPv4 is allowed.
            "/inside-by-name" => {
                assert!(
                    panel.html.contains(" allowed. Ask the operator to allow it")
                        || panel.html.contains("on a private network")
                );
            }
            _ => assert_failed(&panel, "this address is on a private network. Ask the operator to allow it"),
        }
    }
    assert_eq!(inside.asked(), Vec::<String>::new());
    let import = visitor.import_address(&host.url("/far")).await;
    assert_eq!(visitor.wait_for_state(&import, "Completed").await.counts(), (2, 0));
    app.stop().await;
}

#[tokio::test]
async fn what_has_arrived_is_shown_as_bytes_and_a_cancel_stops_it() {
    let host = Host::start(|path, _| {
        let announced = if path == "/announced" { "Content-Length: 200000\r\n" } else { "" };
        let head = format!("HTTP/1.1 200 OK\r\n{announced}Connection: close\r\n\r\n");
        Reply::Hold([head.into_bytes(), vec![b'a'; 84_000]].concat())
    })
    .await;
    let (app, visitor) = app_reaching(&[&host]).await;
    for (path, words) in [("/announced", "42% of 200 KB received"), ("/unannounced", "84 KB received")] {
        let import = visitor.import_address(&host.url(path)).await;
        let panel = visitor.wait_for(&import, words, |panel| panel.html.contains(words)).await;
        assert!(panel.html.contains(&format!("aria-label=\"{words}\"")), "{}", panel.html);
        assert!(panel.html.contains("done hatched"), "bytes do not look like rows: {}", panel.html);
        assert_eq!(panel.counts(), (0, 0), "received bytes are not rows");
        visitor.post_form(&format!("{import}/cancel"), &[]).await;
        visitor.wait_for_state(&import, "Cancelled").await;
        visitor.wait_for(&import, "nothing left", |_| stored_files(&app).is_empty()).await;
    }
    app.stop().await;
}
