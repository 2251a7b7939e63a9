//! S3 servers for tests: moto in a process of its own for each (`tests/s3/moto_server.py`), and one SeaweedFS for all
//! (`tests/s3/seaweedfs.py`), in which each has another prefix.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use runboard::base::{
    config::{BucketConfig, StorageLinks},
    tls,
};
use url::Url;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What stands in front of all names of the bucket that tests use.
const PREFIX: &str = "of/runboard";

const BUCKET: &str = "files";

/// A server, or a part of one that several tests share.
pub struct S3Server {
    /// None if others use it, too.
    process: Option<Process>,
    http: reqwest::Client,
    pub origin: Url,
    /// In front of all names of the test's objects.
    prefix: String,
}

/// Ends with this value.
struct Process {
    child: Child,
    said: BufReader<ChildStdout>,
}

/// Starts what is in `tests/s3/`, which ends with this process at the latest.
fn start(script: &str) -> (Process, Url) {
    let python = Path::new(ROOT).join("target/s3/bin/python");
    assert!(python.is_file(), "The S3 servers are missing. `make setup` installs them.");
    let mut command = Command::new(python);
    command.arg(Path::new(ROOT).join("tests/s3").join(script));
    // It ends with its standard input, of which this process holds the other end.
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let mut port = String::new();
    assert!(said.read_line(&mut port).unwrap() > 0, "the S3 server prints its port");
    let origin = Url::parse(&format!("http://127.0.0.1:{}", port.trim())).unwrap();
    (Process { child, said }, origin)
}

impl S3Server {
    /// A moto of its own. It does not check signatures.
    pub async fn start() -> Self {
        let (process, origin) = start("moto_server.py");
        Self::at(origin, PREFIX.to_owned(), Some(process))
    }

    /// A part of the SeaweedFS of all tests. It checks signatures.
    pub fn seaweedfs() -> Self {
        // Not one for each: it takes seconds to start, and much memory.
        static SHARED: OnceLock<(Process, Url)> = OnceLock::new();
        static PARTS: AtomicUsize = AtomicUsize::new(0);
        let (_, origin) = SHARED.get_or_init(|| start("seaweedfs.py"));
        let part = PARTS.fetch_add(1, Ordering::SeqCst);
        Self::at(origin.clone(), format!("{part}/of/runboard"), None)
    }

    fn at(origin: Url, prefix: String, process: Option<Process>) -> Self {
        tls::install();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { process, http, origin, prefix }
    }

    /// Settings for its bucket.
    pub fn config(&self) -> BucketConfig {
        BucketConfig { prefix: self.prefix.clone(), ..config_at(&self.origin) }
    }

    /// The same for the real program.
    pub fn configure<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env("RUNBOARD_STORAGE_URL", format!("s3://{BUCKET}/{}", self.prefix)).envs(aws(&self.origin))
    }

    /// The names of all objects, without the prefix.
    pub async fn names(&self) -> Vec<String> {
        let front = format!("{}/", self.prefix);
        let (mut names, mut query) = (Vec::new(), format!("list-type=2&prefix={front}"));
        loop {
            let list = self.ask(&query).await;
            names.extend(between(&list, "<Key>", "</Key>").iter().map(|name| name.replacen(&front, "", 1)));
            let [token] = &between(&list, "<NextContinuationToken>", "</NextContinuationToken>")[..] else {
                return names;
            };
            let token = url::form_urlencoded::byte_serialize(token.as_bytes()).collect::<String>();
            query = format!("list-type=2&prefix={front}&continuation-token={token}");
        }
    }

    /// Makes all objects older. Only a server of the test's own can.
    pub fn age(&mut self, by: Duration) {
        let process = self.process.as_mut().expect("a moto of its own");
        writeln!(process.child.stdin.as_mut().unwrap(), "{}", by.as_secs()).unwrap();
        let mut done = String::new();
        assert!(process.said.read_line(&mut done).unwrap() > 0, "the S3 server answers");
    }

    /// How many uploads have begun and were neither finished nor abandoned.
    pub async fn unfinished_uploads(&self) -> usize {
        let key = format!("<Key>{}/", self.prefix);
        let uploads = between(&self.ask("uploads").await, "<Upload>", "</Upload>");
        uploads.iter().filter(|upload| upload.contains(&key)).count()
    }

    async fn ask(&self, query: &str) -> String {
        let mut url = self.origin.join(BUCKET).unwrap();
        url.set_query(Some(query));
        let answer = self.http.get(url).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        answer.text().await.unwrap()
    }
}

/// Settings for the bucket of a server that is reached at `origin`.
pub fn config_at(origin: &Url) -> BucketConfig {
    let aws = aws(origin).into_iter().map(|(name, value)| (name.to_owned(), value.into()));
    BucketConfig {
        bucket: BUCKET.to_owned(),
        prefix: PREFIX.to_owned(),
        links: StorageLinks::Through,
        aws: aws.collect(),
    }
}

/// The variables of AWS for a server that is reached at `origin`.
pub fn aws(origin: &Url) -> [(&'static str, String); 5] {
    [
        ("AWS_ENDPOINT_URL", origin.as_str().trim_end_matches('/').to_owned()),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "key".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
    ]
}

/// What stands between each `from` and the next `to`.
fn between(text: &str, from: &str, to: &str) -> Vec<String> {
    text.split(from).skip(1).filter_map(|rest| rest.split(to).next()).map(str::to_owned).collect()
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
