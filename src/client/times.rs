//! How long a client waits for its server.

use std::{env, time::Duration};

/// The limits of all waits. They are not settings; tests shorten them.
#[derive(Clone, Copy, Debug)]
pub struct ClientTimes {
    /// How long the answer to a small request may take, each next piece of a long one, and how long the network may take
    /// no byte of an upload.
    pub silence: Duration,
    /// How long the answer may take once all bytes are sent: the server makes the file durable, and looks for its sheet.
    pub after_upload: Duration,
    /// The longest pause between two requests, whoever asks for it.
    pub most_pause: Duration,
}

/// Tests set it to two numbers of milliseconds: the longest pause, and the longest silence.
const OF_TESTS: &str = "TEST_RUNBOARD_CLIENT_MILLIS";

impl ClientTimes {
    pub fn read() -> Self {
        let shortened = env::var(OF_TESTS).ok().and_then(|text| {
            let (pause, silence) = text.split_once(',')?;
            let millis = |number: &str| Some(Duration::from_millis(number.parse().ok()?));
            Some((millis(pause)?, millis(silence)?))
        });
        match shortened {
            Some((most_pause, silence)) => Self { silence, after_upload: silence, most_pause },
            None => Self {
                silence: Duration::from_secs(60),
                after_upload: Duration::from_secs(10 * 60),
                most_pause: Duration::MAX,
            },
        }
    }
}
