//! Stored files in a folder, in the buckets of two S3 servers, and as objects in memory: the same tests for all.

mod aged;
mod downloads;
mod faults;
mod links;
pub mod outage;
mod refused;
mod server;

use std::{
    io::{ErrorKind, Read, Seek, SeekFrom},
    time::Duration,
};

use bytes::Bytes;
use futures_util::TryStreamExt;
use runboard::{
    base::{
        ids::{ImportId, RunId},
        time::UnixMillis,
    },
    files::{Folder, Key, Listing, MemoryBucket, OutputFile, STORAGE_AWAY, Segments, Storage},
};

use crate::support::{s3::S3Server, until_seen};

/// More than two parts of an upload.
const LARGE: usize = 20 << 20;

/// Runs the same check with empty storage of each kind.
async fn on_each_storage(check: impl AsyncFn(&Storage)) {
    let folder = tempfile::tempdir().unwrap();
    check(&Storage::open(folder.path().join("files")).unwrap()).await;
    check(&Storage::in_memory(MemoryBucket::default(), folder.path()).unwrap()).await;
    for server in [S3Server::start().await, S3Server::seaweedfs()] {
        check(&Storage::connect(&server.config(), folder.path()).await.unwrap()).await;
        until_seen("no upload to be left unfinished", async || server.unfinished_uploads().await, 0).await;
    }
}

/// Bytes that repeat themselves only at distances that no block and no part has.
fn bytes(count: usize) -> Vec<u8> {
    let few: Vec<u8> = (0..65_521_u32).map(|n| (n ^ (n >> 8)) as u8).collect();
    let mut bytes = few.repeat(count / few.len() + 1);
    bytes.truncate(count);
    bytes
}

fn run_id() -> RunId {
    RunId::from("01M852CE07000000000000001".to_owned())
}

async fn store(storage: &Storage, key: &Key, bytes: &[u8]) {
    let mut file = storage.receive(key.clone(), 0).await.unwrap();
    for chunk in bytes.chunks(1_000_003) {
        file.write(chunk).await.unwrap();
    }
    assert_eq!(file.keep().await.unwrap(), bytes.len() as u64);
    storage.settled(key);
}

async fn read(segments: Segments) -> Vec<u8> {
    let blocks: Vec<Bytes> = segments.read().try_collect().await.unwrap();
    blocks.concat()
}

async fn content(storage: &Storage, key: &Key) -> Vec<u8> {
    read(storage.segments(std::slice::from_ref(key)).await.unwrap()).await
}

/// Runs what blocks where it may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

async fn names(storage: &Storage, folder: Folder) -> Vec<String> {
    names_in(storage.list(folder).unwrap()).await
}

async fn names_in(mut files: Listing) -> Vec<String> {
    let mut names = Vec::new();
    loop {
        let some = files.next(2).await.unwrap();
        if some.is_empty() {
            names.sort();
            return names;
        }
        names.extend(some.iter().map(Key::object_name));
    }
}

#[tokio::test]
async fn a_kept_file_is_stored_whole_and_a_dropped_one_is_not_there() {
    on_each_storage(async |storage| {
        for size in [0, 1, 5 << 20, LARGE] {
            let (key, written) = (Key::upload(ImportId::generate()), bytes(size));
            store(storage, &key, &written).await;
            assert_eq!(storage.size(&key).await.unwrap(), size as u64);
            assert!(content(storage, &key).await == written, "{size} bytes");
        }
        let before = names(storage, Folder::Uploads).await;
        assert_eq!(before.len(), 4);
        for size in [1, LARGE] {
            let mut file = storage.receive_upload(0).await.unwrap();
            file.write(&bytes(size)).await.unwrap();
            assert_eq!((file.size(), file.head().len()), (size as u64, size.min(512)));
            drop(file);
        }
        assert_eq!(names(storage, Folder::Uploads).await, before);
        let incoming = async || names(storage, Folder::Incoming).await;
        until_seen("nothing to be incoming", incoming, Vec::new()).await;
    })
    .await;
}

#[tokio::test]
async fn an_upload_belongs_to_the_import_that_is_made_when_it_has_arrived() {
    on_each_storage(async |storage| {
        let mut file = storage.receive_upload(0).await.unwrap();
        file.write(b"a,b\n").await.unwrap();
        let begun = file.key().import().unwrap();
        let made = loop {
            let made = begun.made_now();
            if made.made_at() > begun.made_at() {
                break made;
            }
            tokio::task::yield_now().await;
        };
        let key = Key::upload(made);
        file.keep_as(&key).await.unwrap();
        assert!(storage.is_pending(&key));
        assert_eq!(content(storage, &key).await, b"a,b\n");
        assert_eq!(names(storage, Folder::Uploads).await, [key.object_name()]);
        storage.settled(&key);
        assert!(!storage.is_pending(&key));
    })
    .await;
}

#[tokio::test]
async fn any_part_of_a_file_can_be_read() {
    on_each_storage(async |storage| {
        let (key, written) = (Key::upload(ImportId::generate()), bytes(LARGE));
        store(storage, &key, &written).await;
        let whole = storage.segments(std::slice::from_ref(&key)).await.unwrap();
        for range in [0..1, 5_000_000..5_000_001, 600_000..9_000_000, LARGE as u64 - 1..LARGE as u64, 7..7] {
            let expected = &written[range.start as usize..range.end as usize];
            assert!(read(whole.clone().slice(&range)).await == expected, "{range:?}");
        }
        assert_eq!(read(storage.front(&key, 3).await.unwrap()).await, written[..3]);
        let storage = storage.clone();
        blocking(move || {
            let mut file = storage.file(&key).unwrap();
            assert_eq!(file.length(), LARGE as u64);
            let mut read = Vec::new();
            assert_eq!(file.append_to(&mut read, 600_000).unwrap(), 600_000);
            file.seek(SeekFrom::Current(1_000)).unwrap();
            assert_eq!(file.append_to(&mut read, 2_000_000).unwrap(), 2_000_000);
            file.seek(SeekFrom::End(-10)).unwrap();
            assert_eq!(file.append_to(&mut read, u64::MAX).unwrap(), 10);
            file.seek(SeekFrom::Start(7)).unwrap();
            let mut few = [0; 9];
            file.read_exact(&mut few).unwrap();
            let parts = [&written[..600_000], &written[601_000..2_601_000], &written[LARGE - 10..]].concat();
            assert!(read == parts && few == written[7..16]);
            assert_eq!(file.stream_position().unwrap(), 16);
            file.seek(SeekFrom::Start(LARGE as u64 + 5)).unwrap();
            assert_eq!(file.append_to(&mut read, 5).unwrap(), 0, "behind the end");
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_file_that_is_not_there_is_told_from_other_failures() {
    on_each_storage(async |storage| {
        let key = Key::upload(ImportId::generate());
        assert_eq!(storage.size(&key).await.unwrap_err().kind(), ErrorKind::NotFound);
        let segments = storage.segments(&[key.clone(), Key::output(&run_id())]).await;
        assert_eq!(segments.unwrap_err().kind(), ErrorKind::NotFound);
        let copied = storage.duplicate(&key, &Key::upload(ImportId::generate())).await;
        assert_eq!(copied.unwrap_err().kind(), ErrorKind::NotFound);
        storage.remove(&key).await.unwrap();
        let storage = storage.clone();
        blocking(move || {
            assert_eq!(storage.file(&key).unwrap_err().kind(), ErrorKind::NotFound);
            storage.check().unwrap();
            storage.ensure_room(0).unwrap();
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_file_that_lost_a_part_is_never_stored() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = MemoryBucket::default();
    let storage = Storage::in_memory(bucket.clone(), folder.path()).unwrap();
    let its = (storage.clone(), bucket.clone());
    blocking(move || {
        let (storage, bucket) = its;
        let mut file = storage.create_output(&run_id()).unwrap();
        file.write(&bytes(LARGE)).unwrap();
        file.finish_here();
        bucket.set_away(true);
        // The part after the one that is being sent tells it.
        let failed = (0..3).find_map(|_| file.write(&bytes(9 << 20)).err()).expect("an outage");
        assert_eq!(failed.kind(), STORAGE_AWAY);
        bucket.set_away(false);
        assert_eq!(file.finish().unwrap_err().kind(), STORAGE_AWAY);
    })
    .await;
    let mut upload = storage.receive_upload(0).await.unwrap();
    upload.write(&bytes(LARGE)).await.unwrap();
    bucket.set_away(true);
    let kept = upload.keep().await;
    assert_eq!(kept.unwrap_err().kind(), STORAGE_AWAY);
    bucket.set_away(false);
    assert!(names(&storage, Folder::Runs).await.is_empty());
    assert!(names(&storage, Folder::Uploads).await.is_empty());
}

/// Writes an output of blocks, each of which is finished or not, and keeps it.
fn output(storage: &Storage, blocks: &[(usize, bool)]) -> (Key, Vec<u8>) {
    let mut file = storage.create_output(&run_id()).unwrap();
    let (mut written, mut finished) = (Vec::new(), 0);
    for (size, is_finished) in blocks {
        let block = bytes(written.len() + size)[written.len()..].to_vec();
        file.write(&block).unwrap();
        written.extend(block);
        if *is_finished {
            file.finish_here();
            finished = written.len();
        }
    }
    written.truncate(finished);
    assert_eq!(file.finished(), finished as u64);
    file.finish().unwrap();
    (file.keep(), written)
}

#[tokio::test]
async fn an_output_has_the_bytes_that_are_finished_and_no_others() {
    const MIB: usize = 1 << 20;
    on_each_storage(async |storage| {
        for blocks in [
            &[(10, true)][..],
            &[(10, true), (5, false)],
            &[(3 * MIB, true), (30 * MIB, false)],
            &[(5 * MIB, true), (1, false)],
            &[(5 * MIB, true), (9 * MIB, false)],
            &[(9 * MIB, true), (20 * MIB, false), (1, true)],
            &[(17 * MIB, true), (MIB, false), (MIB, false)],
            &[(MIB, true), (7 * MIB, false), (9 * MIB, true), (9 * MIB, false)],
        ] {
            let (its, wanted) = (storage.clone(), blocks.to_vec());
            let (key, expected) = blocking(move || output(&its, &wanted)).await;
            assert!(content(storage, &key).await == expected, "{blocks:?}");
            storage.remove(&key).await.unwrap();
        }
        assert!(names(storage, Folder::Runs).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_output_that_is_not_kept_leaves_nothing() {
    on_each_storage(async |storage| {
        let its = storage.clone();
        blocking(move || {
            let begun = |size| {
                let mut file = its.create_output(&run_id()).unwrap();
                file.write(&bytes(size)).unwrap();
                file.finish_here();
                file
            };
            let dropped: Vec<OutputFile> = [1, LARGE].map(begun).into();
            drop(dropped);
            for size in [1, LARGE] {
                let mut file = begun(size);
                file.finish().unwrap();
                drop(file);
            }
        })
        .await;
        for folder in [Folder::Runs, Folder::Incoming] {
            let left = async || names(storage, folder).await;
            until_seen("nothing to be left", left, Vec::new()).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_copy_is_a_file_of_its_own() {
    on_each_storage(async |storage| {
        let [first, second, both] = [(); 3].map(|()| Key::upload(ImportId::generate()));
        store(storage, &first, b"a,b\n1,2\n").await;
        assert_eq!(storage.duplicate(&first, &second).await.unwrap(), 8);
        assert!(storage.is_pending(&second));
        storage.settled(&second);
        let mut file = storage.receive(both.clone(), 0).await.unwrap();
        file.append(&first, 4).await.unwrap();
        file.append(&second, u64::MAX).await.unwrap();
        file.keep().await.unwrap();
        storage.remove(&first).await.unwrap();
        storage.remove(&first).await.unwrap();
        assert_eq!(content(storage, &second).await, b"a,b\n1,2\n");
        assert_eq!(content(storage, &both).await, b"a,b\na,b\n1,2\n");
        assert_eq!(storage.size(&first).await.unwrap_err().kind(), ErrorKind::NotFound);
    })
    .await;
}

#[tokio::test]
async fn files_are_listed_by_folder_and_those_of_a_bucket_by_age() {
    on_each_storage(async |storage| {
        let keys = [(); 5].map(|()| Key::upload(ImportId::generate()));
        for key in &keys {
            store(storage, key, b"a\n").await;
        }
        let its = storage.clone();
        let (output, _) = blocking(move || output(&its, &[(1, true)])).await;
        let mut uploads = keys.map(|key| key.object_name());
        uploads.sort();
        let (before, after) = (
            UnixMillis::wall().minus(Duration::from_secs(60)),
            UnixMillis::wall().plus(Duration::from_secs(60)),
        );
        assert_eq!(names(storage, Folder::Uploads).await, uploads);
        assert_eq!(names(storage, Folder::Runs).await, [output.as_str()]);
        let Some(bucket) = storage.bucket() else { return };
        assert_eq!(names_in(bucket.list_old(Folder::Uploads, after)).await, uploads);
        assert_eq!(names_in(bucket.list_old(Folder::Runs, after)).await, [output.as_str()]);
        for folder in [Folder::Uploads, Folder::Runs, Folder::Incoming] {
            assert!(names_in(bucket.list_old(folder, before)).await.is_empty());
        }
    })
    .await;
}
