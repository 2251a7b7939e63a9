//! Starting and stopping the real program, and managing accounts while it runs.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::fs::symlink,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{
    StreamExt,
    future::{join, join_all},
    stream,
};
use reqwest::{Method, StatusCode, header};
use sqlx::AnyPool;

use crate::support::{
    binary::{Binary, run, runboard},
    database, files_under, spawn_app, until_equal,
    visitor::Visitor,
};

/// The single line on standard error of a refused start.
pub fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let [line] = lines.as_slice() else { panic!("one line: {text}") };
    (*line).to_owned()
}

#[test]
fn a_second_process_on_the_same_data_folder_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let _server = Binary::start(&mut runboard(data.path()));
    let line = refusal(&run(&mut runboard(data.path())));
    let expected = format!("The data folder {} is in use by another Runboard.", data.path().display());
    assert!(line.starts_with(&expected), "{line}");
}

#[tokio::test]
async fn a_second_process_on_the_same_sqlite_file_is_refused_by_whatever_name() {
    if database::is_skipped_on_postgres("it is about SQLite's file") {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let mut first = Binary::start(&mut runboard(data.path()));
    let mut visitor = Visitor::new(&first.origin);
    visitor.sign_up("mira@example.org").await;
    let import = visitor.upload("a.csv", "a,b\n1,2\n").await;
    visitor.wait_for_state(&import, "Completed").await;

    let other = tempfile::tempdir().unwrap();
    let (link, folder) = (other.path().join("link.db"), other.path().join("folder"));
    symlink(data.path().join("runboard.db"), &link).unwrap();
    symlink(data.path(), &folder).unwrap();
    let urls = [
        database::in_file(data.path()),
        database::in_file(&folder),
        format!("sqlite://{}", link.display()),
        "sqlite:runboard.db".to_owned(),
    ];
    let second = |url: &str| {
        let mut command = runboard(&other.path().join("data"));
        command.current_dir(data.path()).env("RUNBOARD_DATABASE_URL", url).env("RUST_LOG", "off");
        command
    };
    let file = fs::canonicalize(data.path()).unwrap().join("runboard.db");
    let expected = format!("The database {} is in use by another Runboard", file.display());
    for url in &urls {
        let line = refusal(&run(&mut second(url)));
        assert!(line.starts_with(&expected), "{url}: {line}");
        assert!(line.contains("set RUNBOARD_DATABASE_URL to another file"), "{line}");
        // What works beside a server still does.
        let listed = run(second(url).args(["account", "list"]));
        assert!(listed.status.success(), "{url}: {listed:?}");
    }
    visitor.wait_for_state(&visitor.upload("b.csv", "a,b\n1,2\n").await, "Completed").await;

    first.terminate();
    first.wait();
    let line = refusal(&run(&mut second(&urls[0])));
    assert!(line.starts_with("The database is not the one of the data folder "), "the lock is free: {line}");
}

#[test]
fn a_port_in_use_stops_the_start_with_a_line() {
    let data = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let line = refusal(&run(runboard(data.path()).env("RUNBOARD_LISTEN", &address).env("RUST_LOG", "off")));
    assert!(line.starts_with(&format!("Cannot listen on {address}: ")), "{line}");
    assert!(line.ends_with("RUNBOARD_LISTEN sets the address."), "{line}");
}

#[test]
fn a_data_folder_that_cannot_be_written_stops_the_start_with_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    // Neither below a file, nor in a file system that only the kernel writes.
    for data in [file.join("data"), Path::new("/proc/runboard").to_owned(), Path::new("/proc").to_owned()] {
        let line = refusal(&run(runboard(&data).env("RUST_LOG", "off")));
        assert!(line.starts_with(&format!("The data folder {} cannot be used: ", data.display())), "{line}");
        assert!(line.ends_with("RUNBOARD_DATA_DIR sets it."), "{line}");
    }
}

fn rows(count: usize) -> String {
    let mut file = String::from("id,note\n");
    for id in 0..count {
        file.push_str(&format!("{id},a note that makes the row a little longer\n"));
    }
    file
}

#[tokio::test]
async fn a_stop_under_load_loses_nothing() {
    const ROWS: usize = 600_000;
    let data = tempfile::tempdir().unwrap();
    let mut server = Binary::start(&mut runboard(data.path()));
    let mut visitor = Visitor::new(&server.origin);
    visitor.sign_up("mira@example.org").await;
    let file = Bytes::from(rows(ROWS));
    let uploads = join_all((0..4).map(|number| {
        let (visitor, file) = (&visitor, file.clone());
        async move { visitor.upload(&format!("{number}.csv"), file).await }
    }));
    let imports = uploads.await;
    visitor
        .wait_for(&imports[0], "rows", |panel| {
            panel.runs.iter().any(|run| run.processed.parse::<u64>().is_ok_and(|rows| rows > 0))
        })
        .await;

    // An upload that has begun and continues for as long as the server allows, which is as long as a step may take.
    let endless = stream::repeat(Bytes::from("1,2\n")).then(|row| async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        row
    });
    let mut uploader = Visitor::new(&server.origin);
    uploader.cookie.clone_from(&visitor.cookie);
    let refused = tokio::spawn(async move { uploader.post_stream("cut.csv", endless).await });
    let incoming = data.path().join("files/incoming");
    until_equal("the upload to begin", || files_under(&incoming), 1).await;
    server.terminate();
    let answer = refused.await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers()["retry-after"], "5");
    // The sentence covers both files and addresses.
    let said = answer.text().await.unwrap();
    assert!(said.contains("Runboard is stopping. Nothing was stored; try again in a moment."), "{said}");
    let (status, took) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert_eq!(files_under(&incoming), 0);

    let server = Binary::start(&mut runboard(data.path()));
    visitor.origin.clone_from(&server.origin);
    for import in &imports {
        let panel = visitor.wait_for_state(import, "Completed").await;
        assert_eq!(panel.counts(), (ROWS as u64, 0));
    }
    let page = visitor.get("/").await.text().await.unwrap();
    assert!(!page.contains("cut.csv"));
    let first = visitor.download(&format!("{}/processed.csv", imports[3])).await;
    assert!(first == rows(ROWS).replace('\n', "\r\n").as_bytes(), "the rows, once and in order");
}

#[tokio::test]
async fn no_step_begins_once_the_server_stops() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let busy = app.busy().await;
    for _ in 0..4 {
        let import = visitor.upload("waits.csv", "a\n1\n").await;
        visitor.wait_for(&import, "its turn", |panel| panel.html.contains("Waiting for a free worker")).await;
    }
    let file =
        "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\na\n1\n\r\n--x--\r\n";
    let free_the_workers = async {
        let start = Instant::now();
        loop {
            let upload = visitor.request(Method::POST, "/imports").body(file);
            let upload = upload.header(header::CONTENT_TYPE, "multipart/form-data; boundary=x").send().await;
            // The server is stopping, or has stopped.
            if upload.map_or(true, |answer| answer.status() == StatusCode::SERVICE_UNAVAILABLE) {
                break;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "it takes uploads still");
        }
        drop(busy);
    };
    let (data, ()) = join(app.stop(), free_the_workers).await;
    let url = database::url(data.path());
    let database = AnyPool::connect(&url).await.unwrap();
    let steps: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM step").fetch_one(&database).await.unwrap();
    assert_eq!(steps, 0, "steps that began after the stop");
}

#[tokio::test]
async fn an_address_that_comes_while_the_server_stops_stays_in_its_field() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let busy = app.busy().await;
    let import = visitor.upload("waits.csv", "a\n1\n").await;
    visitor.wait_for(&import, "its turn", |panel| panel.html.contains("Waiting for a free worker")).await;
    let address = "ftp.example.org/a.csv?day=1&all";
    let refused = async {
        let start = Instant::now();
        loop {
            let answer = visitor.post_address(address).await;
            if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
                drop(busy);
                return answer.text().await.unwrap();
            }
            assert!(start.elapsed() < Duration::from_secs(60), "it takes addresses still");
        }
    };
    let (_, page) = join(app.stop(), refused).await;
    assert!(page.contains("name=\"url\" value=\"ftp.example.org/a.csv?day=1&#38;all\""), "{page}");
    let said = "role=\"alert\">Runboard is stopping. Nothing was stored; try again in a moment.";
    assert!(page.contains(&format!("id=\"address-error\" {said}")), "{page}");
}

#[tokio::test]
async fn a_closed_terminal_ends_it_gracefully_unless_hangups_are_ignored() {
    let data = tempfile::tempdir().unwrap();
    let mut server = Binary::start(&mut runboard(data.path()));
    server.signal("HUP");
    assert_eq!(server.wait().0.code(), Some(0));

    // As under nohup.
    let program = runboard(data.path());
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\""]).arg(program.get_program()).env_clear();
    shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut server = Binary::start(&mut shell);
    server.signal("HUP");
    assert_eq!(Visitor::new(&server.origin).get("/healthz").await.status(), StatusCode::OK);
    server.terminate();
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn a_variable_that_is_no_setting_is_named_at_start_with_the_one_that_was_meant() {
    let data = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    // Refused for another reason, so that it ends by itself.
    let mut command = runboard(data.path());
    command.env("RUNBOARD_LISTEN", taken.local_addr().unwrap().to_string());
    let log = String::from_utf8(run(command.env("RUNBOARD_LISTN", "secret")).stderr).unwrap();
    assert!(log.contains("RUNBOARD_LISTN is not known; did you mean RUNBOARD_LISTEN?"), "{log}");
    assert!(!log.contains("secret"), "its value may be one: {log}");
}

/// The links for the first account that a start prints, up to the one that contains `last`.
fn links_for_the_first_account(command: &mut Command, last: &str) -> (Child, Vec<String>) {
    let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut links = Vec::new();
    for line in BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok) {
        links
            .extend(line.split_whitespace().find(|word| word.contains("/sign-up?token=")).map(str::to_owned));
        if links.last().is_some_and(|link| link.contains(last)) {
            return (process, links);
        }
    }
    process.wait().unwrap();
    panic!("no link has {last}: {links:?}")
}

#[tokio::test]
async fn the_link_for_the_first_account_is_at_the_public_url_or_at_each_address_of_this_machine() {
    let data = tempfile::tempdir().unwrap();
    let mut command = runboard(data.path());
    command.env("RUNBOARD_LISTEN", "0.0.0.0:0");
    let (mut server, links) = links_for_the_first_account(&mut command, "//127.0.0.1:");
    for link in &links {
        let (origin, token) = link.split_once("/sign-up").unwrap();
        let answer = Visitor::new(origin).get(&format!("/sign-up{token}")).await;
        assert_eq!(answer.status(), StatusCode::OK, "{link}");
        // This stands for every address of the machine, and nobody can type it.
        let page = answer.text().await.unwrap();
        assert!(!page.contains("0.0.0.0"), "{page}");
    }
    server.kill().unwrap();
    server.wait().unwrap();

    command.env("RUNBOARD_PUBLIC_URL", "https://runboard.example.org");
    let (mut server, links) = links_for_the_first_account(&mut command, "//runboard.example.org/");
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(links.len(), 1, "{links:?}");
}

#[test]
fn the_help_of_a_command_lists_the_settings_that_it_uses_and_it_takes_them_all() {
    let data = tempfile::tempdir().unwrap();
    let help = |arguments: &[&str]| {
        let output = runboard(data.path()).args(arguments).arg("--help").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    for command in [&["account"][..], &["account", "add"], &["account", "list"], &["adopt"]] {
        let help = help(command);
        assert!(help.contains("--data-dir") && help.contains("--database-url"), "{help}");
        assert!(!help.contains("--listen") && !help.contains("INNGEST"), "{help}");
    }
    for command in [&[][..], &["serve"]] {
        let help = help(command);
        assert!(help.contains("--listen") && help.contains("INNGEST_DEV"), "{help}");
    }
    let output = runboard(data.path()).args(["account", "list", "--workers", "0"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("RUNBOARD_WORKERS is \"0\""), "{said}");
}

/// Runs `runboard account ...` with a password on standard input.
pub fn account(data: &Path, arguments: &[&str], password: &str) -> Output {
    let mut command = runboard(data);
    command.env("RUST_LOG", "off").arg("account").args(arguments);
    let mut process =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    writeln!(process.stdin.take().unwrap(), "{password}").unwrap();
    process.wait_with_output().unwrap()
}

#[tokio::test]
async fn accounts_are_looked_after_beside_a_running_server() {
    let data = tempfile::tempdir().unwrap();
    let server = Binary::start(runboard(data.path()).env("RUNBOARD_SIGN_UP", "closed"));
    let sign_in = async |password: &str| {
        let fields = [("email", "mira@example.org"), ("password", password)];
        Visitor::new(&server.origin).post_form("/sign-in", &fields).await.status()
    };
    assert!(sign_in("correct horse").await.is_client_error());

    let added = account(data.path(), &["add", "Mira@example.org"], "correct horse");
    assert_eq!(String::from_utf8(added.stdout).unwrap(), "mira@example.org can sign in.\n");
    assert_eq!(sign_in("correct horse").await, StatusCode::SEE_OTHER);
    let again = account(data.path(), &["add", "mira@example.org"], "correct horse");
    assert_eq!(
        refusal(&again),
        "mira@example.org cannot be added: the e-mail address already has an account."
    );
    let short = account(data.path(), &["add", "theo@example.org"], "short");
    assert!(refusal(&short).starts_with("The password is shorter than "), "{short:?}");
    let nowhere = account(data.path(), &["add", "mira at home"], "correct horse");
    assert_eq!(refusal(&nowhere), "\"mira at home\" is not an e-mail address.");

    let reset = account(data.path(), &["reset", "mira@example.org"], "battery staple");
    assert!(reset.status.success(), "{reset:?}");
    assert_eq!(sign_in("battery staple").await, StatusCode::SEE_OTHER);
    assert!(sign_in("correct horse").await.is_client_error());
    let nobody = account(data.path(), &["reset", "nobody@example.org"], "battery staple");
    assert_eq!(refusal(&nobody), "There is no account nobody@example.org.");

    let list = String::from_utf8(account(data.path(), &["list"], "").stdout).unwrap();
    assert!(list.starts_with("mira@example.org\t") && list.lines().count() == 1, "{list}");

    // The first account is an admin, and others are made admins.
    account(data.path(), &["add", "theo@example.org"], "correct horse");
    account(data.path(), &["add", "noor@example.org"], "correct horse");
    account(data.path(), &["admin", "noor@example.org", "on"], "");
    let list = String::from_utf8(account(data.path(), &["list"], "").stdout).unwrap();
    let accounts: Vec<Vec<&str>> = list.lines().map(|line| line.split('\t').collect()).collect();
    let roles: Vec<(&str, &[&str])> = accounts.iter().map(|fields| (fields[0], &fields[2..])).collect();
    let expected: [(&str, &[&str]); 3] =
        [("mira@example.org", &["admin"]), ("theo@example.org", &[]), ("noor@example.org", &["admin"])];
    assert_eq!(roles, expected, "{list}");
    assert!(accounts.iter().all(|fields| fields[1].ends_with('Z')), "the second is a time: {list}");
}
