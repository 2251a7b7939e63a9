//! Requests to a bucket that fail or get no answer, one by one: nothing is lost, left out or left behind.

use std::{
    io::Read,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use runboard::{
    base::{ids::ImportId, time::UnixMillis},
    csv::SheetName,
    files::{Folder, Key, MemoryBucket, STORAGE_AWAY, Storage},
};
use tempfile::TempDir;

use super::{LARGE, blocking, bytes, content, names, store};
use crate::{
    packed::book::{rows, workbook},
    support::{
        proxy::{Behaviour, Proxy},
        s3::{S3Server, config_at},
        until_seen,
    },
};

/// Storage in a bucket whose server is reached through a proxy.
struct Behind {
    server: S3Server,
    proxy: Proxy,
    storage: Storage,
    _folder: TempDir,
}

impl Behind {
    /// With more variables of AWS.
    async fn start(more: &[(&str, &str)]) -> Self {
        let server = S3Server::start().await;
        let proxy = Proxy::start(&server.origin).await;
        let folder = tempfile::tempdir().unwrap();
        let mut config = config_at(&proxy.origin);
        config.aws.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())));
        let storage = Storage::connect(&config, folder.path()).await.unwrap();
        Self { server, proxy, storage, _folder: folder }
    }

    /// Lets the first `count` requests misbehave whose method and path begin with `target`. Returns their counter.
    fn behave(&self, target: &str, count: usize, behaviour: Behaviour) -> Arc<AtomicUsize> {
        let (target, counted) = (target.to_owned(), Arc::new(AtomicUsize::new(0)));
        let shared = Arc::clone(&counted);
        self.proxy.behave(move |request| {
            if request.target().starts_with(&target) && shared.fetch_add(1, Ordering::SeqCst) < count {
                behaviour
            } else {
                Behaviour::Pass
            }
        });
        counted
    }

    /// An upload of which nobody takes care any more, as after a kill.
    async fn killed(&self) {
        let mut upload = self.storage.receive_upload(0).await.unwrap();
        upload.write(&bytes(LARGE)).await.unwrap();
        std::mem::forget(upload);
    }

    async fn notes(&self) -> usize {
        names(&self.storage, Folder::Incoming).await.len()
    }
}

fn soon() -> UnixMillis {
    UnixMillis::wall().plus(Duration::from_secs(60))
}

fn upload() -> Key {
    Key::upload(ImportId::generate())
}

fn in_memory() -> (MemoryBucket, Storage, TempDir) {
    let (bucket, folder) = (MemoryBucket::default(), tempfile::tempdir().unwrap());
    let storage = Storage::in_memory(bucket.clone(), folder.path()).unwrap();
    (bucket, storage, folder)
}

#[tokio::test]
async fn requests_that_get_no_answer_are_repeated() {
    let behind = Behind::start(&[("AWS_TIMEOUT", "1s")]).await;
    let (key, written) = (upload(), bytes(LARGE));
    behind.behave("PUT /files/of/runboard/uploads/", 1, Behaviour::Hold);
    store(&behind.storage, &key, &written).await;
    let copy = upload();
    behind.behave("PUT /files/of/runboard/uploads/", 1, Behaviour::Hold);
    behind.storage.duplicate(&key, &copy).await.unwrap();
    assert!(content(&behind.storage, &copy).await == written);
}

#[tokio::test]
async fn a_copy_whose_answer_is_lost_is_removed() {
    let behind = Behind::start(&[]).await;
    let [key, copy] = [(); 2].map(|()| upload());
    store(&behind.storage, &key, b"a\n").await;
    let asked = behind.behave("PUT /files/of/runboard/uploads/", usize::MAX, Behaviour::CutBeforeAnswer);
    let failed = behind.storage.duplicate(&key, &copy).await.unwrap_err();
    assert_eq!((failed.kind(), asked.load(Ordering::SeqCst) > 0), (STORAGE_AWAY, true));
    let left = async || names(&behind.storage, Folder::Uploads).await;
    until_seen("the copy to go", left, vec![key.object_name()]).await;
}

#[tokio::test]
async fn removing_many_files_stops_when_the_storage_does_not_answer() {
    let behind = Behind::start(&[]).await;
    let asked = behind.behave("DELETE ", usize::MAX, Behaviour::Status(503));
    let failed = behind.storage.remove_all((0..500).map(|_| upload()).collect()).await.unwrap_err();
    assert_eq!(failed.kind(), STORAGE_AWAY);
    assert!(asked.load(Ordering::SeqCst) < 250, "{asked:?}");

    behind.proxy.behave(|_| Behaviour::Pass);
    let keys = [(); 40].map(|()| upload());
    for key in &keys {
        store(&behind.storage, key, b"a\n").await;
    }
    behind.storage.remove_all(keys.to_vec()).await.unwrap();
    assert!(names(&behind.storage, Folder::Uploads).await.is_empty());
}

#[tokio::test]
async fn a_file_that_cannot_be_removed_is_left_to_the_sweep() {
    let (bucket, storage, _folder) = in_memory();
    let keys = [(); 3].map(|()| upload());
    for key in &keys {
        let mut file = storage.receive(key.clone(), 0).await.unwrap();
        file.write(b"a\n").await.unwrap();
        file.keep().await.unwrap();
        assert!(storage.is_pending(key));
    }
    bucket.set_away(true);
    let [first, others @ ..] = &keys;
    assert_eq!(storage.remove(first).await.unwrap_err().kind(), STORAGE_AWAY);
    assert_eq!(storage.remove_all(others.to_vec()).await.unwrap_err().kind(), STORAGE_AWAY);
    assert!(!keys.iter().any(|key| storage.is_pending(key)));
}

#[tokio::test]
async fn one_unfinished_upload_that_cannot_be_deleted_does_not_keep_the_others() {
    let behind = Behind::start(&[]).await;
    for _ in 0..3 {
        behind.killed().await;
    }
    // The first is refused; an outage would be repeated.
    behind.behave("DELETE /files/of/runboard/uploads/", 1, Behaviour::Status(403));
    let bucket = behind.storage.bucket().unwrap();
    assert_eq!(bucket.abort_unfinished(soon()).await.unwrap(), 2);
    assert_eq!((behind.server.unfinished_uploads().await, behind.notes().await), (1, 1));
    assert_eq!(bucket.abort_unfinished(soon()).await.unwrap(), 1);
    assert_eq!((behind.server.unfinished_uploads().await, behind.notes().await), (0, 0));
}

#[tokio::test]
async fn an_upload_of_which_a_part_may_arrive_later_is_aborted_again_by_a_sweep() {
    let behind = Behind::start(&[]).await;
    let mut upload = behind.storage.receive_upload(0).await.unwrap();
    behind.behave("PUT /files/of/runboard/uploads/", usize::MAX, Behaviour::CutBeforeAnswer);
    // The part behind the one that is being sent tells it.
    assert_eq!(upload.write(&bytes(LARGE)).await.unwrap_err().kind(), STORAGE_AWAY);
    drop(upload);
    let unfinished = async || behind.server.unfinished_uploads().await;
    until_seen("the upload to be aborted", unfinished, 0).await;
    assert_eq!(behind.storage.bucket().unwrap().abort_unfinished(soon()).await.unwrap(), 1);
    assert_eq!(behind.notes().await, 0);
}

#[tokio::test]
async fn reading_on_after_an_error_leaves_no_bytes_out() {
    let (bucket, storage, _folder) = in_memory();
    let (key, written) = (upload(), bytes(LARGE));
    store(&storage, &key, &written).await;
    blocking(move || {
        let mut file = storage.file(&key).unwrap();
        let mut read = vec![0; 100];
        file.read_exact(&mut read).unwrap();
        bucket.set_away(true);
        let mut rest = Vec::new();
        assert_eq!(file.append_to(&mut rest, u64::MAX).unwrap_err().kind(), STORAGE_AWAY);
        bucket.set_away(false);
        let before = rest.len();
        assert_eq!(file.append_to(&mut rest, u64::MAX).unwrap_err().kind(), STORAGE_AWAY);
        assert!(rest.len() == before && rest == written[100..100 + before]);
    })
    .await;
}

#[tokio::test]
async fn a_workbook_is_told_by_its_front_however_small_its_first_piece_is() {
    let (_bucket, storage, _folder) = in_memory();
    let book = workbook(&[("January", "", &rows(&[&["id"], &["1"]]))], "");
    for pieces in [&[0][..], &[1], &[3], &[4], &[1, 2, 3]] {
        let mut upload = storage.receive_upload(0).await.unwrap();
        let mut from = 0;
        for to in pieces.iter().copied().chain([book.len()]) {
            upload.write(&book[from..to]).await.unwrap();
            from = to;
        }
        let found = upload.sheet_named(SheetName::new("january")).await.unwrap();
        assert_eq!(found.as_str(), "January", "{pieces:?}");
        assert!(upload.sheet_named(SheetName::new("June")).await.is_err(), "{pieces:?}");
    }
}
