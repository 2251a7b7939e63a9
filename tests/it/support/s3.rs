//! An S3 server for the test: moto in a process of its own (`tests/s3/server.py`).

use std::{
    fmt::Debug,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use runboard::base::{
    config::{BucketConfig, StorageLinks},
    tls,
};
use url::Url;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// How long the server may take to show what it was told.
const DEADLINE: Duration = Duration::from_secs(60);

/// What stands in front of all names of the bucket that tests use.
const PREFIX: &str = "of/runboard";

const BUCKET: &str = "files";

/// Has one bucket.
pub struct S3Server {
    process: Child,
    said: BufReader<ChildStdout>,
    http: reqwest::Client,
    pub origin: Url,
}

impl S3Server {
    pub async fn start() -> Self {
        let python = Path::new(ROOT).join("target/s3/bin/python");
        assert!(python.is_file(), "moto is missing. `make setup` installs it.");
        let mut command = Command::new(python);
        command.arg(Path::new(ROOT).join("tests/s3/server.py"));
        // It ends with this process, which holds the other end.
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        let mut port = String::new();
        assert!(said.read_line(&mut port).unwrap() > 0, "the S3 server prints its port");
        let origin = Url::parse(&format!("http://127.0.0.1:{}", port.trim())).unwrap();
        tls::install();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let server = Self { process, said, http, origin };
        let made = server.http.put(server.origin.join(BUCKET).unwrap()).send().await.unwrap();
        assert!(made.status().is_success(), "{made:?}");
        server
    }

    /// Settings for its bucket.
    pub fn config(&self) -> BucketConfig {
        config_at(&self.origin)
    }

    /// The same for the real program.
    pub fn configure<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env("RUNBOARD_STORAGE_URL", format!("s3://{BUCKET}/{PREFIX}")).envs(aws(&self.origin))
    }

    /// The names of all objects, without the prefix.
    pub async fn names(&self) -> Vec<String> {
        let front = format!("{PREFIX}/");
        let (mut names, mut query) = (Vec::new(), "list-type=2".to_owned());
        loop {
            let list = self.ask(&query).await;
            names.extend(between(&list, "<Key>", "</Key>").iter().map(|name| name.replacen(&front, "", 1)));
            let [token] = &between(&list, "<NextContinuationToken>", "</NextContinuationToken>")[..] else {
                return names;
            };
            let token = url::form_urlencoded::byte_serialize(token.as_bytes()).collect::<String>();
            query = format!("list-type=2&continuation-token={token}");
        }
    }

    /// Makes all objects older.
    pub fn age(&mut self, by: Duration) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{}", by.as_secs()).unwrap();
        let mut done = String::new();
        assert!(self.said.read_line(&mut done).unwrap() > 0, "the S3 server answers");
    }

    /// How many uploads have begun and were neither finished nor abandoned.
    pub async fn unfinished_uploads(&self) -> usize {
        between(&self.ask("uploads").await, "<UploadId>", "</UploadId>").len()
    }

    async fn ask(&self, query: &str) -> String {
        let mut url = self.origin.join(BUCKET).unwrap();
        url.set_query(Some(query));
        self.http.get(url).send().await.unwrap().text().await.unwrap()
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

/// Waits until `look` returns `expected`.
pub async fn until_seen<T: Debug + PartialEq>(what: &str, look: impl AsyncFn() -> T, expected: T) {
    let start = Instant::now();
    loop {
        let seen = look().await;
        if seen == expected {
            return;
        }
        assert!(start.elapsed() < DEADLINE, "waited for {what}: expected {expected:?}, last seen {seen:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What stands between each `from` and the next `to`.
fn between(text: &str, from: &str, to: &str) -> Vec<String> {
    text.split(from).skip(1).filter_map(|rest| rest.split(to).next()).map(str::to_owned).collect()
}

impl Drop for S3Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
