//! Answers of other servers that are compressed (`Content-Encoding`).

use std::{io::Write, time::Duration};

use flate2::{Compression, write::DeflateEncoder, write::ZlibEncoder};
use tempfile::tempdir;

use super::{
    AIRPORTS, MIB,
    pack::{Packed, gzip, zeros_gzip},
};
use crate::support::{
    TestApp,
    host::{Host, Reply, with_body},
    spawn_app_on,
    visitor::Visitor,
};

async fn app_reaching(host: &Host) -> (TestApp, Visitor) {
    let allowed = host.allowed();
    let app = spawn_app_on(tempdir().unwrap(), |config| {
        config.allow_addresses = allowed.parse().unwrap();
        config.max_upload_bytes = MIB;
        config.engine_retries = vec![Duration::from_millis(10); 3];
    })
    .await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    (app, visitor)
}

fn coded(coding: &str, body: &[u8]) -> Reply {
    Reply::Bytes(with_body("200 OK", &format!("Content-Encoding: {coding}\r\n"), body))
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bare_deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn brotli(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4_096, 4, 22);
    encoder.write_all(bytes).unwrap();
    encoder.into_inner()
}

/// A small file in the form of Brotli whose window, here of 1 GiB, is no content coding's.
const LARGE_WINDOW: &[u8] = b"\x11\x1e\x0e\x00\x02a,b\n1,2\n\x03";

#[tokio::test]
async fn an_answer_that_is_compressed_is_read_whole() {
    let host = Host::start(|path, _| {
        let file = AIRPORTS.as_bytes();
        match path {
            "/gzip" => coded("gzip", &gzip(file)),
            "/old-name" => coded("X-GZIP", &gzip(file)),
            "/zlib" => coded("deflate", &zlib(file)),
            "/bare" => coded("deflate", &bare_deflate(file)),
            "/br" => coded("br", &brotli(file)),
            "/zstd" => coded("zstd", &Packed::Zstandard.pack(file)),
            "/identity" => coded("identity", file),
            // A packed file, compressed once more.
            "/twice.csv.gz" => coded("gzip", &gzip(&gzip(file))),
            other => panic!("{other}"),
        }
    })
    .await;
    let (app, visitor) = app_reaching(&host).await;
    for path in ["/gzip", "/old-name", "/zlib", "/bare", "/br", "/zstd", "/identity", "/twice.csv.gz"] {
        let import = visitor.import_address(&host.url(path)).await;
        let panel = visitor.wait_for_state(&import, "Completed").await;
        assert_eq!(panel.counts(), (3_376, 0), "{path}");
        let processed = visitor.download(&format!("{import}/processed.csv")).await;
        let processed = String::from_utf8(processed).unwrap().replace("\r\n", "\n");
        assert_eq!(processed, AIRPORTS.replace("\r\n", "\n"), "{path}");
    }
    app.stop().await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_decompressed_fails_with_its_reason() {
    let host = Host::start(|path, _| {
        let whole = gzip(AIRPORTS.as_bytes());
        match path {
            "/bomb" => coded("gzip", &zeros_gzip(1)),
            "/br-bomb" => coded("br", &brotli(&vec![b'x'; 8 * MIB as usize])),
            "/damaged" => coded("gzip", &[&whole[..1_000], &[0xaa; 1_000], &whole[2_000..]].concat()),
            "/unknown" => coded("compress", &whole),
            "/two" => coded("gzip, br", &whole),
            "/cut-off" => coded("gzip", &whole[..whole.len() / 2]),
            "/large-window" => coded("br", LARGE_WINDOW),
            "/png" => coded("gzip", &gzip(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")),
            "/error" => Reply::file(r#"{"error": {"code": 401, "message": "Sign in first"}}"#),
            other => panic!("{other}"),
        }
    })
    .await;
    let (app, visitor) = app_reaching(&host).await;
    for (path, requests, sentence) in [
        ("/bomb", 1, "The file is larger than the limit here."),
        ("/br-bomb", 1, "The file is larger than the limit here."),
        ("/damaged", 1, "The address sent the file compressed, and it cannot be decompressed."),
        ("/unknown", 1, "The address sent the file compressed in a way that Runboard does not read."),
        ("/two", 1, "The address sent the file compressed in a way that Runboard does not read."),
        ("/large-window", 1, "The address sent the file compressed, and it cannot be decompressed."),
        ("/cut-off", 4, "The connection dropped before the file was complete."),
        ("/png", 1, "The file is a PNG image, not a CSV."),
        (
            "/error",
            1,
            "This is JSON, not a CSV. It may be an error message: open the address in a browser, and use the address \
             of the file itself.",
        ),
    ] {
        let before = host.asked().len();
        let import = visitor.import_address(&host.url(path)).await;
        let panel = visitor.wait_for_state(&import, "Failed").await;
        assert!(panel.html.contains(&format!(">{sentence}<")), "{path}: {}", panel.html);
        assert_eq!(host.asked().len() - before, requests, "{path}");
    }
    app.stop().await;
}
