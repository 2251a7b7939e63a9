//! A data folder that is used by many servers in turn, and the imports that were requested from them.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use runboard::base::time::UnixMillis;
use rustix::fs::RenameFlags;
use tempfile::TempDir;
use tokio::{task::JoinSet, time::sleep};

use super::{
    actor::{Actor, Deed},
    phase::{OnDisk, Phase},
    sample::Sample,
    server,
};
use crate::support::{binary::Binary, visitor::Visitor};

/// How long to wait for the phase that a kill should hit.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often the phase is checked, which is also the longest delay of the kill.
const LOOK_EVERY: Duration = Duration::from_millis(1);
const LATEST: Duration = Duration::from_millis(5);
/// A kill without a target phase happens at a random time within this.
const LIFE: Duration = Duration::from_millis(1_500);

pub struct World {
    folder: TempDir,
    pub samples: Arc<Vec<Sample>>,
    pub visitor: Visitor,
    pub asked: Arc<Mutex<Vec<Asked>>>,
}

/// A requested import.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Unique among all uploads.
    pub file_name: String,
    pub sample: usize,
    /// Its path, once the server has answered 303; otherwise it may or may not exist.
    pub import: Option<String>,
    /// When a request to cancel it was answered.
    pub cancel_answered_at: Option<UnixMillis>,
    /// Whether a page has shown it as cancelled.
    pub seen_cancelled: bool,
}

impl World {
    pub async fn new(samples: Arc<Vec<Sample>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["data", "away", "copy"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let mut world = Self { folder, samples, visitor: Visitor::new(""), asked: Arc::default() };
        let server = world.start();
        world.visitor.sign_up("mira@example.org").await;
        server.kill();
        world
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts a server, and sets the visitor's address to it.
    pub fn start(&mut self) -> Binary {
        let server = server::start(&self.data(), &self.folder.path().join("log"));
        self.visitor.origin.clone_from(&server.origin);
        server
    }

    /// The data that the last server left.
    pub async fn left<'d>(&self, data: &'d Path) -> OnDisk<'d> {
        OnDisk::after(data, &self.folder.path().join("copy")).await
    }

    /// Starts a server, sends it requests, and kills it. Returns the phases that the kill hit.
    pub async fn live_and_die(&mut self, rng: &mut StdRng) -> Vec<Phase> {
        let data = self.data();
        let meant_for = rng.random_bool(0.7).then(|| Phase::ALL[rng.random_range(0..Phase::ALL.len())]);
        let actors = match meant_for {
            Some(Phase::Idle) => 0,
            Some(_) => rng.random_range(1..=2),
            None => rng.random_range(1..=3),
        };
        let server = self.start();
        let mut at_work = JoinSet::new();
        for number in 0..actors {
            let deed = match meant_for {
                Some(Phase::CancelUnderWay) if number == 0 => Deed::Cancel,
                Some(Phase::WaitingForRetry) if number == 0 => Deed::Spoil,
                _ => Deed::any(rng),
            };
            let actor = Actor {
                visitor: self.visitor.clone(),
                samples: Arc::clone(&self.samples),
                asked: Arc::clone(&self.asked),
                uploads: data.join("files/uploads"),
                away: self.folder.path().join("away"),
                rng: StdRng::from_rng(rng),
            };
            at_work.spawn(actor.act(deed));
        }
        match meant_for {
            Some(phase) => {
                wait_for(phase, &data).await;
                sleep(rng.random_range(Duration::ZERO..LATEST)).await;
            }
            None => sleep(rng.random_range(Duration::ZERO..LIFE)).await,
        }
        server.kill();
        at_work.abort_all();
        while let Some(ended) = at_work.join_next().await {
            assert!(ended.as_ref().map_or_else(|error| error.is_cancelled(), |()| true), "{ended:?}");
        }
        self.restore_files();
        let left = self.left(&data).await;
        let hit = left.phases().await;
        left.database.close().await;
        hit
    }

    /// Restores the files that actors made unreadable.
    fn restore_files(&self) {
        for entry in fs::read_dir(self.folder.path().join("away")).unwrap() {
            let away = entry.unwrap().path();
            let upload = self.data().join("files/uploads").join(away.file_name().unwrap());
            restore_file(&upload, &away);
        }
    }
}

/// Replaces the file by a folder atomically. A moment without either would be another, permanent failure.
pub fn take_file_away(upload: &Path, away: &Path) {
    fs::create_dir(away).unwrap();
    exchange(upload, away);
}

pub fn restore_file(upload: &Path, away: &Path) {
    if upload.is_dir() {
        exchange(upload, away);
    }
    fs::remove_dir(away).unwrap();
}

fn exchange(one: &Path, other: &Path) {
    rustix::fs::renameat_with(rustix::fs::CWD, one, rustix::fs::CWD, other, RenameFlags::EXCHANGE).unwrap();
}

/// Waits until the server is in `phase`. A kill that comes too late hits another phase.
async fn wait_for(phase: Phase, data: &Path) {
    let on_disk = OnDisk::beside(data).await;
    let start = Instant::now();
    while start.elapsed() < PATIENCE && !on_disk.phases().await.contains(&phase) {
        sleep(LOOK_EVERY).await;
    }
    on_disk.database.close().await;
}

impl Drop for World {
    fn drop(&mut self) {
        if thread::panicking() {
            self.folder.disable_cleanup(true);
            eprintln!("what happened is in {}", self.folder.path().display());
        }
    }
}
