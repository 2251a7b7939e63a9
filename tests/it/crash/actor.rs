//! A user who requests an import and then acts on it, until the server dies.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use rand::{RngExt, rngs::StdRng};
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use runboard::base::time::UnixMillis;
use tokio::time::sleep;

use super::{
    sample::Sample,
    world::{Asked, restore_file, take_file_away},
};
use crate::support::visitor::{Panel, Visitor};

/// The longest pause before an actor begins, and between its actions.
const LONGEST_PAUSE: Duration = Duration::from_millis(300);

/// How long a file stays unreadable at most. Shorter than all attempts of a step together.
const LONGEST_SPOILT: Duration = Duration::from_millis(1_200);

pub struct Actor {
    pub visitor: Visitor,
    pub samples: Arc<Vec<Sample>>,
    pub asked: Arc<Mutex<Vec<Asked>>>,
    /// The server's folder of uploads.
    pub uploads: PathBuf,
    /// The place of a file while it cannot be read.
    pub away: PathBuf,
    pub rng: StdRng,
}

/// An action on an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Watch,
    Cancel,
    /// Makes its stored file unreadable for a while, so that a step fails and is retried.
    Spoil,
}

impl Deed {
    pub fn any(rng: &mut StdRng) -> Self {
        match rng.random_range(0..6) {
            0 | 1 => Self::Cancel,
            2 => Self::Spoil,
            _ => Self::Watch,
        }
    }
}

impl Actor {
    /// A request without an answer ends the actor: the server was killed.
    pub async fn act(mut self, deed: Deed) {
        self.pause().await;
        let sample = self.rng.random_range(0..self.samples.len());
        let file_name = format!("{:016x}.csv", self.rng.random::<u64>());
        let form = self.visitor.file_form(&file_name, &self.samples[sample].bytes);
        let Some(asked) = self.ask_for_import(file_name, sample, form).await else { return };
        if self.rng.random() {
            self.pause().await;
        }
        match deed {
            Deed::Watch => {}
            Deed::Cancel => self.cancel(asked).await,
            Deed::Spoil => self.spoil(asked).await,
        }
    }

    async fn pause(&mut self) {
        sleep(self.rng.random_range(Duration::ZERO..LONGEST_PAUSE)).await;
    }

    /// Sends a request that is answered with 303 to a new import. Returns its index in the list, if it was
    /// answered.
    async fn ask_for_import(
        &self,
        file_name: String,
        sample: usize,
        request: RequestBuilder,
    ) -> Option<usize> {
        let place = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(Asked {
                file_name,
                sample,
                import: None,
                cancel_answered_at: None,
                seen_cancelled: false,
            });
            asked.len() - 1
        };
        let answer = request.send().await.ok()?;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let import = answer.headers()[header::LOCATION].to_str().unwrap().to_owned();
        self.asked.lock().unwrap()[place].import = Some(import);
        Some(place)
    }

    fn import(&self, asked: usize) -> String {
        self.asked.lock().unwrap()[asked].import.clone().expect("only answered ones are given out")
    }

    async fn cancel(&self, asked: usize) {
        let import = self.import(asked);
        let Some(answer) = self.send(Method::POST, &format!("{import}/cancel")).await else { return };
        assert_eq!(answer.status(), StatusCode::NO_CONTENT, "as htmx asks");
        self.asked.lock().unwrap()[asked].cancel_answered_at = Some(UnixMillis::now());
        while let Some(answer) = self.send(Method::GET, &format!("{import}/panel")).await {
            let Ok(html) = answer.text().await else { return };
            let panel = Panel::read(html);
            assert_ne!(panel.state, "Failed", "{import} was cancelled");
            self.saw(asked, panel.state == "Cancelled");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Checks that a cancelled import stays cancelled.
    fn saw(&self, asked: usize, cancelled: bool) {
        let asked = &mut self.asked.lock().unwrap()[asked];
        assert!(cancelled || !asked.seen_cancelled, "no longer cancelled: {asked:?}");
        asked.seen_cancelled = cancelled;
    }

    /// Replaces the file by a folder: opening works, reading fails.
    async fn spoil(&mut self, asked: usize) {
        let name = format!("{}.csv", self.import(asked).rsplit('/').next().unwrap());
        let (upload, away) = (self.uploads.join(&name), self.away.join(&name));
        take_file_away(&upload, &away);
        sleep(self.rng.random_range(LONGEST_SPOILT / 4..LONGEST_SPOILT)).await;
        restore_file(&upload, &away);
    }

    async fn send(&self, method: Method, path: &str) -> Option<Response> {
        self.visitor.request(method, path).header("HX-Request", "true").send().await.ok()
    }
}
