//! The files of a data folder go to a bucket, with the database or without it.

use std::{fs, path::Path, process::Command};

use runboard::{
    base::ids::ImportId,
    files::{Key, Storage},
};
use tempfile::TempDir;

use super::on_sqlite;
use crate::{
    packed::pack::gzip,
    start_and_stop::refusal,
    support::{
        binary::{Binary, run, runboard},
        database, files_under,
        s3::{S3Server, aws},
        visitor::Visitor,
    },
};

const BUCKET: &str = "s3://files/of/runboard";

fn moving(mut command: Command, server: &S3Server) -> Command {
    command.args(["move", "--files-to", BUCKET]).env("RUST_LOG", "off").envs(aws(&server.origin));
    command
}

/// The program with its files in the bucket.
fn in_bucket(mut command: Command, server: &S3Server) -> Command {
    server.configure(&mut command).env("RUST_LOG", "off");
    command
}

/// A user of a data folder, and what can be downloaded there.
struct User {
    visitor: Visitor,
    imports: Vec<String>,
    downloads: Vec<(String, Vec<u8>)>,
}

impl User {
    /// Imports a plain file whose parts are larger than a part of an upload, a packed one and one that is decoded.
    async fn of(command: &mut Command) -> Self {
        let mut server = Binary::start(command);
        let mut visitor = Visitor::new(&server.origin);
        visitor.sign_up("mira@example.org").await;
        let rows = (0..500_000).map(|n| if n % 10 == 9 { format!("{n}\n") } else { format!("{n},paid\n") });
        let orders: String = ["id,state\n".to_owned()].into_iter().chain(rows).collect();
        assert!(orders.len() > 5 << 20);
        let utf16: Vec<u8> =
            "\u{feff}id,name\n1,Köln\n2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut imports = Vec::new();
        for (name, bytes) in [
            ("orders.csv", orders.into_bytes()),
            ("orders.csv.gz", gzip(b"id,price\n1,2\n3\n")),
            ("utf16.csv", utf16),
        ] {
            let import = visitor.upload(name, bytes).await;
            visitor.wait_for_state(&import, "Completed").await;
            imports.push(import);
        }
        let mut user = Self { visitor, imports, downloads: Vec::new() };
        user.downloads = user.download().await;
        server.terminate();
        server.wait();
        user
    }

    async fn download(&self) -> Vec<(String, Vec<u8>)> {
        let mut downloads = Vec::new();
        for import in &self.imports {
            for file in ["processed.csv", "failed.csv", "failed.csv?as=source"] {
                let path = format!("{import}/{file}");
                let bytes = self.visitor.download(&path).await;
                downloads.push((path, bytes));
            }
        }
        downloads
    }

    /// Everything is as it was, at a server with other places.
    async fn goes_on(&mut self, command: &mut Command) {
        let server = Binary::start(command);
        self.visitor.origin.clone_from(&server.origin);
        for ((path, bytes), (_, before)) in self.download().await.iter().zip(&self.downloads) {
            assert!(bytes == before, "{path}");
        }
        // It reads the uploads again.
        for import in &self.imports {
            let again = self.visitor.post_form(&format!("{import}/retry"), &[]).await;
            let again = Visitor::import_in(again).await;
            let counts = self.visitor.wait_for_state(&again, "Completed").await.counts();
            assert_eq!(counts, self.visitor.panel(import).await.counts());
        }
        server.kill();
    }
}

/// The number in front of `words`.
fn number_before(told: &str, words: &str) -> usize {
    let before = told.split(words).next().filter(|before| before.len() < told.len());
    let number = before.and_then(|before| before.split_whitespace().last());
    number.unwrap_or_else(|| panic!("{words}: {told}")).parse().unwrap()
}

#[tokio::test]
async fn all_files_of_a_folder_go_to_a_bucket_also_if_the_first_attempt_breaks_off() {
    let (data, server) = (tempfile::tempdir().unwrap(), S3Server::start().await);
    let program = || {
        let mut command = runboard(data.path());
        command.env("RUST_LOG", "off");
        command
    };
    let mut user = User::of(&mut program()).await;
    let files = data.path().join("files");
    let count = files_under(&files);

    // An output that cannot be read. The uploads are copied before it.
    let outputs = fs::read_dir(files.join("runs")).unwrap().map(|entry| entry.unwrap().path());
    let (output, aside) = (outputs.min().unwrap(), data.path().join("aside"));
    fs::rename(&output, &aside).unwrap();
    fs::create_dir(&output).unwrap();
    let line = refusal(&run(&mut moving(program(), &server)));
    assert!(line.starts_with(&format!("The files could not all be copied to {BUCKET}: ")), "{line}");
    let line = refusal(&run(&mut in_bucket(program(), &server)));
    assert!(line.starts_with(&format!("{BUCKET} has only a part of the files")), "{line}");
    fs::remove_dir(&output).unwrap();
    fs::rename(&aside, &output).unwrap();
    let mut unchanged = Binary::start(&mut program());
    unchanged.terminate();
    unchanged.wait();

    let told = run(&mut moving(program(), &server));
    assert!(told.status.success(), "{told:?}");
    let told = String::from_utf8(told.stdout).unwrap();
    assert_eq!(number_before(&told, " files of "), count, "{told}");
    assert_eq!(number_before(&told, " bytes, each with its size"), bytes_under(&files), "{told}");
    let there_before = number_before(&told, " of them were there from an earlier attempt");
    assert!((3..count).contains(&there_before), "{told}");
    assert!(!told.contains("not in the data folder"), "{told}");
    let objects = server.names().await;
    let stored = objects.iter().filter(|name| name.starts_with("uploads/") || name.starts_with("runs/"));
    assert_eq!(stored.count(), count, "{objects:?}");
    assert_eq!(files_under(&files), count, "the folder's files stay");

    let line = refusal(&run(&mut program()));
    assert!(line.starts_with("The database is not the one of the data folder "), "{line}");
    let line = refusal(&run(&mut moving(in_bucket(program(), &server), &server)));
    assert!(line.starts_with(&format!("The files are in {BUCKET} already")), "{line}");
    user.goes_on(&mut in_bucket(program(), &server)).await;
}

fn bytes_under(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { bytes_under(&path) } else { fs::read(path).unwrap().len() }).sum()
}

#[tokio::test]
async fn the_database_and_the_files_move_together() {
    let [data, folder] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (url, server) = (database::on_postgres(folder.path()), S3Server::start().await);
    let program = || on_sqlite(data.path());
    let mut user = User::of(&mut program()).await;
    let mut command = moving(program(), &server);
    let output = run(command.args(["--to", &url]));
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("Set RUNBOARD_DATABASE_URL and RUNBOARD_STORAGE_URL to them"), "{told}");

    let on_postgres = |mut command: Command| {
        command.env("RUNBOARD_DATABASE_URL", &url);
        command
    };
    let mixtures = [in_bucket(program(), &server), on_postgres(program()), program()];
    for mut mixture in mixtures {
        let line = refusal(&run(&mut mixture));
        assert!(line.starts_with("The database is not the one of the "), "{line}");
    }
    user.goes_on(&mut on_postgres(in_bucket(program(), &server))).await;
}

#[tokio::test]
async fn a_bucket_that_is_not_free_and_a_folder_in_use_are_refused() {
    let (data, server) = (tempfile::tempdir().unwrap(), S3Server::start().await);
    let program = || runboard(data.path());
    let refused = || refusal(&run(&mut moving(program(), &server)));
    let running = Binary::start(&mut program());
    let line = refused();
    assert!(line.contains("is in use by another Runboard"), "{line}");
    running.kill();

    let other = tempfile::tempdir().unwrap();
    let storage = Storage::connect(&server.config(), other.path()).await.unwrap();
    let mut file = storage.receive(Key::upload(ImportId::generate()), 0).await.unwrap();
    file.write(b"a,b\n1,2\n").await.unwrap();
    file.keep().await.unwrap();
    assert_eq!(
        refused(),
        format!("{BUCKET} has stored files already. Set --files-to to another bucket or prefix.")
    );
    storage.bucket().unwrap().set_installation("another").await.unwrap();
    let line = refused();
    assert_eq!(
        line,
        format!("{BUCKET} belongs to another installation. Set --files-to to another bucket or prefix.")
    );
    assert_eq!(server.names().await.len(), 2, "nothing was written");

    let at = |data: &TempDir, address: &str| {
        let mut command = runboard(data.path());
        refusal(&run(command.args(["move", "--files-to", address]).env("RUST_LOG", "off")))
    };
    let line = at(&data, "https://files.example.org/secret?key=secret");
    assert!(line.starts_with("--files-to is \"https:...\": it can be the address of a bucket"), "{line}");
    let neither = run(program().arg("move"));
    assert_eq!(neither.status.code(), Some(3), "{neither:?}");
    Binary::start(&mut program()).kill();
}
