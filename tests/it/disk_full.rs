//! A full disk: a small file system in memory, mounted for the test, with the files and the database on it.
//! Mounting needs root. Without root the tests print that and check nothing.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::StatusCode;
use runboard::{
    base::{ids::RunId, time::UnixMillis},
    csv::{Counts, SheetName},
    files::{MemoryBucket, RESERVE, Storage},
    store::steps::{Commit, Remarks, Step, StepFiles},
};
use sqlx::AnyPool;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    bad_input, steps,
    support::{
        TestApp, database, files_under, spawn_app_on,
        visitor::{Panel, Visitor, attributes, form_start},
    },
};

const MIB: u64 = 1 << 20;

/// A separate disk, unmounted on drop.
struct Disk {
    folder: TempDir,
}

impl Disk {
    /// None if mounting is not allowed.
    fn mount(bytes: u64) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(folder.path())
            .output()
            .unwrap();
        if mounted.status.success() {
            return Some(Self { folder });
        }
        let why = String::from_utf8_lossy(&mounted.stderr).trim().to_owned();
        let user = Command::new("id").arg("-u").output().unwrap().stdout;
        assert_ne!(user, b"0\n", "root cannot mount a small disk here: {why}");
        eprintln!("NOT TESTED: what happens on a full disk. Only root can mount a small one: {why}");
        None
    }

    async fn spawn_app(&self, retry: Duration) -> (TestApp, Visitor) {
        let data = tempfile::tempdir_in(self.folder.path()).unwrap();
        let app = spawn_app_on(data, |config| config.engine_retries = vec![retry]).await;
        let mut visitor = app.visitor();
        visitor.sign_up("mira@example.org").await;
        (app, visitor)
    }

    fn free(&self) -> u64 {
        let disk = rustix::fs::statvfs(self.folder.path()).unwrap();
        disk.f_bavail * disk.f_frsize
    }

    /// Fills the disk until `left` bytes are free.
    fn fill(&self, left: u64) -> Filler {
        let path = self.folder.path().join("filler");
        let mut file = File::create_new(&path).unwrap();
        let block = vec![0; MIB as usize / 4];
        while self.free() > left {
            let size = block.len().min((self.free() - left) as usize);
            match file.write_all(&block[..size]) {
                Ok(()) => {}
                // Another process took the last bytes.
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("{error}"),
            }
        }
        Filler { path }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, because a server left by a failed test may still have files open.
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}

/// Occupies the space until it is dropped.
struct Filler {
    path: PathBuf,
}

impl Drop for Filler {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn rows(count: usize) -> String {
    let mut file = String::from("id,note\n");
    for id in 0..count {
        file.push_str(&format!("{id},a note that makes the row a little longer\n"));
    }
    file
}

async fn assert_whole(visitor: &Visitor, import: &str, file: &str) {
    let panel = visitor.wait_for_state(import, "Completed").await;
    assert_eq!(panel.counts(), (file.lines().count() as u64 - 1, 0));
    let processed = visitor.download(&format!("{import}/processed.csv")).await;
    assert!(processed == file.replace('\n', "\r\n").as_bytes(), "the rows, once and in order");
}

/// Checks that the stored outputs are exactly those that steps name.
async fn assert_no_orphans(data: &Path) {
    let url = database::url(data);
    let database = AnyPool::connect(&url).await.unwrap();
    let named = steps::named_files(&database).await;
    assert_eq!(files_under(&data.join("files/runs")), named.len());
    for key in named {
        assert!(data.join("files").join(&key).exists(), "{key}");
    }
    database.close().await;
}

async fn assert_refused_for_room(answer: reqwest::Response) {
    assert_eq!(answer.status(), StatusCode::INSUFFICIENT_STORAGE);
    let page = answer.text().await.unwrap();
    assert!(page.contains("not enough free disk space for the file and its results"), "{page}");
    assert!(page.contains("id=\"upload-error\""), "{page}");
}

#[tokio::test]
async fn an_upload_that_finds_no_room_is_refused_and_leaves_nothing() {
    let Some(disk) = Disk::mount(RESERVE + 80 * MIB) else { return };
    let (app, visitor) = disk.spawn_app(Duration::ZERO).await;
    let files = app.data.path().join("files");

    // With an announced length: 50 MB would fit, but not together with the outputs of the run. Refused before
    // the first byte.
    let mut connection = bad_input::connect(&app).await;
    let begun = bad_input::head(&visitor, 50_000_000) + &form_start("announced.csv");
    connection.write_all(begun.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 507 ") && answer.contains("not enough free disk space"), "{answer}");
    let block = Bytes::from("1,2\n".repeat(250_000));
    assert_refused_for_room(visitor.post_file("announced.csv", block.repeat(50)).await).await;
    // Without an announced length: refused while it arrives.
    let before = disk.free();
    assert_refused_for_room(visitor.post_stream("streamed.csv", stream::repeat(block).take(70)).await).await;
    assert_eq!(files_under(&files), 0);
    assert!(disk.free() + MIB > before, "the room is free again");

    // Almost no space is left: even a small file is refused, and the pages still answer.
    let filler = disk.fill(10 * MIB);
    assert_refused_for_room(visitor.post_file("small.csv", "a\n1\n").await).await;
    assert_eq!(files_under(&files), 0);
    let page = visitor.get("/").await.text().await.unwrap();
    assert_eq!(attributes(&page, "data-import-id").len(), 0);
    drop(filler);
    let import = visitor.upload("small.csv", "a\n1\n").await;
    visitor.wait_for_state(&import, "Completed").await;
    app.stop().await;
}

/// The disk fills up while a step writes; the database keeps its reserve.
#[tokio::test]
async fn a_step_that_finds_no_room_is_tried_again_and_counts_once() {
    let Some(disk) = Disk::mount(RESERVE + 160 * MIB) else { return };
    let (app, visitor) = disk.spawn_app(Duration::from_secs(2)).await;
    let file = rows(1_000_000);
    let import = visitor.upload("rows.csv", &file).await;
    visitor.wait_for(&import, "rows", at_work).await;
    // The rest of the results would fit into the free space, but that is reserved for the database.
    let filler = disk.fill(RESERVE - MIB);
    let panel = visitor.wait_for(&import, "the next attempt", |panel| panel.html.contains("Retrying")).await;
    assert!(panel.html.contains("There is no disk space left for the results"), "{}", panel.html);
    assert_eq!(panel.state, "Running");
    let answer = visitor.get(&format!("{import}/processed.csv")).await;
    assert_eq!(answer.status(), StatusCode::CONFLICT, "half of it is not shown as whole");
    drop(filler);
    assert_whole(&visitor, &import, &file).await;
    let data = app.stop().await;
    assert_no_orphans(data.path()).await;
}

/// The disk is full to the last byte, and nothing can be recorded.
#[tokio::test]
async fn while_nothing_can_be_recorded_nothing_is_lost() {
    if database::is_skipped_on_postgres("the database is not on the small disk") {
        return;
    }
    let Some(disk) = Disk::mount(RESERVE + 160 * MIB) else { return };
    let (app, visitor) = disk.spawn_app(Duration::from_secs(2)).await;
    let file = rows(1_000_000);
    let import = visitor.upload("rows.csv", &file).await;
    visitor.wait_for(&import, "rows", at_work).await;
    let filler = disk.fill(0);
    // The step ends or fails, or its answer cannot be recorded, whichever comes first.
    assert_refused_for_room(visitor.post_file("small.csv", "a\n1\n").await).await;
    drop(filler);
    assert_whole(&visitor, &import, &file).await;
    let data = app.stop().await;
    let app = spawn_app_on(data, |_| {}).await;
    let data = app.stop().await;
    assert_no_orphans(data.path()).await;
}

/// All writing requests report that there is no space, and `/readyz` reports it before them.
#[tokio::test]
async fn with_no_byte_left_every_page_that_writes_says_so() {
    if database::is_skipped_on_postgres("the database is not on the small disk") {
        return;
    }
    let Some(disk) = Disk::mount(RESERVE + 160 * MIB) else { return };
    let (app, visitor) = disk.spawn_app(Duration::ZERO).await;
    let import = visitor.upload("rows.csv", "a,b\n1,2\n3\n").await;
    visitor.wait_for_state(&import, "Completed").await;
    let filler = disk.fill(0);
    let readyz = visitor.get("/readyz").await;
    assert_eq!(readyz.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(readyz.text().await.unwrap().contains("files: no room left"));
    // Until the space that the database has allocated is used up, too.
    let mut taken = 0;
    let full = loop {
        let status = visitor.post_import("", "", "http://192.0.2.1/a.csv").await.status();
        if status != StatusCode::SEE_OTHER {
            break status;
        }
        taken += 1;
        assert!(taken < 5_000, "the database never finds the disk full");
    };
    assert_eq!(full, StatusCode::INSUFFICIENT_STORAGE, "an address, after {taken}");
    let retry = format!("{import}/retry");
    let all: [(&str, &[(&str, &str)]); 4] = [
        (&retry, &[]),
        ("/imports/sample", &[]),
        ("/sign-up", &[("email", "theo@example.org"), ("password", "plum tractor wednesday")]),
        ("/sign-in", &[("email", "mira@example.org"), ("password", "correct horse")]),
    ];
    for (path, fields) in all {
        let answer = visitor.post_form(path, fields).await;
        let status = answer.status();
        let page = answer.text().await.unwrap();
        assert_eq!(status, StatusCode::INSUFFICIENT_STORAGE, "{path} {fields:?}: {page}");
    }
    assert_eq!(visitor.get("/").await.status(), StatusCode::OK, "pages can still be read");
    drop(filler);
    let import = visitor.upload("small.csv", "a\n1\n").await;
    visitor.wait_for_state(&import, "Completed").await;
    app.stop().await;
}

#[tokio::test]
async fn a_step_that_cannot_be_committed_is_not_and_can_be_later() {
    if database::is_skipped_on_postgres("the database is not on the small disk") {
        return;
    }
    let Some(disk) = Disk::mount(16 * MIB) else { return };
    let data = tempfile::tempdir_in(disk.folder.path()).unwrap();
    let (store, _) = steps::open(&data).await;
    let run = RunId::from("r".to_owned());
    // Longer than the space that the database has allocated already.
    let step = Step {
        name: "plan".to_owned(),
        position: 0,
        result: "x".repeat(6 * MIB as usize),
        counts: Counts { processed: 1, failed: 0 },
        end_byte: 1,
        files: StepFiles::default(),
        stretches: None,
        started_at: UnixMillis(1),
        committed_at: UnixMillis(2),
    };
    let filler = disk.fill(0);
    let error = store.commit_step(&run, &step, &Remarks::default()).await.unwrap_err();
    assert!(error.is_disk_full(), "{error:?}");
    assert_eq!(store.steps(&run).await.unwrap(), []);
    drop(filler);
    assert_eq!(store.commit_step(&run, &step, &Remarks::default()).await.unwrap(), Commit::Committed);
    assert_eq!(store.steps(&run).await.unwrap(), [step]);
    store.close().await;
}

fn at_work(panel: &Panel) -> bool {
    panel.runs.iter().any(|run| run.processed.parse::<u64>().is_ok_and(|rows| rows > 0))
}

/// The copy of an archive that is on its way to a bucket is for nothing but a question about its sheets.
#[tokio::test]
async fn an_archive_that_is_sent_on_to_a_bucket_needs_no_room_here() {
    let Some(disk) = Disk::mount(RESERVE + 260 * MIB) else { return };
    let storage = Storage::in_memory(MemoryBucket::default(), disk.folder.path()).unwrap();
    let mut archive = b"PK\x03\x04".to_vec();
    archive.resize(8 * MIB as usize, b'x');
    let mut upload = storage.receive_upload(0).await.unwrap();
    let (front, rest) = archive.split_at(MIB as usize);
    upload.write(front).await.unwrap();
    let filler = disk.fill(0);
    for piece in rest.chunks(MIB as usize) {
        upload.write(piece).await.unwrap();
    }
    let name = SheetName::new("any");
    assert_eq!(upload.sheet_named(name.clone()).await.unwrap(), name, "it is looked for later");
    let key = upload.key().clone();
    assert_eq!(upload.keep().await.unwrap(), archive.len() as u64);
    assert_eq!(storage.size(&key).await.unwrap(), archive.len() as u64);
    drop(filler);
}
