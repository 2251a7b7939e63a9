//! Each exit code, and what is printed with it.

use serde_json::{Value, json};

use super::{Desk, Ended, ORDERS, ORDERS_OUTPUT, client, ended};
use crate::support::free_address;

#[tokio::test]
async fn zero_means_completed_and_the_last_line_is_the_output_of_the_run() {
    let desk = Desk::new().await;
    desk.file("orders.csv", ORDERS);
    let done = desk.run(&["import", "orders.csv"]).await;
    assert_eq!(done.imported(), (0, ORDERS_OUTPUT));
    // Named, because it is the default.
    let done = desk.run(&["import", "--no-wait", "--wait", "orders.csv"]).await;
    assert_eq!(done.imported(), (0, ORDERS_OUTPUT));
    desk.stop().await;
}

#[tokio::test]
async fn one_means_failed() {
    let desk = Desk::new().await;
    desk.file("page.csv", "<!doctype html><title>Sign in</title><p>1,2</p>");
    let done = desk.run(&["import", "page.csv"]).await;
    assert_eq!((done.code, done.output()), (Some(1), ""));
    assert!(
        done.err.starts_with("page.csv: Failed: This is a web page (\"Sign in\"), not a CSV."),
        "{done:?}"
    );
    assert_eq!(done.err.lines().count(), 1, "{done:?}");
    desk.stop().await;
}

#[tokio::test]
async fn two_means_cancelled() {
    let desk = Desk::new().await;
    let _busy = desk.app.busy().await;
    desk.file("orders.csv", ORDERS);
    let cancel = async {
        let id = desk.only_import().await;
        // Before its run is known, nothing was run.
        desk.owner.wait_for(&format!("/imports/{id}"), "its run", |panel| !panel.runs.is_empty()).await;
        desk.run(&["cancel", &id]).await
    };
    let command = desk.command(&["import", "orders.csv"]);
    let (done, cancelled) = tokio::join!(ended(command), cancel);
    assert_eq!(cancelled.code, Some(0), "{cancelled:?}");
    // The run may have ended before the server answers.
    let begins = ["Cancelling orders.csv. So far: ", "orders.csv: Cancelled: Stopped by you at "];
    assert!(begins.iter().any(|begin| cancelled.out.starts_with(begin)), "{cancelled:?}");
    assert_eq!((done.code, done.output()), (Some(2), ""), "{done:?}");
    assert!(done.err.starts_with("orders.csv: Cancelled: Stopped by you at "), "{done:?}");
    desk.stop().await;
}

#[tokio::test]
async fn three_means_that_nothing_is_known_of_an_end() {
    let desk = Desk::new().await;
    desk.file("empty.csv", "");
    desk.file("orders.csv", ORDERS);
    let unknown = format!(
        "There is no import 01KBC8Z3V5F0M3E2J8W4R7T9QX on {}, or your token does not open it.\n",
        desk.app.origin
    );
    for (words, sentence) in [
        (
            &["import", "empty.csv"][..],
            "empty.csv is empty (0 bytes). Choose a file with a header and rows.\n",
        ),
        (&["import", "missing.csv"], "missing.csv cannot be read: No such file or directory.\n"),
        (
            &["import", "orders.csv", "--failed", "./orders.csv"],
            "orders.csv is imported, and would be replaced by its rows. Name another file.\n",
        ),
        (&["import", "."], ". is a folder. Name the files in it, such as ./*.csv.\n"),
        (&["import", "--encoding", "utf-99", "orders.csv"], ""),
        (
            &["import", "--delimiter", "nonsense", "orders.csv"],
            "A separator has 1 to 4 bytes, and no line end, NUL or double quote. Names of separators are comma, \
             semicolon, tab, pipe, space and colon.\n",
        ),
        (&["show", "01KBC8Z3V5F0M3E2J8W4R7T9QX"], unknown.as_str()),
    ] {
        let done = desk.run(words).await;
        assert_eq!((done.code, done.out.as_str()), (Some(3), ""), "{words:?}: {done:?}");
        assert_eq!(done.err.lines().count(), 1, "{words:?}: {done:?}");
        assert!(sentence.is_empty() || done.err == sentence, "{words:?}: {done:?}");
    }
    let mut gone = desk.command(&["import", "orders.csv"]);
    let nobody = format!("http://{}", free_address());
    gone.env("RUNBOARD_URL", &nobody);
    let done = ended(gone).await;
    assert_eq!(done.code, Some(3));
    assert_eq!(done.err, format!("Cannot reach {nobody} (from RUNBOARD_URL): Connection refused.\n"));

    let done = ended(client(desk.folder.path(), &["imports"])).await;
    assert_eq!(done.code, Some(3));
    let usual = "http://127.0.0.1:8080 (the usual address, because none was given)";
    assert!(done.err.starts_with(&format!("There is no token for {usual}. Make one on ")), "{done:?}");
    assert_eq!(desk.imports().await, [] as [Value; 0], "nothing was made");
    desk.stop().await;
}

#[tokio::test]
async fn three_also_means_that_the_command_line_was_not_understood() {
    let folder = tempfile::tempdir().unwrap();
    for words in [
        &["import"][..],
        &["import", "a.csv", "--no-such-flag"],
        &["import", "a.csv", "--no-wait", "--failed", "x.csv"],
        &["import", "a.csv", "--quote", "'"],
        &["import", "a.csv", "b.csv", "--failed", "x.csv"],
        &["import", "a.csv", "--failed", "-"],
        &["import", "a.csv", "--failed", "x.csv", "--processed", "x.csv"],
        &["import", "-", "-"],
        &["import", "a.csv", "b.csv", "--name", "c.csv"],
        &["import", "http://127.0.0.1/a.csv", "--look"],
        &["imports", "--state", "Happy"],
        &["imports", "--limit", "0"],
        &["imports", "--url", "example.org"],
        &["show", "../imports"],
        &["completions", "tcsh"],
        &["improt", "a.csv"],
        &["--no-such-flag", "import", "a.csv"],
    ] {
        let done = ended(client(folder.path(), words)).await;
        assert_eq!((done.code, done.out.as_str()), (Some(3), ""), "{words:?}: {done:?}");
        assert_eq!(done.err.lines().count(), 1, "{words:?}: {done:?}");
    }
    for (words, said) in [
        (
            &["import", "a.csv", "--no-such-flag"][..],
            "Unexpected argument '--no-such-flag' found. Tip: to pass '--no-such-flag' as a value, use \
             '-- --no-such-flag'. For more information, try '--help'.\n",
        ),
        (
            &["imports", "--until", "yesterday"],
            "Invalid value 'yesterday' for '--until <TIME>': write a date such as 2026-11-23, or a time such as \
             2026-11-23T08:00:00Z. For more information, try '--help'.\n",
        ),
    ] {
        assert_eq!(ended(client(folder.path(), words)).await.err, said, "{words:?}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn four_means_that_rows_failed_if_that_is_asked() {
    let desk = Desk::new().await;
    desk.file("orders.csv", ORDERS);
    desk.file("clean.csv", "id,name\n1,Zoë\n");
    let done = desk.run(&["import", "--fail-on-rows", "orders.csv"]).await;
    assert_eq!((done.code, done.output()), (Some(4), ORDERS_OUTPUT));
    assert!(done.err.starts_with("orders.csv: Completed: 2 rows processed, 1 failed, in "), "{done:?}");
    let done = desk.run(&["import", "--fail-on-rows", "clean.csv"]).await;
    assert_eq!(done.imported(), (0, "{\"status\":\"success\",\"processedItems\":1,\"failedItems\":0}\n"));
    desk.stop().await;
}

#[tokio::test]
async fn of_several_the_worst_counts_and_the_others_are_imported() {
    let desk = Desk::new().await;
    desk.file("orders.csv", ORDERS);
    desk.file("page.csv", "<!doctype html><title>Sign in</title><p>1,2</p>");
    desk.file("clean.csv", "id,name\n1,Zoë\n");
    let clean = "{\"status\":\"success\",\"processedItems\":1,\"failedItems\":0}\n";
    let ends = |done: &Ended| -> Vec<String> {
        let ends = done.out.lines().filter(|line| line.ends_with('}'));
        ends.map(|line| format!("{}\n", line.split_once('\t').unwrap().1)).collect()
    };
    let done = desk.run(&["import", "clean.csv", "orders.csv"]).await;
    assert_eq!((done.quiet().0, ends(&done)), (0, vec![clean.into(), ORDERS_OUTPUT.into()]));
    let done = desk.run(&["import", "--fail-on-rows", "orders.csv", "clean.csv"]).await;
    assert_eq!((done.code, ends(&done)), (Some(4), vec![ORDERS_OUTPUT.into(), clean.into()]));
    let done = desk.run(&["import", "--fail-on-rows", "orders.csv", "page.csv", "clean.csv"]).await;
    assert_eq!((done.code, ends(&done)), (Some(1), vec![ORDERS_OUTPUT.into(), clean.into()]));
    let done = desk.run(&["import", "page.csv", "missing.csv", "clean.csv"]).await;
    assert_eq!((done.code, ends(&done)), (Some(3), vec![clean.into()]));
    assert_eq!(desk.imports().await.len(), 9);
    desk.stop().await;
}

#[tokio::test]
async fn json_is_the_whole_import_also_of_one_that_failed() {
    let desk = Desk::new().await;
    desk.file("orders.csv", ORDERS);
    desk.file("page.csv", "<!doctype html><title>Sign in</title><p>1,2</p>");
    let done = desk.run(&["import", "--json", "orders.csv", "page.csv"]).await;
    assert_eq!(done.code, Some(1));
    let lines: Vec<Value> = done.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [orders, page] = lines.as_slice() else { panic!("{done:?}") };
    let id = orders["id"].as_str().unwrap();
    let api: Value = desk.program.get(&format!("/api/v1/imports/{id}")).await.json().await.unwrap();
    assert_eq!(*orders, api);
    assert_eq!((&page["state"], &page["fileName"]), (&json!("Failed"), &json!("page.csv")));
    desk.stop().await;
}

#[tokio::test]
async fn without_waiting_the_id_and_the_page_are_printed() {
    let desk = Desk::new().await;
    let _busy = desk.app.busy().await;
    desk.file("orders.csv", ORDERS);
    let done = desk.run(&["import", "--no-wait", "orders.csv"]).await;
    let id = desk.only_import().await;
    assert_eq!(done.quiet(), (0, format!("{id}\t{}/imports/{id}\n", desk.app.origin).as_str()));
    let done = desk.run(&["import", "--no-wait", "--json", "orders.csv"]).await;
    let import: Value = serde_json::from_str(done.quiet().1).unwrap();
    assert_eq!(import["fileName"], "orders.csv");
    desk.stop().await;
}
