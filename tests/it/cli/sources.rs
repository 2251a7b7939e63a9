//! What can be imported, and how it is read.

use std::{
    fs::{self, File},
    process::Child,
    time::Duration,
};

use serde_json::{Value, json};

use super::{Desk, ORDERS, ORDERS_OUTPUT, after_begun, client, ended, import_json};
use crate::{
    packed::book::{rows, workbook},
    support::{
        host::{Host, Reply},
        spawn_app_on,
        terminal::OnTerminal,
    },
};

#[tokio::test]
async fn standard_input_is_a_pipe_or_a_file() {
    let desk = Desk::new().await;
    let path = desk.file("kept.csv", ORDERS);
    let mut of_file = desk.command(&["import", "-"]);
    of_file.stdin(File::open(path).unwrap());
    assert_eq!(ended(of_file).await.imported(), (0, ORDERS_OUTPUT));

    let of_pipe = desk.in_shell("(echo a,b; echo 1,2) | runboard import - --name=pipe.csv");
    let done = ended(of_pipe).await;
    assert_eq!(done.imported(), (0, "{\"status\":\"success\",\"processedItems\":1,\"failedItems\":0}\n"));
    let names: Vec<Value> = desk.imports().await.iter().map(|import| import["fileName"].clone()).collect();
    assert_eq!(names, ["pipe.csv", "standard-input.csv"]);
    desk.stop().await;
}

#[tokio::test]
async fn an_address_is_fetched_by_the_server() {
    let (desk, host) = Desk::beside_host().await;
    let done = desk.run(&["import", &host.url("/2026/orders.csv"), "--json"]).await;
    let import: Value = serde_json::from_str(done.quiet().1).unwrap();
    assert_eq!(import["fileName"], "orders.csv");
    let done = desk
        .run(&["import", &host.url("/x"), "--name=mine.csv", "--delimiter=;", "--header=none", "--json"])
        .await;
    let import: Value = serde_json::from_str(done.quiet().1).unwrap();
    assert_eq!(import["fileName"], "mine.csv");
    assert_eq!(import["reading"]["header"], json!({ "value": "none", "how": "chosen" }));
    let done = desk.run(&["import", "http://192.0.2.1:25/a.csv"]).await;
    assert_eq!((done.code, done.err.lines().count()), (Some(1), 1), "{done:?}");
    desk.stop().await;
}

#[tokio::test]
async fn the_reading_can_be_chosen_as_in_the_form() {
    let desk = Desk::new().await;
    desk.file("kunden.csv", b"\xc4-Nr|name\nx|y\n1|'Zo\xeb'\n");
    let done = desk
        .run(&[
            "import",
            "kunden.csv",
            "--encoding=windows-1252",
            "--delimiter=|",
            "--quote=single",
            "--escape=backslash",
            "--header=1",
            "--header-rows=2",
            "--name=übersicht.csv",
            "--json",
            "--processed=processed.csv",
        ])
        .await;
    let import: Value = serde_json::from_str(done.quiet().1).unwrap();
    assert_eq!(import["fileName"], "übersicht.csv");
    for (part, value) in [
        ("encoding", json!("windows-1252")),
        ("delimiter", json!("pipe")),
        ("quote", json!("single")),
        ("escape", json!("backslash")),
        ("header", json!(1)),
        ("headerRows", json!(2)),
    ] {
        assert_eq!(import["reading"][part], json!({ "value": value, "how": "chosen" }), "{part}");
    }
    assert_eq!(desk.content("processed.csv"), "Ä-Nr x,name y\r\n1,Zoë\r\n");
    desk.stop().await;
}

#[tokio::test]
async fn a_file_that_is_only_looked_at_waits_for_its_start() {
    let desk = Desk::new().await;
    desk.file("orders.csv", ORDERS);
    let done = desk.run(&["import", "--look", "orders.csv"]).await;
    let id = desk.only_import().await;
    assert_eq!(done.quiet(), (0, format!("{id}\t{}/imports/{id}\n", desk.app.origin).as_str()));
    assert_eq!(desk.imports().await[0]["state"], "Held");
    let done = desk.run(&["start", &id, "--header=none"]).await;
    assert_eq!(done.quiet(), (0, "{\"status\":\"success\",\"processedItems\":3,\"failedItems\":1}\n"));
    desk.stop().await;
}

#[tokio::test]
async fn a_terminal_shows_what_is_known_of_a_file_that_is_only_looked_at() {
    let desk = Desk::new().await;
    desk.file("orders.csv", ORDERS);
    let end = OnTerminal::start(&desk.command(&["import", "--look", "orders.csv"])).end().await;
    let id = desk.only_import().await;
    assert_eq!((end.code, after_begun(&end.out)), (Some(0), ""), "{end:?}");
    let page = format!("Page: {}/imports/{id}", desk.app.origin);
    let (start, discard) =
        (format!("To import it: runboard start {id}"), format!("To discard it: runboard delete {id}"));
    let known = [
        "orders.csv\r\n",
        "Held: Nothing runs until it is started; kept until ",
        "Reading: Separated by semicolons (a guess), UTF-8, header in line 1.\r\n",
        "  columns: id | name\r\n  line 2: 1 | Zoë\r\n  line 3: 2 (1 field, expected 2)\r\n",
        &page,
        &start,
        &discard,
    ];
    for line in known {
        assert!(end.shown.contains(line), "{line}: {end:?}");
    }
    let done = desk.run(&["show", &id]).await;
    for line in known {
        assert!(done.quiet().1.contains(line.replace('\r', "").as_str()), "{line}: {done:?}");
    }
    let done = desk.run(&["import", "--look", "--json", "--encoding=windows-1252", "orders.csv"]).await;
    let held: Value = serde_json::from_str(done.quiet().1).unwrap();
    assert_eq!(held["reading"]["encoding"], json!({ "value": "windows-1252", "how": "chosen" }));
    desk.file("page.csv", "<!doctype html><title>Sign in</title><p>1,2</p>");
    let end = OnTerminal::start(&desk.command(&["import", "--look", "page.csv"])).end().await;
    assert!(end.shown.contains("Held: This is a web page (\"Sign in\"), not a CSV."), "{end:?}");
    desk.stop().await;
}

/// With a made-up server, because what it knows of such a file is not the client's business.
#[tokio::test]
async fn the_reading_of_a_held_import_is_shown() {
    const ID: &str = "01KBC8Z3V5F0M3E2J8W4R7T9QX";
    let reading = json!({ "text": "Separated by semicolons, UTF-8, header in line 1." });
    let rows = json!([
        { "line": 2, "fields": ["1", "Zoë\u{1b}[2J"] },
        { "line": 3, "fields": ["2"], "reason": "1 field, expected 22" },
    ]);
    let first_rows = json!({ "header": ["id", "name"], "columns": 22, "rows": rows });
    let held = json!({ "state": "Held", "stateText": "Look.", "reading": reading, "firstRows": first_rows });
    let held = import_json(ID, &held);
    let host = Host::start(move |_, _| Reply::file(held.to_string())).await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = client(folder.path(), &["show", ID]);
    command.env("RUNBOARD_URL", host.url("")).env("RUNBOARD_TOKEN", "rb_x");
    let done = ended(command).await;
    let page = format!("Page: {}/imports/{ID}", host.url(""));
    let lines: Vec<&str> = done.quiet().1.lines().collect();
    assert_eq!(
        lines,
        [
            "a.csv",
            "Held: Look.",
            "Reading: Separated by semicolons, UTF-8, header in line 1.",
            "First rows:",
            "  columns: id | name and 20 more",
            "  line 2: 1 | Zoë\\u{1b}[2J",
            "  line 3: 2 (1 field, expected 22)",
            "Received: 2026-11-23 20:43:26 UTC",
            &page,
            "To import it: runboard start 01KBC8Z3V5F0M3E2J8W4R7T9QX",
            "To discard it: runboard delete 01KBC8Z3V5F0M3E2J8W4R7T9QX",
        ]
    );
}

#[tokio::test]
async fn a_sheet_is_chosen_by_its_name() {
    let desk = Desk::new().await;
    let sheets = [
        ("January", "", &*rows(&[&["id", "price"], &["1", "2.5"]])),
        ("February", "", &*rows(&[&["id", "price"], &["7", "9"], &["8", "9"]])),
    ];
    desk.file("orders.xlsx", workbook(&sheets, ""));
    let done = desk.run(&["import", "orders.xlsx", "--sheet", "february", "--json"]).await;
    let import: Value = serde_json::from_str(done.quiet().1).unwrap();
    assert_eq!(import["runs"][0]["processedItems"], 2);
    assert_eq!(import["reading"]["sheet"], json!({ "value": "February", "how": "chosen" }));
    let id = import["id"].as_str().unwrap();
    let done = desk.run(&["retry", id, "--sheet=January"]).await;
    assert_eq!(done.imported(), (0, "{\"status\":\"success\",\"processedItems\":1,\"failedItems\":0}\n"));
    for words in [&["import", "orders.xlsx", "--sheet=March"][..], &["retry", id, "--sheet=March"]] {
        let done = desk.run(words).await;
        assert_eq!((done.code, done.out.as_str()), (Some(3), ""), "{words:?}: {done:?}");
        assert!(done.err.contains("February") && done.err.lines().count() == 1, "{words:?}: {done:?}");
    }
    desk.stop().await;
}

/// The server answers such an upload before it has arrived.
#[tokio::test]
async fn a_file_over_the_limit_is_refused_with_the_sentence_of_the_server() {
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.max_upload_bytes = 1 << 20).await;
    let desk = Desk::at(app).await;
    desk.file("large.csv", "a,b\n1,2\n".repeat(8 << 20));
    let start = std::time::Instant::now();
    let done = desk.run(&["import", "large.csv"]).await;
    assert_eq!(done.code, Some(3));
    assert_eq!(done.err, "The upload is larger than 1 MiB, the limit here. Split it and import the parts.\n");
    assert!(start.elapsed() < Duration::from_secs(30), "it is not sent again: {:?}", start.elapsed());
    assert_eq!(desk.imports().await, [] as [Value; 0]);
    desk.stop().await;
}

/// The highest resident memory of a process so far, in bytes.
fn most_resident(process: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    kilobytes.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn a_large_file_takes_no_more_memory_than_a_small_one() {
    let desk = Desk::new().await;
    let _busy = desk.app.busy().await;
    desk.file("small.csv", ORDERS);
    desk.file("large.csv", "a,b\n1,2\n".repeat(16 << 20));
    let mut peaks = Vec::new();
    for (count, name) in [(1, "small.csv"), (2, "large.csv")] {
        let mut process = desk.command(&["import", name]).spawn().unwrap();
        desk.until_imports(count).await;
        peaks.push(most_resident(&process));
        process.kill().unwrap();
        process.wait().unwrap();
    }
    assert!(peaks[1] < peaks[0] + (8 << 20), "128 MiB cost more: {peaks:?}");
    desk.stop().await;
}
