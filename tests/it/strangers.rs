//! What strangers can use up. Uses the real program, whose memory can be measured.

use std::{
    io::Write,
    net::TcpStream,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use reqwest::{Method, StatusCode, header};
use runboard::{base::time::UnixMillis, inngest::signature};

use crate::support::{
    binary::{Binary, runboard},
    free_address,
    visitor::Visitor,
};

const MIB: u64 = 1 << 20;

/// The most memory above idle that all of it together may take.
const MOST: u64 = 64 * MIB;

/// One attempt without an account, from a separate address.
async fn guess(visitor: &Visitor, number: usize) -> StatusCode {
    let answer = visitor
        .request(Method::POST, "/sign-in")
        .header("X-Forwarded-For", format!("198.51.{}.{}", number / 250, number % 250 + 1))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(format!("email=nobody{number}%40example.org&password=guess{number}"))
        .send()
        .await
        .unwrap();
    answer.status()
}

#[tokio::test]
async fn five_hundred_anonymous_sign_ins_take_the_memory_of_two() {
    let data = tempfile::tempdir().unwrap();
    let server = Binary::start(runboard(data.path()).env("RUNBOARD_TRUSTED_PROXIES", "127.0.0.1"));
    let mut owner = Visitor::new(&server.origin);
    owner.get("/sign-up").await;
    let idle = server.most_resident();
    owner.sign_up("mira@example.org").await;

    let nobody = Visitor::new(&server.origin);
    let answers: Vec<StatusCode> =
        stream::iter(0..500).map(|number| guess(&nobody, number)).buffer_unordered(8).collect().await;
    assert!(answers.iter().all(|status| *status == StatusCode::UNAUTHORIZED), "{answers:?}");
    let more = server.most_resident() - idle;
    assert!(more < MOST, "{} MiB above idle", more / MIB);
    assert_eq!(owner.get("/").await.status(), StatusCode::OK);
}

/// Each announces 8 MiB and sends almost all of it, under a signature that could be valid.
#[tokio::test]
async fn a_hundred_half_sent_calls_hold_no_more_than_their_share() {
    let data = tempfile::tempdir().unwrap();
    let key = "signkey-prod-0123456789abcdef";
    // With keys, people and the engine use the same listener, at a configured address.
    let free = free_address();
    let server = Binary::start(
        runboard(data.path())
            .env("RUNBOARD_LISTEN", free.to_string())
            .env("INNGEST_BASE_URL", "http://127.0.0.1:9")
            .env("INNGEST_EVENT_KEY", "event-key")
            .env("INNGEST_SIGNING_KEY", key)
            .env("RUNBOARD_PUBLIC_URL", format!("http://{free}")),
    );
    let visitor = Visitor::new(&server.origin);
    visitor.get("/sign-up").await;
    let idle = server.most_resident();
    let host = server.origin.strip_prefix("http://").unwrap().to_owned();
    let signed = signature::sign(b"another body", &key.into(), UnixMillis::now());
    let head = format!(
        "POST /api/inngest?fnId=x HTTP/1.1\r\nHost: {host}\r\n{}: {signed}\r\nContent-Length: {}\r\n\r\n",
        signature::HEADER,
        8 * MIB
    );
    let half = vec![b' '; (7 * MIB) as usize];
    let senders: Vec<_> = (0..100)
        .map(|_| {
            let (host, head, half) = (host.clone(), head.clone(), half.clone());
            std::thread::spawn(move || {
                let mut connection = TcpStream::connect(host).unwrap();
                connection.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
                // A refused call's connection is closed before everything is sent.
                let _ = connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(&half));
                connection
            })
        })
        .collect();
    let connections: Vec<TcpStream> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
    let more = server.most_resident() - idle;
    // The bodies hold 32 MiB. A growing buffer is copied, and each connection has its own.
    assert!(more < 96 * MIB, "{} MiB above idle", more / MIB);
    assert_eq!(visitor.get("/healthz").await.status(), StatusCode::OK, "pages answer meanwhile");
    drop(connections);

    // Once they have gone, a call is read again: this one is not signed by the engine, but is read to its
    // end.
    let start = Instant::now();
    loop {
        let answer = visitor
            .request(Method::POST, "/api/inngest?fnId=x")
            .header(signature::HEADER, &signed)
            .body("a body")
            .send()
            .await
            .unwrap();
        let status = answer.status();
        if status == StatusCode::UNAUTHORIZED {
            break;
        }
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.headers().contains_key(header::RETRY_AFTER));
        assert!(start.elapsed() < Duration::from_secs(60), "still {status}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
