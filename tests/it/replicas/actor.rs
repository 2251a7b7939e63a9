//! A user who uploads files through the proxy, and looks at their pages until and after they end.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rand::{RngExt, rngs::StdRng};
use reqwest::{StatusCode, header};
use tokio::{sync::watch, time::sleep};

use super::witness::{Seen, is_terminal};
use crate::{crash::sample::Sample, support::visitor::Visitor};

/// How often a page is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(400);

/// How often after its end: the proxy passes these to all replicas.
const LOOKS_AFTER_THE_END: usize = 6;

/// An import is lost if none has ended for so long. Each waits for those before it, which take longer on a slow machine.
const LONGEST: Duration = Duration::from_secs(300);

/// The longest pause between two uploads.
const PAUSE: Duration = Duration::from_secs(6);

/// A requested import.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Unique among all uploads.
    pub file_name: String,
    pub sample: usize,
    pub user: usize,
    /// Its path, if a replica has answered 303; otherwise it may or may not exist.
    pub import: Option<String>,
}

/// What all actors share.
pub struct Shared {
    pub samples: Vec<Sample>,
    pub users: Vec<Visitor>,
    pub asked: Mutex<Vec<Asked>>,
    /// How many imports were seen to end.
    pub ended: AtomicUsize,
    /// How many answers were those of an outage, or none.
    pub outages: AtomicUsize,
}

pub struct Actor {
    pub user: usize,
    pub shared: Arc<Shared>,
    pub rng: StdRng,
}

impl Actor {
    /// Imports until there are no more disturbances, at least once.
    pub async fn act(mut self, is_over: watch::Receiver<bool>) {
        loop {
            self.import().await;
            if *is_over.borrow() {
                return;
            }
            sleep(self.rng.random_range(Duration::ZERO..PAUSE)).await;
        }
    }

    /// Imports one file.
    pub async fn import(&mut self) {
        while !self.import_or_fail().await {
            self.shared.outages.fetch_add(1, Ordering::Relaxed);
            sleep(self.rng.random_range(Duration::ZERO..LOOK_EVERY)).await;
        }
    }

    /// Returns false if the upload was not answered, as when its replica was killed.
    async fn import_or_fail(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        let visitor = &shared.users[self.user];
        let sample = self.rng.random_range(0..shared.samples.len());
        let file_name = format!("{:016x}.csv", self.rng.random::<u64>());
        let form = visitor.file_form(&file_name, &shared.samples[sample].bytes);
        let place = {
            let mut asked = shared.asked.lock().unwrap();
            asked.push(Asked { file_name, sample, user: self.user, import: None });
            asked.len() - 1
        };
        let Ok(answer) = form.send().await else { return false };
        if answer.status().is_server_error() {
            return false;
        }
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{:?}", answer.text().await);
        let import = answer.headers()[header::LOCATION].to_str().unwrap().to_owned();
        shared.asked.lock().unwrap()[place].import = Some(import.clone());
        self.look_at(visitor, &import).await;
        true
    }

    async fn look_at(&self, visitor: &Visitor, import: &str) {
        let (mut seen, mut left) = (Seen::during_cuts(), LOOKS_AFTER_THE_END);
        // How many had ended, and since when.
        let mut ended = (self.shared.ended.load(Ordering::Relaxed), Instant::now());
        while left > 0 {
            match seen.look(visitor, import).await {
                Some(panel) if is_terminal(&panel.state) => {
                    assert_eq!(panel.state, "Completed", "{import}: {}", panel.html);
                    left -= 1;
                }
                Some(_) => {}
                None => drop(self.shared.outages.fetch_add(1, Ordering::Relaxed)),
            }
            let now = self.shared.ended.load(Ordering::Relaxed);
            if now > ended.0 {
                ended = (now, Instant::now());
            }
            assert!(ended.1.elapsed() < LONGEST, "{import} does not end: {seen:?}");
            sleep(LOOK_EVERY).await;
        }
        self.shared.ended.fetch_add(1, Ordering::Relaxed);
    }
}
