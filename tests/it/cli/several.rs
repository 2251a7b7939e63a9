//! Of several sources, each line names its own.

use std::fs;

use super::{Desk, ended};
use crate::support::{
    proxy::{Behaviour, Proxy},
    terminal::OnTerminal,
};

const CLEAN: &str = "id,name\n1,Zoë\n";

#[tokio::test]
async fn results_and_refusals_name_their_source_as_it_was_typed() {
    let desk = Desk::new().await;
    fs::create_dir(desk.folder.path().join("in")).unwrap();
    desk.file("orders.csv", CLEAN);
    desk.file("in/orders.csv", CLEAN);
    desk.file("in/empty.csv", "");
    desk.file("page.csv", "<!doctype html><title>Sign in</title><p>1,2</p>");
    let words = ["import", "orders.csv", "in/orders.csv", "in/empty.csv", "missing.csv", "page.csv"];
    let done = desk.run(&words).await;
    assert_eq!(done.code, Some(3), "{done:?}");
    let lines: Vec<Vec<&str>> = done.out.lines().map(|line| line.split('\t').collect()).collect();
    let [first, second, page, ends @ ..] = lines.as_slice() else { panic!("{done:?}") };
    for (line, source) in [(first, "orders.csv"), (second, "in/orders.csv"), (page, "page.csv")] {
        let [named, id, address] = line.as_slice() else { panic!("{done:?}") };
        assert_eq!(*named, source, "{done:?}");
        assert_eq!(*address, format!("{}/imports/{id}", desk.app.origin));
    }
    let output = "{\"status\":\"success\",\"processedItems\":1,\"failedItems\":0}";
    assert_eq!(ends, [["orders.csv", output], ["in/orders.csv", output]]);
    let said: Vec<&str> = done.err.lines().collect();
    for (line, begin) in said.iter().zip([
        "in/empty.csv is empty (0 bytes). ",
        "missing.csv cannot be read: No such file or directory.",
        "page.csv: Failed: This is a web page",
    ]) {
        assert!(line.starts_with(begin), "{line:?} begins with {begin:?}");
    }
    assert_eq!(said.len(), 3, "{done:?}");
    desk.stop().await;
}

#[tokio::test]
async fn a_lost_connection_and_a_bar_name_their_source() {
    let desk = Desk::new().await;
    let busy = desk.app.busy().await;
    desk.file("first.csv", CLEAN);
    desk.file("second.csv", CLEAN);
    let proxy = Proxy::start(&desk.app.origin.parse().unwrap()).await;
    let mut posts = 0;
    proxy.behave(move |request| {
        posts += usize::from(request.target().starts_with("POST"));
        if posts == 2 { Behaviour::CutBeforeAnswer } else { Behaviour::Pass }
    });
    let mut command = desk.command(&["import", "./first.csv", "./second.csv"]);
    command.env("RUNBOARD_URL", proxy.origin.as_str());
    let program = OnTerminal::start(&command);
    program.until_shown("./first.csv [                    ] Waiting for a free worker").await;
    let shown = program.shown();
    let lost = shown.lines().find(|line| line.ends_with(" Trying again.")).unwrap();
    assert!(lost.contains("./second.csv: The connection to "), "{shown:?}");
    drop(busy);
    let end = program.end().await;
    assert_eq!(end.code, Some(0), "{end:?}");
    for name in ["./first.csv", "./second.csv"] {
        assert!(end.shown.contains(&format!("{name}: Completed: 1 row processed")), "{end:?}");
    }
    desk.stop().await;
}

#[tokio::test]
async fn an_address_keeps_its_port_and_loses_its_query() {
    let (desk, host) = Desk::beside_host().await;
    let (first, second) = (host.url("/a.csv"), host.url("/b.csv"));
    let done = desk.run(&["import", "--no-wait", &format!("{first}?key=secret"), &second]).await;
    let named: Vec<_> = done.quiet().1.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(named, [first, second]);
    desk.stop().await;
}

#[tokio::test]
async fn what_is_not_waited_for_is_named_too() {
    let desk = Desk::new().await;
    desk.file("first.csv", CLEAN);
    desk.file("second.csv", CLEAN);
    let done = ended(desk.command(&["import", "--no-wait", "first.csv", "second.csv"])).await;
    let (code, out) = done.quiet();
    let named: Vec<_> = out.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!((code, named), (0, vec!["first.csv", "second.csv"]));
    desk.stop().await;
}
