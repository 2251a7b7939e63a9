//! The step that copies a file from another server.

use std::{fs, time::Duration};

use actix_web::http::StatusCode;
use futures_util::future::join_all;
use runboard::{
    base::config::AllowedAddresses,
    files::{FetchLimits, Fetcher, Key},
    function::STEP_BYTES,
};

use super::world::{Memo, SMALL_STEPS, World, call, csv, run_id};
use crate::support::host::{Host, Reply};

/// A function that may reach `host`, with short timeouts.
async fn world_reaching(host: &Host) -> World {
    let limits = FetchLimits {
        answer: Duration::from_millis(200),
        stretch_bytes: 1_000,
        stretch: Duration::from_millis(200),
        ..FetchLimits::up_to(1 << 20)
    };
    let allowed: AllowedAddresses = host.allowed().parse().unwrap();
    World::new(SMALL_STEPS).await.restarted(|now| now.fetcher = Fetcher::new(allowed, limits))
}

#[actix_web::test]
async fn every_step_and_attempt_reads_the_copy_whatever_the_address_says_by_then() {
    let host = Host::start(|_, before| Reply::file(csv(if before == 0 { 200 } else { 7 }))).await;
    let world = world_reaching(&host).await;
    let file = host.url("/a.csv");
    let mut memo = Memo::new();
    assert_eq!(world.call(&call("r", &file, &memo, 0)).await.remember(&mut memo), "fetch");
    let copy = world.named_outputs().await;
    assert_eq!(copy, world.outputs(), "the copy is the run's, under a name that its step knows");
    let [copy] = copy.try_into().unwrap();
    let copy = world.processor.storage.local().unwrap().path(&Key::from_stored(copy));
    assert_eq!(fs::read_to_string(copy).unwrap(), csv(200));

    // After a restart, in another attempt, and with another file at the address.
    let world = world.restarted(|now| now.step_bytes = STEP_BYTES);
    assert_eq!(world.call(&call("r", &file, &memo, 1)).await.remember(&mut memo), "plan");
    assert_eq!(world.call(&call("r", &file, &memo, 2)).await.remember(&mut memo), "rows-1");
    let end = world.call(&call("r", &file, &memo, 2)).await;
    assert_eq!(end.status, StatusCode::OK);
    assert_eq!(end.text, r#"{"status":"success","processedItems":172,"failedItems":28}"#);
    assert_eq!(host.asked().len(), 1);
}

#[actix_web::test]
async fn fetches_that_overlap_leave_one_copy() {
    let host = Host::start(|_, before| Reply::file(csv(100 + before))).await;
    let world = world_reaching(&host).await;
    let file = host.url("/a.csv");
    let body = call("r", &file, &Memo::new(), 0);
    let answers = join_all((0..4).map(|_| world.call(&body))).await;
    assert!(answers.iter().all(|answer| answer.text == answers[0].text), "all answers have the same copy");
    assert_eq!(world.outputs(), world.named_outputs().await);
    assert_eq!(world.outputs().len(), 1);
    let (names, end) = world.call_to_the_end("r", &file).await;
    assert_eq!(names[..3], ["fetch", "plan", "rows-1"]);
    assert_eq!(end.status, StatusCode::OK);
}

#[actix_web::test]
async fn an_address_that_hangs_or_dawdles_is_given_up() {
    let head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    let host = Host::start(|path, _| match path {
        "/silent" => Reply::Hold(Vec::new()),
        "/head" => Reply::Hold(b"HTTP/1.1 200 OK\r\n".to_vec()),
        "/body" => Reply::Hold([head.as_slice(), csv(500).as_bytes()].concat()),
        "/drip" => Reply::Drip(head.to_vec()),
        other => panic!("{other}"),
    })
    .await;
    let world = world_reaching(&host).await;
    for (path, sentence) in [
        ("/silent", "the address did not answer in time"),
        ("/head", "the address did not answer in time"),
        ("/body", "the file arrived too slowly"),
        ("/drip", "the file arrived too slowly"),
    ] {
        let answer = world.call(&call("r", &host.url(path), &Memo::new(), 0)).await;
        assert_eq!(answer.failure(), (sentence.to_owned(), true), "{path}");
        assert_eq!(world.error("r").await.as_deref(), Some(sentence), "{path}");
        assert_eq!(world.processor.progress.of(&run_id("r")).now().receiving, None, "{path}");
    }
    assert!(world.outputs().is_empty());
    assert_eq!(fs::read_dir(world.folder.path().join("files/incoming")).unwrap().count(), 0);
}

#[actix_web::test]
async fn nobody_there_may_be_there_later() {
    let world = {
        let host = Host::start(|_, _| panic!("never asked")).await;
        world_reaching(&host).await
    };
    // Reserved for names that do not exist (RFC 6761).
    let answer = world.call(&call("r", "http://nobody.invalid/a.csv", &Memo::new(), 0)).await;
    assert_eq!(answer.failure(), ("the host nobody.invalid was not found".to_owned(), true));
}

#[actix_web::test]
async fn an_address_that_says_when_to_come_back_is_asked_then() {
    let host = Host::start(|path, _| match path {
        "/busy" => Reply::status("429 Too Many Requests", "Retry-After: 7\r\n"),
        "/away" => Reply::status("503 Service Unavailable", "Retry-After: 99999\r\n"),
        _ => Reply::status("503 Service Unavailable", ""),
    })
    .await;
    let world = world_reaching(&host).await;
    for (path, after) in [("/busy", Some("7")), ("/away", Some("3600")), ("/down", None)] {
        let answer = world.call(&call("r", &host.url(path), &Memo::new(), 0)).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        assert!(answer.failure().1, "{path}");
        let told = answer.headers.get("retry-after").map(|value| value.to_str().unwrap());
        assert_eq!(told, after, "{path}");
    }
}
