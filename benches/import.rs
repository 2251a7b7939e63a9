//! `make bench`: speed and memory of the real release binary, as ratios within one run.
//!
//! Machines differ and are noisy, so this contains no test: each line shows two measurements, and the reader
//! compares them.

#[path = "import/burst.rs"]
mod burst;
#[path = "import/duckdb.rs"]
mod duckdb;
#[path = "import/history.rs"]
mod history;
#[path = "import/polls.rs"]
mod polls;
#[path = "../tests/it/support/visitor.rs"]
#[allow(dead_code)]
mod visitor;
#[path = "import/waits.rs"]
mod waits;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use burst::Engine;
use bytes::Bytes;
use futures_util::stream;
use reqwest::{Body, Method, header};
use visitor::Visitor;

const MIB: u64 = 1024 * 1024;
const MB: u64 = 1_000_000;
/// Of the files whose memory is measured.
const SIZES: [u64; 3] = [100 * MB, 1_000 * MB, 10_000 * MB];
const ROWS: usize = 1_000_000;
const ROUNDS: usize = 5;

fn main() {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
        // `cargo bench --bench import history` runs only that benchmark.
        let wanted = std::env::args().nth(1).filter(|argument| !argument.starts_with('-'));
        let is_wanted = |part: &str| wanted.as_deref().is_none_or(|wanted| wanted == part);
        if is_wanted("speed") {
            speed().await;
        }
        if is_wanted("memory") {
            memory().await;
        }
        if is_wanted("history") {
            history::history().await;
        }
        if is_wanted("burst") {
            burst::burst(Engine::Embedded).await;
            burst::burst(Engine::Inngest).await;
        }
        if is_wanted("duckdb") {
            duckdb::duckdb().await;
        }
        if is_wanted("polls") {
            polls::polls().await;
        }
        if is_wanted("waits") {
            waits::waits().await;
        }
    });
}

/// A million-row import, compared with Python's csv module reading the same file.
async fn speed() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let mut visitor = Visitor::new(&server.origin);
    visitor.sign_up("mira@example.org").await;
    let file = rows(ROWS);
    let path = data.path().join("rows.csv");
    fs::write(&path, &file).unwrap();

    let mut python = Vec::new();
    let mut import = Vec::new();
    let mut whole = Vec::new();
    for _ in 0..ROUNDS {
        python.push(python_reads(&path));
        let start = Instant::now();
        let at = visitor.upload("rows.csv", &file).await;
        let uploaded = Instant::now();
        let panel = visitor.wait_for_state(&at, "Completed").await;
        assert_eq!(panel.counts(), (ROWS as u64, 0));
        import.push(uploaded.elapsed());
        whole.push(start.elapsed());
    }
    let (python, import, whole) = (median(python), median(import), median(whole));
    println!("{ROWS} rows, {} MiB, median of {ROUNDS}:", file.len() as u64 / MIB);
    println!("  python3 csv.reader, only reading     {:>8.2} s", python.as_secs_f64());
    println!(
        "  import, from saved to Completed      {:>8.2} s   {}",
        import.as_secs_f64(),
        times(python, import)
    );
    println!(
        "  upload and import                    {:>8.2} s   {}",
        whole.as_secs_f64(),
        times(python, whole)
    );
}

/// Resident memory above idle while 1 GiB is received and while it is processed.
async fn memory() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let mut visitor = Visitor::new(&server.origin);
    visitor.sign_up("mira@example.org").await;
    // A first small import initialises every part.
    let warm = visitor.upload("warm.csv", "a,b\n1,2\n").await;
    visitor.wait_for_state(&warm, "Completed").await;
    let idle = server.resident();

    println!("resident memory ({:.1} MiB when idle):", idle as f64 / MIB as f64);
    for size in SIZES {
        let name = format!("{} MB", size / MB);
        // The upload and both outputs.
        if free(data.path()) < 3 * size {
            println!("  {name:>8} is left out, because the disk has not three times as much free");
            continue;
        }
        let begun = Instant::now();
        let (at, arriving) = server.watched(upload(&visitor, size)).await;
        let arrived = begun.elapsed();
        let ((), reading) = server.watched(wait_until_completed(&visitor, &at)).await;
        let read = begun.elapsed() - arrived;
        let speed = |time: Duration| (size / MB) as f64 / time.as_secs_f64();
        println!(
            "  {name:>8}: {:>5.1} MiB above idle at most while it arrives ({:.0} MB/s), {:>5.1} while it is read ({:.0} MB/s)",
            above(arriving, idle),
            speed(arrived),
            above(reading, idle),
            speed(read)
        );
    }
}

/// However long it takes.
async fn wait_until_completed(visitor: &Visitor, at: &str) {
    loop {
        let panel = visitor.panel(at).await;
        match panel.state.as_str() {
            "Completed" => return,
            "Failed" | "Cancelled" => panic!("{}", panel.html),
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// The bytes that are free on the disk of `folder`.
fn free(folder: &Path) -> u64 {
    let disk = rustix::fs::statvfs(folder).unwrap();
    disk.f_bavail * disk.f_frsize
}

/// Uploads the same block of rows until `size` bytes are sent. Never holds more than one block.
async fn upload(visitor: &Visitor, size: u64) -> String {
    let boundary = "----a-boundary-that-no-row-has";
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"rows.csv\"\r\n\
         Content-Type: text/csv\r\n\r\n"
    );
    let block = Bytes::from(rows(10_000));
    let header_end = block.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let only_rows = block.slice(header_end..);
    let blocks = size as usize / only_rows.len() - 1;
    let chunks = std::iter::once(Bytes::from(head))
        .chain(std::iter::once(block))
        .chain(std::iter::repeat_n(only_rows, blocks))
        .chain(std::iter::once(Bytes::from(format!("\r\n--{boundary}--\r\n"))))
        .map(Ok::<_, std::io::Error>);
    let response = visitor
        .request(Method::POST, "/imports")
        .header(header::CONTENT_TYPE, format!("multipart/form-data; boundary={boundary}"))
        .timeout(Duration::from_secs(3_600))
        .body(Body::wrap_stream(stream::iter(chunks)))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 303);
    response.headers()[header::LOCATION].to_str().unwrap().to_owned()
}

fn rows(count: usize) -> Vec<u8> {
    let mut file = b"id,first_name,last_name,email,city,amount,ordered_at,note\n".to_vec();
    for id in 0..count {
        let amount = id % 10_000;
        writeln!(
            file,
            "{id},Jo{},Smith{},jo{id}@example.org,Springfield,{amount}.50,2026-11-{:02},\"said \"\"hi\"\", left\"",
            id % 100,
            id % 1_000,
            id % 28 + 1
        )
        .unwrap();
    }
    file
}

fn python_reads(path: &Path) -> Duration {
    let program = "import csv,sys,time\ns=time.perf_counter()\nfor row in csv.reader(open(sys.argv[1],newline='',encoding='utf-8')): pass\nprint(time.perf_counter()-s)";
    let output = Command::new("python3").arg("-c").arg(program).arg(path).output().unwrap();
    let seconds = String::from_utf8(output.stdout).unwrap();
    Duration::from_secs_f64(seconds.trim().parse().unwrap())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn times(reference: Duration, ours: Duration) -> String {
    format!("{:.2} times as fast as Python reads", reference.as_secs_f64() / ours.as_secs_f64())
}

fn above(most: u64, idle: u64) -> f64 {
    most.saturating_sub(idle) as f64 / MIB as f64
}

/// The release binary with its own data folder.
struct Server {
    process: Child,
    origin: String,
}

impl Server {
    fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    /// With further settings.
    fn start_with(data: &Path, settings: &[(&str, &str)]) -> Self {
        Self::spawn(&mut Command::new(env!("CARGO_BIN_EXE_runboard")), data, settings)
    }

    /// On these cores only, as `taskset` takes them.
    fn start_on(data: &Path, cores: &str) -> Self {
        let mut command = Command::new("taskset");
        Self::spawn(command.args(["-c", cores, env!("CARGO_BIN_EXE_runboard")]), data, &[])
    }

    fn spawn(command: &mut Command, data: &Path, settings: &[(&str, &str)]) -> Self {
        let mut process = command
            .env_clear()
            .env("RUNBOARD_LISTEN", "127.0.0.1:0")
            .env("RUNBOARD_DATA_DIR", data.join("data"))
            .env("RUNBOARD_SIGN_UP", "open")
            .env("RUST_LOG", "warn")
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let origin = BufReader::new(process.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                line.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned)
            })
            .unwrap();
        Self { process, origin: origin.trim_end_matches('/').to_owned() }
    }

    /// Resident memory in bytes.
    fn resident(&self) -> u64 {
        resident(self.process.id())
    }

    /// Runs `work`, and returns the server's highest memory use meanwhile.
    async fn watched<T>(&self, work: impl Future<Output = T>) -> (T, u64) {
        let most = Arc::new(AtomicU64::new(0));
        let over = Arc::new(AtomicBool::new(false));
        let sampler = {
            let (most, over, id) = (Arc::clone(&most), Arc::clone(&over), self.process.id());
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    most.fetch_max(resident(id), Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(5));
                }
            })
        };
        let result = work.await;
        over.store(true, Ordering::Relaxed);
        sampler.join().unwrap();
        (result, most.load(Ordering::Relaxed))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn resident(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    kilobytes.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}
