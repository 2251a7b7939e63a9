//! Reading against DuckDB's: the same file is split, judged and written out again by both, on the same core.

use std::{fmt::Write, fs, hint::black_box, path::Path, process::Command, time::Duration, time::Instant};

use tempfile::TempDir;

use runboard::csv::{Layout, count_fields};

use super::{MIB, Server, median, visitor::Visitor};

const ROWS: usize = 4_000_000;
const ROUNDS: usize = 5;
const PACKAGE: &str = "duckdb==2.0.*";

/// Prints the seconds until both output files are written.
const PROGRAM: &str = r#"
import duckdb, sys, time
source, options, folder = sys.argv[1:]
db = duckdb.connect()
db.execute("SET threads = 1")
db.execute("SET enable_progress_bar = false")
begun = time.perf_counter()
db.execute(f"COPY (FROM read_csv('{source}', store_rejects = true, all_varchar = true{options})) TO '{folder}/out.csv'")
db.execute(f"COPY (FROM reject_errors) TO '{folder}/rejects.csv'")
print(time.perf_counter() - begun)
"#;

/// A kind of file, and what DuckDB has to be told about it.
struct Kind {
    name: &'static str,
    options: &'static str,
    file: fn() -> Vec<u8>,
}

pub async fn duckdb() {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/duckdb");
    let install = ["-m", "pip", "install", "--quiet", "--target"];
    let installed = packages.join("duckdb").exists()
        || Command::new("python3")
            .args(install)
            .arg(&packages)
            .arg(PACKAGE)
            .status()
            .is_ok_and(|status| status.success());
    if !installed {
        println!("DuckDB is not compared, because pip cannot install {PACKAGE}.");
        return;
    }
    let kinds = [
        Kind { name: "commas", options: "", file: plain },
        Kind { name: "10% quoted fields with line ends", options: "", file: with_line_ends },
        // DuckDB reads Windows-1252 only with an extension that it downloads. The file's only letter beyond ASCII is the
        // same in Latin-1.
        Kind {
            name: "semicolons, windows-1252",
            options: ", delim = ';', encoding = 'latin-1'",
            file: semicolons,
        },
    ];
    for kind in kinds {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        let file = (kind.file)();
        fs::write(&path, &file).unwrap();
        println!("{ROWS} rows, {} MiB, {}, median of {ROUNDS}:", file.len() as u64 / MIB, kind.name);
        let (one, two) = (Importer::start("0").await, Importer::start("0,1").await);
        let (mut duckdb_times, mut one_times, mut two_times) = (Vec::new(), Vec::new(), Vec::new());
        let (mut one_copies, mut two_copies) = (Vec::new(), Vec::new());
        // In turn, so that a slow minute of the machine hits all of them.
        for _ in 0..ROUNDS {
            settle();
            duckdb_times.push(duckdb_reads(&packages, &path, kind.options, folder.path()));
            settle();
            one_times.push(one.import(&file).await);
            settle();
            two_times.push(two.import(&file).await);
            settle();
            one_copies.push(copy(&path, folder.path(), &["0"]));
            settle();
            two_copies.push(copy(&path, folder.path(), &["0", "1"]));
        }
        let (duckdb, one, two) = (median(duckdb_times), median(one_times), median(two_times));
        println!("  DuckDB, one core            {:>8.2} s", duckdb.as_secs_f64());
        println!(
            "  import, one core            {:>8.2} s   {}",
            one.as_secs_f64(),
            times(duckdb, one, "DuckDB")
        );
        println!(
            "  import, two cores           {:>8.2} s   {}",
            two.as_secs_f64(),
            times(one, two, "one core")
        );
        // What this machine allows: a second core stores no faster than its disk and memory take it.
        let (one, two) = (median(one_copies), median(two_copies));
        println!(
            "  a copy stored, two cores    {:>8.2} s   {}",
            two.as_secs_f64(),
            times(one, two, "one core")
        );
    }
    bare();
}

/// A server with a user.
struct Importer {
    _server: Server,
    visitor: Visitor,
    _data: TempDir,
}

impl Importer {
    /// On these cores only.
    async fn start(cores: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        let server = Server::start_on(data.path(), cores);
        let mut visitor = Visitor::new(&server.origin);
        visitor.sign_up("mira@example.org").await;
        Self { _server: server, visitor, _data: data }
    }

    /// From the answer to the upload until both outputs can be downloaded. The import is deleted afterwards.
    async fn import(&self, file: &[u8]) -> Duration {
        let at = self.visitor.upload("rows.csv", file).await;
        let begun = Instant::now();
        let panel = self.visitor.wait_for_state(&at, "Completed").await;
        let taken = begun.elapsed();
        let (processed, failed) = panel.counts();
        assert_eq!((processed + failed, failed), (ROWS as u64, ROWS as u64 / 1_000));
        self.visitor.post_form(&format!("{at}/delete"), &[]).await;
        taken
    }
}

/// Lets the system store what was written before: DuckDB does not wait for that, and the next to be measured would.
fn settle() {
    assert!(Command::new("sync").status().is_ok_and(|status| status.success()));
}

fn duckdb_reads(packages: &Path, source: &Path, options: &str, folder: &Path) -> Duration {
    let output = Command::new("taskset")
        .args(["-c", "0", "python3", "-c", PROGRAM])
        .arg(source)
        .arg(options)
        .arg(folder)
        .env("PYTHONPATH", packages)
        .output()
        .unwrap();
    let seconds = String::from_utf8(output.stdout).unwrap();
    let Ok(seconds) = seconds.trim().parse() else {
        panic!("{seconds}{}", String::from_utf8_lossy(&output.stderr));
    };
    Duration::from_secs_f64(seconds)
}

/// Copies equal parts of the file, each on one of the cores to a file of its own, and waits until they are stored, as an
/// import does.
fn copy(source: &Path, folder: &Path, cores: &[&str]) -> Duration {
    let blocks = fs::metadata(source).unwrap().len().div_ceil(MIB).div_ceil(cores.len() as u64);
    let begun = Instant::now();
    let copies: Vec<_> = cores
        .iter()
        .enumerate()
        .map(|(number, core)| {
            Command::new("taskset")
                .args(["-c", core, "dd", "bs=1M", "conv=fdatasync", "status=none"])
                .arg(format!("if={}", source.display()))
                .arg(format!("of={}", folder.join(format!("copy-{number}")).display()))
                .args([format!("skip={}", blocks * number as u64), format!("count={blocks}")])
                .spawn()
                .unwrap()
        })
        .collect();
    for mut copy in copies {
        assert!(copy.wait().unwrap().success());
    }
    let taken = begun.elapsed();
    for number in 0..cores.len() {
        fs::remove_file(folder.join(format!("copy-{number}"))).unwrap();
    }
    taken
}

/// The pass that only finds records and counts fields.
fn bare() {
    let file = plain();
    let layout = Layout::read(&file[..1_000], false, 1_000).unwrap();
    let records = &file[layout.start.byte as usize..];
    let ours = fastest(|| {
        black_box(count_fields(&layout, records));
    });
    let csv = fastest(|| {
        let mut reader = csv::Reader::from_reader(&file[..]);
        let mut record = csv::ByteRecord::new();
        while reader.read_byte_record(&mut record).unwrap_or(true) {
            black_box(record.len());
        }
    });
    let line_ends = fastest(|| {
        black_box(memchr::memchr_iter(b'\n', &file).count());
    });
    let speed = |time: Duration| file.len() as f64 / MIB as f64 / time.as_secs_f64();
    println!("finding records and counting fields:");
    println!("  ours                        {:>8.0} MiB/s", speed(ours));
    println!("  csv::ByteRecord             {:>8.0} MiB/s   {}", speed(csv), times(csv, ours, "it"));
    println!(
        "  memchr, line ends           {:>8.0} MiB/s   {}",
        speed(line_ends),
        times(line_ends, ours, "it")
    );
}

fn fastest(mut work: impl FnMut()) -> Duration {
    let run = |_| {
        let begun = Instant::now();
        work();
        begun.elapsed()
    };
    (0..ROUNDS).map(run).min().unwrap_or_default()
}

fn times(reference: Duration, ours: Duration, name: &str) -> String {
    format!("{:.2} times as fast as {name}", reference.as_secs_f64() / ours.as_secs_f64())
}

/// Rows of which each thousandth lacks its last field.
fn rows(delimiter: char, note: impl Fn(usize) -> &'static str) -> String {
    let mut file =
        "id,first_name,last_name,email,city,amount,ordered_at,note\n".replace(',', &delimiter.to_string());
    for id in 0..ROWS {
        let (first, last, amount, day) = (id % 100, id % 1_000, id % 10_000, id % 28 + 1);
        let d = delimiter;
        let _ = write!(
            file,
            "{id}{d}Jo{first}{d}Smith{last}{d}jo{id}@example.org{d}Springfield{d}{amount}.50{d}2026-11-{day:02}"
        );
        if id % 1_000 != 999 {
            file.push(d);
            file.push_str(note(id));
        }
        file.push('\n');
    }
    file
}

fn plain() -> Vec<u8> {
    rows(',', |_| "left at the door").into_bytes()
}

fn with_line_ends() -> Vec<u8> {
    rows(',', |id| if id % 10 == 0 { "\"left\nat the door\"" } else { "left at the door" }).into_bytes()
}

fn semicolons() -> Vec<u8> {
    let file = rows(';', |_| "near M?nchen").into_bytes();
    // The letter is one byte in windows-1252.
    file.into_iter().map(|byte| if byte == b'?' { 0xfc } else { byte }).collect()
}
