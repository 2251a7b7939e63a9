//! The real program on a data folder.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

/// The pauses between attempts, in seconds: three attempts come soon, the last one when whatever was
/// in their way is surely gone.
const RETRY_SECONDS: &str = "0.3,0.6,5";

/// Killed when dropped.
pub struct Server {
    process: Child,
    pub origin: String,
}

impl Server {
    /// Starts it on `data`; what it logs goes to the end of `log`.
    pub fn start(data: &Path, log: &Path) -> Self {
        let log: File = OpenOptions::new().create(true).append(true).open(log).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_runboard"))
            .env("RUNBOARD_LISTEN", "127.0.0.1:0")
            .env("RUNBOARD_DATA_DIR", data)
            .env("RUNBOARD_WORKERS", "2")
            .env("RUNBOARD_ENGINE_RETRY_SECONDS", RETRY_SECONDS)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let origin = lines
            .map_while(Result::ok)
            .find_map(|line| {
                line.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned)
            })
            .expect("the server prints its address");
        Self { process, origin: origin.trim_end_matches('/').to_owned() }
    }

    /// SIGKILL: no destructor, no flush, no goodbye.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
