//! The client of an Inngest HTTP API.

use secrecy::SecretString;
use url::Url;

use super::{Error, Event, EventSeed, Run, call::Registration};
use crate::ids::{EventId, RunId};

/// Where an engine is and the keys it takes.
#[derive(Clone, Debug)]
pub struct Server {
    /// Takes `POST /e/{event_key}`.
    pub event_api: Url,
    /// Takes everything else.
    pub api: Url,
    pub event_key: SecretString,
    pub signing_key: SecretString,
}

/// The only way to an engine.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    server: Server,
}

impl Client {
    pub fn new(server: Server) -> Result<Self, Error> {
        let _ = server;
        todo!()
    }

    /// Sends one event (`POST /e/{key}`); with the same seed as often as needed.
    pub async fn send(&self, event: &Event, seed: &EventSeed) -> Result<EventId, Error> {
        let _ = (event, seed, &self.http, &self.server);
        todo!()
    }

    /// The runs that an event triggered. Empty means "none yet" as well as "none ever".
    pub async fn event_runs(&self, event: &EventId) -> Result<Vec<Run>, Error> {
        let _ = event;
        todo!()
    }

    /// One run.
    pub async fn run(&self, run: &RunId) -> Result<Run, Error> {
        let _ = run;
        todo!()
    }

    /// Cancels a run; one that has ended stays as it is.
    pub async fn cancel(&self, run: &RunId) -> Result<(), Error> {
        let _ = run;
        todo!()
    }

    /// Registers functions (`POST /fn/register`).
    pub async fn register(&self, app: &Registration) -> Result<(), Error> {
        let _ = app;
        todo!()
    }
}
