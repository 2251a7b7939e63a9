//! The real binary, killed in the middle of an import: afterwards every record is there once, in order.

use std::{
    fmt::Write,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::support::visitor::Visitor;

const ROWS: usize = 500_000;
/// Every so many rows one has a field too many.
const BAD_EVERY: usize = 1_000;

/// The real program on a data folder, killed when dropped.
struct Server {
    process: Child,
    origin: String,
}

impl Server {
    fn start(data: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_runboard"))
            .env("RUNBOARD_LISTEN", "127.0.0.1:0")
            .env("RUNBOARD_DATA_DIR", data)
            .stdout(Stdio::piped())
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
    fn kill(mut self) {
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

/// The file, and what must come out of it.
fn records() -> (String, String, Vec<usize>) {
    let filler = "x".repeat(120);
    let mut file = String::from("id,name,note\n");
    let mut processed = String::from("id,name,note\r\n");
    let mut failed = Vec::new();
    for id in 1..=ROWS {
        if id % BAD_EVERY == 0 {
            writeln!(file, "{id},name {id},{filler},too much").unwrap();
            failed.push(id);
        } else {
            writeln!(file, "{id},name {id},{filler}").unwrap();
            write!(processed, "{id},name {id},{filler}\r\n").unwrap();
        }
    }
    (file, processed, failed)
}

#[tokio::test]
async fn a_killed_import_goes_on_and_every_record_is_there_once_and_in_order() {
    let data = tempfile::tempdir().unwrap();
    let (file, processed, failed) = records();

    let server = Server::start(data.path());
    let mut visitor = Visitor::new(&server.origin);
    visitor.sign_up("mira@example.org").await;
    let import = visitor.upload("half-a-million.csv", file).await;
    let before = visitor
        .wait_for(&import, "some rows, not all", |panel| {
            panel.runs.iter().any(|run| run.processed.parse::<usize>().is_ok_and(|rows| rows > ROWS / 10))
        })
        .await;
    server.kill();
    assert_eq!(before.state, "Running", "killed in the middle: {:?}", before.runs);

    // By itself: nobody asks for anything but to see it.
    let server = Server::start(data.path());
    visitor.origin.clone_from(&server.origin);
    let panel = visitor.wait_for_state(&import, "Completed").await;
    assert_eq!(panel.counts(), ((ROWS - failed.len()) as u64, failed.len() as u64));

    let downloaded = visitor.download(&format!("{import}/processed.csv")).await;
    assert!(
        downloaded == processed.as_bytes(),
        "processed.csv is not the {} good rows in order",
        ROWS - failed.len()
    );
    let downloaded = String::from_utf8(visitor.download(&format!("{import}/failed.csv")).await).unwrap();
    let ids: Vec<usize> =
        downloaded.lines().skip(1).map(|line| line.split(',').nth(3).unwrap().parse().unwrap()).collect();
    assert_eq!(ids, failed);
    assert_eq!(visitor.get("/").await.status(), 200);

    // The steps' files, and nothing that a killed step left behind.
    drop(server);
    let server = Server::start(data.path());
    visitor.origin.clone_from(&server.origin);
    let incoming = std::fs::read_dir(data.path().join("files/incoming")).unwrap().count();
    assert_eq!(incoming, 0);
}
