//! What an operator of several replicas is told, by their logs and by `/readyz`. Uses the real program.

use std::{
    fs::{self, File},
    process::Command,
};

use sqlx::AnyPool;
use tempfile::TempDir;

use crate::{
    inngest_api,
    start_and_stop::refusal,
    support::{
        binary::{Binary, run, runboard},
        database,
        s3::S3Server,
        until, until_seen,
        visitor::Visitor,
    },
};

/// A database and a bucket, and a folder with the data folders and the logs of the replicas.
struct World {
    url: String,
    bucket: S3Server,
    folder: TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { url: database::on_postgres(folder.path()), bucket: S3Server::start().await, folder }
    }

    /// The program with the data folder of this name.
    fn program(&self, name: &str) -> Command {
        let mut command = runboard(&self.folder.path().join(name));
        self.bucket.configure(&mut command).env("RUNBOARD_DATABASE_URL", &self.url);
        command
    }

    /// Starts a replica whose log is that of this name.
    fn start(&self, name: &str, configure: impl FnOnce(&mut Command)) -> Binary {
        let mut command = self.program(name);
        command.stderr(File::create(self.folder.path().join(format!("{name}.log"))).unwrap());
        configure(&mut command);
        Binary::start(&mut command)
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(format!("{name}.log"))).unwrap()
    }
}

#[tokio::test]
async fn the_log_and_readyz_say_which_replica_leads() {
    let world = World::new().await;
    let [first, second] = ["first", "second"].map(|name| (name, world.start(name, |_| {})));
    let leads = async |replica: &Binary| {
        let body = Visitor::new(&replica.origin).get("/readyz").await.text().await.unwrap();
        body.lines().last().unwrap_or_default().to_owned()
    };
    let look = || async {
        let said = [leads(&first.1).await, leads(&second.1).await];
        match said.each_ref().map(String::as_str) {
            ["leads: yes", "leads: no"] => Ok(true),
            ["leads: no", "leads: yes"] => Ok(false),
            _ => Err(said),
        }
    };
    // Either, because on a busy machine the lease of the first one may end.
    let is_first = inngest_api::until("one of them to lead", look).await;
    let ((leader, mut leading), (other, remaining)) =
        if is_first { (first, second) } else { (second, first) };
    leading.terminate();
    assert_eq!(leading.wait().0.code(), Some(0));
    until_seen("the other one to lead", async || leads(&remaining).await, "leads: yes".to_owned()).await;

    let changes = |name: &str| {
        let log = world.log(name);
        let count = |line: &str| log.matches(line).count();
        (count("this replica leads now"), count("this replica does not lead any more"))
    };
    let (begun, ended) = changes(leader);
    assert!(begun > 0 && begun == ended, "{}", world.log(leader));
    let is_leading = || {
        let (begun, ended) = changes(other);
        begun == ended + 1
    };
    until("the log of the other one to say so", is_leading).await;
}

#[tokio::test]
async fn replicas_whose_public_addresses_differ_name_both_of_them() {
    let world = World::new().await;
    // A program of the version before, which does not write its address.
    sqlx::any::install_default_drivers();
    let pool = AnyPool::connect(&world.url).await.unwrap();
    let older = "INSERT INTO replica (id, folder, seen_at) VALUES ('older', 'older', CAST(9e15 AS BIGINT))";
    sqlx::query(older).execute(&pool).await.unwrap();
    pool.close().await;
    let start = |name: &str, public_url: &str| {
        world.start(name, |command| {
            command.env("RUNBOARD_PUBLIC_URL", public_url);
        })
    };
    let count = |name: &str, line: &str| world.log(name).matches(line).count();
    // More than once if a lease ends between.
    let is_told = |name: &str, here: &str, there: &str| {
        count(name, &format!("RUNBOARD_PUBLIC_URL is {here} here and {there} at another replica")) >= 1
    };
    let (one, other) = ("http://one.example.org", "http://other.example.org");

    let _first = start("first", one);
    // The same address.
    let _second = start("second", "http://ONE.example.org/");
    assert_eq!((count("first", "RUNBOARD_PUBLIC_URL"), count("second", "RUNBOARD_PUBLIC_URL")), (0, 0));
    let _third = start("third", other);
    assert!(is_told("third", other, one), "before it is ready: {}", world.log("third"));
    for name in ["first", "second"] {
        until("the others to notice it", || is_told(name, one, other)).await;
    }

    let _without = world.start("without", |_| {});
    assert!(is_told("without", "not set", one), "{}", world.log("without"));
    until("the others to notice it", || is_told("third", other, "not set")).await;
}

#[tokio::test]
async fn adopt_needs_all_replicas_stopped_and_no_data_folder_of_theirs() {
    let world = World::new().await;
    let mut replica = world.start("replica", |_| {});
    let adopt = |name: &str| run(world.program(name).arg("adopt").env("RUST_LOG", "off"));
    // On the machine of the replica, and on another one.
    for (name, what) in [("replica", "The data folder "), ("elsewhere", "The database ")] {
        let line = refusal(&adopt(name));
        let said = "is in use by another Runboard. Stop every Runboard that uses this database";
        assert!(line.starts_with(what) && line.contains(said), "{line}");
        assert!(!line.contains("RUNBOARD_"), "no setting is a way out: {line}");
    }
    replica.terminate();
    assert_eq!(replica.wait().0.code(), Some(0));
    let adopted = adopt("nowhere-yet");
    assert!(adopted.status.success(), "{adopted:?}");
    let said = String::from_utf8(adopted.stdout).unwrap();
    assert!(said.starts_with("The database and the files in s3://"), "{said}");
}

#[tokio::test]
async fn a_replica_that_has_lost_its_leases_names_the_usual_causes() {
    let world = World::new().await;
    let _first = world.start("first", |_| {});
    let copy = world.folder.path().join("copy");
    fs::create_dir(&copy).unwrap();
    fs::copy(world.folder.path().join("first/replica"), copy.join("replica")).unwrap();
    let _copy = world.start("copy", |_| {});
    let hint = "the machine was paused, or another replica has a copy of this one's data folder";
    until("the first one to be thrown out", || world.log("first").contains(hint)).await;
}
