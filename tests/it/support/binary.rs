//! The real program with a data folder that the test chooses.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::database;

/// How long the program may take to end after it is told to.
const END: Duration = Duration::from_secs(30);

/// A server; killed on drop.
pub struct Binary {
    process: Child,
    pub origin: String,
    /// The address of the engine, if it is exposed.
    pub engine: Option<String>,
}

/// The program with `data` as its folder, and only the settings of the test.
pub fn runboard(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runboard"));
    command.env_clear().env("RUNBOARD_LISTEN", "127.0.0.1:0").env("RUNBOARD_DATA_DIR", data);
    if database::is_postgres() {
        command.env("RUNBOARD_DATABASE_URL", database::url(data));
    }
    command
}

/// Runs it to its end, which must come by itself.
pub fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

impl Binary {
    pub fn start(command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut line_of = |name: &str| {
            let line = lines.find(|line| line.trim_start().starts_with(name));
            line.unwrap_or_else(|| panic!("the server prints its {name}"))
        };
        let address = |line: String| {
            let url = line.split_whitespace().find(|word| word.starts_with("http://"));
            url.map(|url| url.trim_end_matches('/').to_owned())
        };
        let origin = address(line_of("address")).expect("an address is one of http");
        let engine = address(line_of("engine"));
        Self { process, origin, engine }
    }

    /// Whether it has not ended by itself.
    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// SIGKILL: no destructor, no flush.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// SIGTERM; returns at once.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal by its name without SIG; returns at once.
    pub fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Waits for its end. Returns how long that took.
    pub fn wait(&mut self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return (status, start.elapsed());
            }
            assert!(start.elapsed() < END, "the server does not end");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The highest resident memory so far, in bytes.
    pub fn most_resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        kilobytes.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
