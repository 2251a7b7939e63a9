//! The token that is remembered.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{Desk, Ended, client, ended};
use crate::support::{
    free_address,
    host::{Host, Reply},
    terminal::OnTerminal,
};

fn saved_in(home: &Path) -> PathBuf {
    home.join(".config/runboard/login.json")
}

/// Logs in with a token on standard input.
async fn login(desk: &Desk, token: &str, words: &[&str]) -> Ended {
    let input = desk.file("token", token);
    let mut command = client(desk.folder.path(), &[&["login"], words].concat());
    command.stdin(fs::File::open(&input).unwrap());
    let done = ended(command).await;
    fs::remove_file(input).unwrap();
    done
}

#[tokio::test]
async fn a_token_is_checked_and_kept_for_its_owner_alone() {
    let desk = Desk::new().await;
    let done = login(&desk, &format!("{}\nmore\n", desk.program.secret()), &[&desk.app.origin]).await;
    let path = saved_in(desk.folder.path());
    let origin = &desk.app.origin;
    assert_eq!(
        done.quiet(),
        (
            0,
            format!(
                "Logged in to {origin} as mira@example.org. The token allows: read, import. It is saved in {}.\n",
                path.display()
            )
            .as_str()
        )
    );
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    let saved: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(saved, json!({ "url": format!("{origin}/"), "token": desk.program.secret() }));
    let entries = fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(entries, 1, "nothing unfinished is left");

    // Without any variable.
    let done = ended(client(desk.folder.path(), &["imports"])).await;
    assert_eq!(done.quiet().0, 0);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let done = ended(client(desk.folder.path(), &["imports"])).await;
    assert!(done.err.starts_with("Others can read your token. Run: chmod 600 "), "{done:?}");

    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    let done = login(&desk, desk.program.secret(), &[]).await;
    assert_eq!(done.quiet().0, 0, "the address is that of the last login");
    assert_ne!(fs::metadata(&path).unwrap().ino(), inode, "it is replaced, not written into");
    assert_eq!(mode(&path), 0o600);

    let done = ended(client(desk.folder.path(), &["logout"])).await;
    assert!(done.quiet().1.starts_with("The saved token is forgotten here."), "{done:?}");
    assert!(!path.exists());
    let done = ended(client(desk.folder.path(), &["logout"])).await;
    assert_eq!(done.quiet(), (0, "There is no saved token.\n"));
    desk.stop().await;
}

#[tokio::test]
async fn a_wrong_token_is_refused_and_nothing_is_written() {
    let desk = Desk::new().await;
    for token in [format!("{}0", desk.program.secret()), "rb_\u{7}".to_owned(), String::new()] {
        let done = login(&desk, &token, &[&desk.app.origin]).await;
        assert_eq!((done.code, done.out.as_str()), (Some(3), ""), "{token:?}: {done:?}");
        assert_eq!(done.err.lines().count(), 1, "{done:?}");
        assert!(!desk.folder.path().join(".config").exists(), "{token:?}");
    }
    // Something that is no Runboard.
    let host = Host::start(|_, _| Reply::file("<!doctype html>")).await;
    let done = login(&desk, "rb_x", &[&host.url("")]).await;
    assert_eq!((done.code, done.err.lines().count()), (Some(3), 1), "{done:?}");
    assert!(!desk.folder.path().join(".config").exists());
    desk.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_an_address_names_where_it_comes_from() {
    let desk = Desk::new().await;
    let nobody = format!("http://{}", free_address());
    let input = desk.file("token", "rb_x");
    let said = async |words: &[&str], variable: Option<&str>| {
        let mut command = client(desk.folder.path(), words);
        command.stdin(fs::File::open(&input).unwrap());
        if let Some(url) = variable {
            command.env("RUNBOARD_URL", url);
        }
        let done = ended(command).await;
        assert_eq!((done.code, done.out.as_str()), (Some(3), ""), "{words:?}: {done:?}");
        done.err
    };
    let allowed = "it can be an http or https address without user, path and query, \
        such as https://runboard.example.org.\n";
    let login = ["login", "example.org"];
    assert_eq!(said(&login, None).await, format!("The address is \"example.org\": {allowed}"));
    assert_eq!(
        said(&["login"], Some("example.org")).await,
        format!("RUNBOARD_URL is \"example.org\": {allowed}")
    );
    assert_eq!(
        said(&["imports", "--url", "example.org"], None).await,
        format!("--url is \"example.org\": {allowed}")
    );

    let reach = |from: &str| format!("Cannot reach {nobody}{from}: Connection refused.\n");
    assert_eq!(said(&["login", &nobody], None).await, reach(""));
    assert_eq!(said(&["login"], Some(&nobody)).await, reach(" (from RUNBOARD_URL)"));
    fs::create_dir_all(desk.folder.path().join(".config/runboard")).unwrap();
    let saved = json!({ "url": nobody, "token": "rb_x" });
    fs::write(saved_in(desk.folder.path()), saved.to_string()).unwrap();
    fs::set_permissions(saved_in(desk.folder.path()), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(said(&["login"], None).await, reach(" (from the last login)"));
    desk.stop().await;
}

#[tokio::test]
async fn a_terminal_does_not_show_the_token() {
    let desk = Desk::new().await;
    let command = client(desk.folder.path(), &["login", &desk.app.origin]);
    let mut program = OnTerminal::start(&command);
    program.until_shown("/account (it is not shown): ").await;
    program.types(&format!("{}\n", desk.program.secret()));
    let end = program.end().await;
    assert_eq!(end.code, Some(0), "{end:?}");
    assert!(!end.shown.contains("rb_"), "{end:?}");
    assert!(end.out.starts_with("Logged in to "), "{end:?}");
    fs::remove_file(saved_in(desk.folder.path())).unwrap();

    let mut program = OnTerminal::start(&command);
    program.until_shown("/account (it is not shown): ").await;
    program.presses_ctrl_c();
    let end = program.end().await;
    assert_eq!(end.code, Some(3), "{end:?}");
    assert!(end.shown.ends_with("Stopped. Nothing was saved.\r\n"), "{end:?}");
    assert!(!saved_in(desk.folder.path()).exists());
    desk.stop().await;
}

#[tokio::test]
async fn the_saved_token_is_only_for_the_server_that_it_was_saved_for() {
    let desk = Desk::new().await;
    login(&desk, desk.program.secret(), &[&desk.app.origin]).await;
    let host = Host::start(|_, _| Reply::file("{}")).await;
    let mut command = client(desk.folder.path(), &["imports"]);
    command.env("RUNBOARD_URL", host.url(""));
    let done = ended(command).await;
    assert_eq!(done.code, Some(3));
    assert!(
        done.err.starts_with(&format!("There is no token for {} (from RUNBOARD_URL). ", host.url(""))),
        "{done:?}"
    );
    assert_eq!(host.asked(), [] as [String; 0]);

    // A flag wins over the variable, and the variable over the file.
    let mut command = client(desk.folder.path(), &["imports", "--url", &desk.app.origin]);
    command.env("RUNBOARD_URL", host.url("")).env("RUNBOARD_TOKEN", "");
    assert_eq!(ended(command).await.quiet().0, 0);
    let mut command = client(desk.folder.path(), &["imports"]);
    command.env("RUNBOARD_TOKEN", "rb_wrong");
    assert_eq!(ended(command).await.code, Some(3));
    let mut command = client(desk.folder.path(), &["imports", "--token", desk.program.secret()]);
    command.env("RUNBOARD_TOKEN", "rb_wrong");
    assert_eq!(ended(command).await.quiet().0, 0);
    desk.stop().await;
}

#[tokio::test]
async fn the_file_is_where_xdg_says_and_a_broken_one_is_said() {
    let desk = Desk::new().await;
    let (elsewhere, home) = (tempfile::tempdir().unwrap(), desk.folder.path());
    let input = desk.file("token", desk.program.secret());
    let mut command = client(home, &["login", &desk.app.origin]);
    command.env("XDG_CONFIG_HOME", elsewhere.path()).stdin(fs::File::open(input).unwrap());
    assert_eq!(ended(command).await.quiet().0, 0);
    let saved = elsewhere.path().join("runboard/login.json");
    assert!(saved.is_file() && !home.join(".config").exists());

    fs::create_dir_all(home.join(".config/runboard")).unwrap();
    for content in ["", "{}", "[1]"] {
        fs::write(saved_in(home), content).unwrap();
        let done = ended(client(home, &["imports"])).await;
        assert_eq!(
            (done.code, done.err.lines().last().map(|line| line.contains("Run runboard login again"))),
            (Some(3), Some(true)),
            "{done:?}"
        );
    }
    fs::remove_file(saved_in(home)).unwrap();
    symlink("/dev/zero", saved_in(home)).unwrap();
    let done = ended(client(home, &["imports"])).await;
    assert!(done.err.contains("it is not what runboard login writes"), "{done:?}");
    desk.stop().await;
}
