//! The step that unpacks a packed file.

use std::fs;

use actix_web::http::StatusCode;
use futures_util::future::join_all;
use runboard::files::Key;

use super::world::{Memo, SMALL_STEPS, World, call, csv};
use crate::packed::pack::{Packed, gzip, zip};

#[actix_web::test]
async fn every_step_and_attempt_reads_what_was_unpacked_once() {
    let world = World::new(SMALL_STEPS).await;
    let file = world.upload(&gzip(csv(200).as_bytes()));
    let mut memo = Memo::new();
    assert_eq!(world.call(&call("r", &file, &memo, 0)).await.remember(&mut memo), "unpack");
    let [copy] = world.named_outputs().await.try_into().unwrap();
    let copy = world.processor.storage.local().unwrap().path(&Key::from_stored(copy));
    assert_eq!(fs::read_to_string(copy).unwrap(), csv(200));
    let world = world.restarted(|_| {});
    assert_eq!(world.call(&call("r", &file, &memo, 1)).await.remember(&mut memo), "plan");
    assert_eq!(world.call(&call("r", &file, &memo, 1)).await.remember(&mut memo), "rows-1");
    let (_, end) = world.call_to_the_end("r", &file).await;
    assert_eq!(end.text, r#"{"status":"success","processedItems":172,"failedItems":28}"#);
}

#[actix_web::test]
async fn calls_that_overlap_leave_one_copy() {
    let world = World::new(SMALL_STEPS).await;
    let file = world.upload(&gzip(csv(200).as_bytes()));
    let body = call("r", &file, &Memo::new(), 0);
    let answers = join_all((0..4).map(|_| world.call(&body))).await;
    assert!(answers.iter().all(|answer| answer.text == answers[0].text), "all answers have the same copy");
    assert_eq!(world.outputs(), world.named_outputs().await);
    assert_eq!(world.outputs().len(), 1);
}

#[actix_web::test]
async fn several_members_and_frames_are_read_as_one_file() {
    let world = World::new(SMALL_STEPS).await;
    let text = csv(2_000);
    let (first, second) = text.as_bytes().split_at(10_001);
    for packed in Packed::ALL {
        let mut file = [packed.pack(first), packed.pack(b""), packed.pack(second)].concat();
        match packed {
            // Tapes and some tools pad with zeros.
            Packed::Gzip | Packed::Xz => file.extend([0; 512]),
            // A frame that is skipped.
            Packed::Zstandard => file.extend(b"\x5a\x2a\x4d\x18\x03\0\0\0abc"),
            Packed::Bzip2 => {}
        }
        let run = packed.extension();
        let (names, end) = world.call_to_the_end(run, &world.upload(&file)).await;
        assert_eq!(names[..2], ["unpack", "plan"], "{packed:?}");
        assert_eq!(end.text, r#"{"status":"success","processedItems":1715,"failedItems":285}"#, "{packed:?}");
    }
    let before = [b"#!/bin/sh\n".repeat(100), zip(&[("a.csv", text.as_bytes())])].concat();
    let shifted = zip(&[("a.csv", text.as_bytes())]);
    let commented = [&shifted[..shifted.len() - 2], b"\x05\0hello"].concat();
    for (run, file) in [("comment", commented), ("zip64", with_large_end(&shifted))] {
        let (_, end) = world.call_to_the_end(run, &world.upload(&file)).await;
        assert_eq!(end.status, StatusCode::OK, "{run}: {}", end.text);
    }
    // Its first bytes are text, so it is not recognised: never guessed.
    assert!(runboard::files::Packing::sniff(&before).is_none());
}

#[actix_web::test]
async fn a_damaged_or_shortened_archive_fails_and_says_so() {
    let world = World::new(SMALL_STEPS).await;
    let text = csv(4_000);
    for packed in Packed::ALL {
        let (whole, name, run) = (packed.pack(text.as_bytes()), packed.name(), packed.extension());
        let short = world.upload(&whole[..whole.len() / 2]);
        let answer = world.call(&call(&format!("{run}-short"), &short, &Memo::new(), 0)).await;
        let sentence = format!(
            "The {name} is incomplete: it ends too early. Copy or download it again, and import that."
        );
        assert_eq!(answer.failure(), (sentence, false));
        let mut damaged = whole.clone();
        let middle = whole.len() / 2;
        damaged[middle..middle + 8].copy_from_slice(&[0xaa; 8]);
        let damaged = world.upload(&damaged);
        let answer = world.call(&call(&format!("{run}-damaged"), &damaged, &Memo::new(), 0)).await;
        let sentence =
            format!("The {name} is damaged. Pack the file again, or import it without packing it.");
        assert_eq!(answer.failure(), (sentence, false));
    }
    let mut zipped = zip(&[("a.csv", text.as_bytes())]);
    let middle = zipped.len() / 2;
    zipped[middle] ^= 0xff;
    let answer = world.call(&call("zip", &world.upload(&zipped), &Memo::new(), 0)).await;
    assert!(answer.failure().0.starts_with("The zip archive is "), "{}", answer.text);
    assert!(world.outputs().is_empty());
    assert_eq!(fs::read_dir(world.folder.path().join("files/incoming")).unwrap().count(), 0);
}

/// A zip archive with the records of Zip64 at its end, as `zip` writes them when it does not know the size.
fn with_large_end(archive: &[u8]) -> Vec<u8> {
    let (front, end) = archive.split_at(archive.len() - 22);
    let large = |field: &[u8]| [field, &[0; 8][field.len()..]].concat();
    let at = (front.len() as u64).to_le_bytes();
    let mut record = b"PK\x06\x06\x2c\0\0\0\0\0\0\0\x2d\0\x2d\0\0\0\0\0\0\0\0\0".to_vec();
    for field in [&end[8..10], &end[10..12], &end[12..16], &end[16..20]] {
        record.extend(large(field));
    }
    [front, &record, b"PK\x06\x07\0\0\0\0", &at, b"\x01\0\0\0", end].concat()
}
