//! Who may read the files and the database, and who may make accounts in them.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use sqlx::AnyPool;

use super::{import, used};
use crate::{
    start_and_stop::{account, refusal},
    support::{
        binary::{Binary, run, runboard},
        database,
        visitor::Visitor,
    },
};

/// `path` and everything below it, with their modes.
fn modes(path: &Path) -> Vec<(PathBuf, u32)> {
    let mut found = vec![(path.to_owned(), fs::metadata(path).unwrap().permissions().mode() & 0o777)];
    if path.is_dir() {
        found.extend(fs::read_dir(path).unwrap().flat_map(|entry| modes(&entry.unwrap().path())));
    }
    found
}

#[tokio::test]
async fn nobody_else_can_read_files_and_database_whatever_the_umask() {
    if database::is_skipped_on_postgres("the database's files are Postgres's own") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let program = runboard(&data);
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 000; exec \"$0\""]).arg(program.get_program()).env_clear();
    shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let server = Binary::start(&mut shell);
    let mut visitor = Visitor::new(&server.origin);
    visitor.sign_up("mira@example.org").await;
    import(&visitor, 1).await;
    let modes = modes(&data);
    for name in ["data", "lock", "installation", "runboard.db", "runboard.db-wal", "files", "uploads", "runs"]
    {
        assert!(modes.iter().any(|(path, _)| path.ends_with(name)), "{name} is looked at: {modes:?}");
    }
    assert!(modes.iter().filter(|(path, _)| path.is_file()).count() >= 8, "{modes:?}");
    for (path, mode) in &modes {
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(*mode, expected, "{} has mode {mode:o}", path.display());
    }
    server.kill();
}

#[tokio::test]
async fn a_data_folder_that_others_can_open_is_said_at_start() {
    let data = tempfile::tempdir().unwrap();
    let start = |mode: u32| {
        fs::set_permissions(data.path(), fs::Permissions::from_mode(mode)).unwrap();
        let mut command = runboard(data.path());
        // Refused for another reason, so that it ends by itself.
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        command.env("RUNBOARD_LISTEN", taken.local_addr().unwrap().to_string());
        String::from_utf8(run(&mut command).stderr).unwrap()
    };
    let log = start(0o755);
    assert!(
        log.contains("WARN") && log.contains("other users of this machine can open the data folder"),
        "{log}"
    );
    assert!(log.contains("(mode 755)"), "{log}");
    assert!(!start(0o700).contains("other users"), "nothing to say of a closed one");
}

#[test]
fn accounts_of_a_folder_without_data_are_refused_and_nothing_is_made() {
    if database::is_skipped_on_postgres("there a database exists before Runboard") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for arguments in [&["list"][..], &["add", "mira@example.org"], &["reset", "mira@example.org"]] {
        let line = refusal(&account(&data, arguments, "correct horse"));
        assert!(line.starts_with("No Runboard has been started with "), "{line}");
        assert!(line.contains(&data.join("runboard.db").display().to_string()), "{line}");
        assert!(!data.exists(), "{arguments:?} made a data folder");
    }
    // A file that no Runboard has used is not a database either.
    fs::create_dir(&data).unwrap();
    fs::write(data.join("runboard.db"), "").unwrap();
    let line = refusal(&account(&data, &["list"], ""));
    assert!(line.starts_with("No Runboard has been started with "), "{line}");
    assert_eq!(fs::metadata(data.join("runboard.db")).unwrap().len(), 0, "nothing was written to it");
}

#[tokio::test]
async fn accounts_of_another_version_are_left_to_its_server() {
    let data = tempfile::tempdir().unwrap();
    used(data.path(), 1).await;
    let url = database::url(data.path());
    sqlx::any::install_default_drivers();
    let database = AnyPool::connect(&url).await.unwrap();
    let remove = "DELETE FROM _sqlx_migrations WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)";
    sqlx::query(remove).execute(&database).await.unwrap();
    database.close().await;
    let line = refusal(&account(data.path(), &["list"], ""));
    assert!(line.contains("was last used by another version of Runboard"), "{line}");
}
