//! Lists, and what is done with an import that there is.

use serde_json::{Value, json};

use super::{Desk, ORDERS, ORDERS_OUTPUT};
use crate::support::terminal::OnTerminal;

#[tokio::test]
async fn imports_are_listed_as_a_table_or_as_json() {
    let desk = Desk::new().await;
    let first = desk.imported("orders.csv", ORDERS).await;
    let second = desk.imported("Kunden-übersicht.csv", "a,b\n1,2\n").await;
    let done = desk.run(&["imports"]).await;
    let lines: Vec<Vec<&str>> =
        done.quiet().1.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["ID", "RECEIVED", "STATE", "PROCESSED", "FAILED", "FILE"]);
    let shown = |line: &[&str]| [line[0], line[4], line[5], line[6], line[7]].map(str::to_owned);
    assert_eq!(shown(&lines[1]), [&second, "Completed", "1", "0", "Kunden-übersicht.csv"]);
    assert_eq!(shown(&lines[2]), [&first, "Completed", "2", "1", "orders.csv"]);
    assert_eq!(lines.len(), 3);

    let ids = async |words: &[&str]| {
        let done = desk.run(&[&["imports", "--json"], words].concat()).await;
        let ids = done.quiet().1.lines().map(|line| {
            let import: Value = serde_json::from_str(line).unwrap();
            import["id"].as_str().unwrap().to_owned()
        });
        ids.collect::<Vec<_>>()
    };
    let (both, none) = (vec![second.clone(), first.clone()], Vec::<String>::new());
    assert_eq!(ids(&[]).await, both);
    assert_eq!(ids(&["--limit", "1"]).await, both[..1]);
    assert_eq!(ids(&["--failed"]).await, both[1..]);
    assert_eq!(ids(&["--query", "ÜBERSICHT"]).await, both[..1]);
    assert_eq!(ids(&["--state", "Completed"]).await, both);
    assert_eq!(ids(&["--state", "Running"]).await, none);
    let today = jiff::Timestamp::now().to_string()[..10].to_owned();
    assert_eq!(ids(&["--since", &today, "--until", &today]).await, both);
    assert_eq!(ids(&["--until", "2020-01-01"]).await, none);
    assert_eq!(ids(&["--since", "2020-01-01T00:00:00Z"]).await, both);
    assert_eq!(ids(&["--until", "9999-12-31T23:59:59Z"]).await, both);
    desk.stop().await;
}

#[tokio::test]
async fn more_than_a_page_is_listed_page_by_page() {
    let desk = Desk::new().await;
    let busy = desk.app.busy().await;
    let names: Vec<String> = (0..120).map(|number| format!("{number}.csv")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "a\n1\n")).collect();
    for files in files.chunks(60) {
        desk.owner.post_with(files, &[]).await;
    }
    for (limit, count) in [("110", 110), ("1000", 120), ("100", 100)] {
        let done = desk.run(&["imports", "--json", "--limit", limit]).await;
        assert_eq!(done.quiet().1.lines().count(), count);
    }
    drop(busy);
    desk.stop().await;
}

#[tokio::test]
async fn an_import_is_shown_as_its_page_says_it() {
    let desk = Desk::new().await;
    let id = desk.imported("orders.csv", ORDERS).await;
    let done = desk.run(&["show", &id]).await;
    let (_, out) = done.quiet();
    let expected = [
        "orders.csv".to_owned(),
        "Completed: 2 rows processed, 1 failed, in ".to_owned(),
        "Rows: 2 processed, 1 failed".to_owned(),
        "Reading: Separated by semicolons (a guess), UTF-8, header in line 1.".to_owned(),
        "Received: 2".to_owned(),
        "Ended: 2".to_owned(),
        format!("Page: {}/imports/{id}", desk.app.origin),
        "Failed rows:".to_owned(),
        "  1 x 1 field, expected 2, first in line 3: 2".to_owned(),
    ];
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{out}");
    for (line, begin) in lines.iter().zip(expected) {
        assert!(line.starts_with(&begin), "{line:?} begins with {begin:?}");
    }
    let done = desk.run(&["show", "--json", &id]).await;
    let api: Value = desk.program.get(&format!("/api/v1/imports/{id}")).await.json().await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(done.quiet().1).unwrap(), api);
    desk.stop().await;
}

#[tokio::test]
async fn an_import_is_run_again_whole_or_its_failed_rows_alone() {
    let desk = Desk::new().await;
    let id = desk.imported("orders.csv", ORDERS).await;
    let done = desk.run(&["retry", &id, "--delimiter=semicolon", "--header=none", "--json"]).await;
    let import: Value = serde_json::from_str(done.quiet().1).unwrap();
    assert_eq!(import["parentId"], json!(id));
    assert_eq!(import["runs"][0]["processedItems"], 3);
    assert_eq!(import["reading"]["header"], json!({ "value": "none", "how": "chosen" }));
    let done = desk.run(&["retry", &id, "--only-failed", "--fail-on-rows", "--failed=failed.csv"]).await;
    assert_eq!(done.code, Some(4));
    assert_eq!(done.output(), "{\"status\":\"success\",\"processedItems\":0,\"failedItems\":1}\n");
    assert!(desk.content("failed.csv").starts_with("_line,_column,_reason,id,name,_extra\r\n"));
    let done = desk.run(&["retry", &id, "--no-wait"]).await;
    assert_eq!(done.quiet().1.split('\t').count(), 2);

    let clean = desk.imported("clean.csv", "a\n1\n").await;
    let done = desk.run(&["retry", &clean, "--only-failed"]).await;
    assert_eq!(
        (done.code, done.err.as_str()),
        (Some(3), "No rows of this import failed. You can run the whole import again.\n")
    );
    desk.stop().await;
}

#[tokio::test]
async fn an_import_that_has_ended_is_not_started_again_which_is_said() {
    let desk = Desk::new().await;
    let id = desk.imported("orders.csv", ORDERS).await;
    let sentence =
        format!("orders.csv was started before and has ended. To run it again: runboard retry {id}\n");
    for (words, out) in [
        (&["start", &id][..], ORDERS_OUTPUT.to_owned()),
        (&["start", &id, "--no-wait"], format!("{id}\t{}/imports/{id}\n", desk.app.origin)),
    ] {
        let done = desk.run(words).await;
        assert_eq!((done.code, &done.out, &done.err), (Some(0), &out, &sentence), "{words:?}");
    }
    desk.stop().await;
}

#[tokio::test]
async fn cancelling_an_import_that_is_over_says_how_it_ended() {
    let desk = Desk::new().await;
    let id = desk.imported("orders.csv", ORDERS).await;
    let done = desk.run(&["cancel", &id]).await;
    let said = "orders.csv was over already: Completed: 2 rows processed, 1 failed, in ";
    assert!(done.quiet().0 == 0 && done.out.starts_with(said), "{done:?}");
    desk.stop().await;
}

#[tokio::test]
async fn deleting_asks_on_a_terminal() {
    let desk = Desk::new().await;
    let id = desk.imported("orders.csv", ORDERS).await;
    const QUESTION: &str = "Delete orders.csv and its files for good? [y/N] ";
    for answer in ["n\n", "\n", "\u{4}"] {
        let mut program = OnTerminal::start(&desk.command(&["delete", &id]));
        program.until_shown(QUESTION).await;
        program.types(answer);
        let end = program.end().await;
        assert_eq!((end.code, end.out.as_str()), (Some(3), ""), "{answer:?}: {end:?}");
        assert!(end.shown.ends_with("Nothing was deleted.\r\n"), "{end:?}");
    }
    assert_eq!(desk.imports().await.len(), 1);
    let mut program = OnTerminal::start(&desk.command(&["delete", &id]));
    program.until_shown(QUESTION).await;
    program.types("yes\n");
    let end = program.end().await;
    assert_eq!((end.code, end.out.as_str()), (Some(0), "orders.csv was deleted.\n"), "{end:?}");
    assert!(desk.imports().await.is_empty());
    desk.stop().await;
}

#[tokio::test]
async fn deleting_asks_nobody_with_yes_which_it_needs_without_a_terminal() {
    let desk = Desk::new().await;
    let (first, second) = (desk.imported("a.csv", ORDERS).await, desk.imported("b.csv", ORDERS).await);
    let done = desk.run(&["delete", &first]).await;
    let sentence = "Nothing was deleted. Without a terminal to ask at, say --yes.\n";
    assert_eq!((done.code, done.err.as_str()), (Some(3), sentence), "{done:?}");
    assert_eq!(desk.run(&["delete", "--yes", &first]).await.quiet(), (0, "a.csv was deleted.\n"));
    let program = OnTerminal::start(&desk.command(&["delete", "--yes", &second]));
    let end = program.end().await;
    assert_eq!((end.code, end.out.as_str()), (Some(0), "b.csv was deleted.\n"), "{end:?}");
    let done = desk.run(&["delete", "--yes", &first]).await;
    assert_eq!((done.code, done.err.lines().count()), (Some(3), 1), "{done:?}");
    desk.stop().await;
}

#[tokio::test]
async fn a_token_that_may_not_import_says_so() {
    let desk = Desk::new().await;
    let id = desk.imported("orders.csv", ORDERS).await;
    let reader = crate::support::program::Program::of(&desk.owner, &["read"]).await;
    desk.file("orders.csv", ORDERS);
    for words in [&["import", "orders.csv"][..], &["cancel", &id], &["retry", &id], &["delete", "--yes", &id]]
    {
        let mut command = desk.command(words);
        command.env("RUNBOARD_TOKEN", reader.secret());
        let done = super::ended(command).await;
        assert_eq!((done.code, done.out.as_str()), (Some(3), ""), "{words:?}: {done:?}");
        assert!(done.err.contains("import") && done.err.lines().count() == 1, "{words:?}: {done:?}");
    }
    assert_eq!(desk.imports().await.len(), 1);
    desk.stop().await;
}
