//! Ctrl-C: a question first, and an import that keeps running if nobody says otherwise.

use std::process::{Command, Stdio};

use super::{Desk, ORDERS, ORDERS_OUTPUT, after_begun};
use crate::support::{
    host::Host,
    proxy::{Behaviour, Proxy},
    terminal::OnTerminal,
    until,
};

const WAITING: &str = "Waiting for a free worker";
const QUESTION: &str = "Cancel the import of orders.csv? [y/N] ";

/// An import on a terminal that waits for a worker.
async fn waiting(desk: &Desk) -> OnTerminal {
    desk.file("orders.csv", ORDERS);
    let program = OnTerminal::start(&desk.command(&["import", "orders.csv"]));
    program.until_shown(WAITING).await;
    program
}

#[tokio::test]
async fn yes_cancels_the_import() {
    let desk = Desk::new().await;
    let _busy = desk.app.busy().await;
    let mut program = waiting(&desk).await;
    program.presses_ctrl_c();
    program.until_shown(QUESTION).await;
    program.types("y\n");
    let end = program.end().await;
    assert_eq!((end.code, after_begun(&end.out)), (Some(2), ""), "{end:?}");
    assert!(end.shown.contains("orders.csv: Cancelled: Stopped by you at "), "{end:?}");
    assert_eq!(desk.imports().await[0]["state"], "Cancelled");
    desk.stop().await;
}

#[tokio::test]
async fn anything_else_goes_on_and_the_bar_comes_back() {
    let desk = Desk::new().await;
    let busy = desk.app.busy().await;
    let mut program = waiting(&desk).await;
    program.presses_ctrl_c();
    program.until_shown(QUESTION).await;
    let before = program.shown().matches(WAITING).count();
    program.types("\n");
    until("the bar to come back", || program.shown().matches(WAITING).count() > before).await;
    drop(busy);
    let end = program.end().await;
    assert_eq!((end.code, after_begun(&end.out)), (Some(0), ORDERS_OUTPUT), "{end:?}");
    desk.stop().await;
}

#[tokio::test]
async fn a_second_one_leaves_and_says_where_the_import_is() {
    let desk = Desk::new().await;
    let busy = desk.app.busy().await;
    let mut program = waiting(&desk).await;
    program.presses_ctrl_c();
    program.until_shown(QUESTION).await;
    program.presses_ctrl_c();
    let end = program.end().await;
    assert_eq!((end.code, after_begun(&end.out)), (Some(3), ""), "{end:?}");
    let id = desk.only_import().await;
    let page = format!("The import of orders.csv keeps running: {}/imports/{id}", desk.app.origin);
    assert!(end.shown.contains(&page), "{end:?}");
    drop(busy);
    desk.owner.wait_for_state(&format!("/imports/{id}"), "Completed").await;
    desk.stop().await;
}

#[tokio::test]
async fn an_import_that_ends_before_the_answer_needs_none() {
    let desk = Desk::new().await;
    let busy = desk.app.busy().await;
    let mut program = waiting(&desk).await;
    program.presses_ctrl_c();
    program.until_shown(QUESTION).await;
    drop(busy);
    let end = program.end().await;
    assert_eq!((end.code, after_begun(&end.out)), (Some(0), ORDERS_OUTPUT), "{end:?}");
    desk.stop().await;
}

#[tokio::test]
async fn an_upload_can_be_stopped_and_imports_nothing() {
    let desk = Desk::new().await;
    // It takes no byte, so the upload does not get on.
    let host = Host::that_never_ends().await;
    desk.file("large.csv", "a,b\n1,2\n".repeat(8 << 20));
    for answer in ["y\n", "\u{3}"] {
        let mut command = desk.command(&["import", "large.csv"]);
        command.env("RUNBOARD_URL", host.url(""));
        let mut program = OnTerminal::start(&command);
        program.until_shown("large.csv [").await;
        program.presses_ctrl_c();
        program.until_shown("Stop sending large.csv? [y/N] ").await;
        program.types(answer);
        let end = program.end().await;
        assert_eq!((end.code, end.out.as_str()), (Some(3), ""), "{end:?}");
        assert!(end.shown.contains("Stopped. Nothing more was imported."), "{end:?}");
    }
    desk.stop().await;
}

#[tokio::test]
async fn without_a_terminal_one_is_enough() {
    let desk = Desk::new().await;
    let _busy = desk.app.busy().await;
    desk.file("orders.csv", ORDERS);
    for signal in ["INT", "TERM"] {
        let before = desk.imports().await.len();
        let mut command = desk.command(&["import", "orders.csv"]);
        let process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        desk.until_imports(before + 1).await;
        // The import is recorded before the answer arrives.
        let said = |text: &str| {
            text.starts_with("The import of orders.csv keeps running: ")
                || text.starts_with("Stopped. The file was sent whole")
        };
        let id = process.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
        let output = tokio::task::spawn_blocking(|| process.wait_with_output()).await.unwrap().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(3), "{err}");
        assert_eq!(if out.is_empty() { "" } else { after_begun(&out) }, "", "{err}");
        assert!(said(&err) && err.lines().count() == 1, "{err}");
    }
    assert!(desk.imports().await.iter().all(|import| import["state"] != "Cancelled"));
    desk.stop().await;
}

#[tokio::test]
async fn several_imports_are_cancelled_together() {
    let desk = Desk::new().await;
    let _busy = desk.app.busy().await;
    desk.file("orders.csv", ORDERS);
    desk.file("others.csv", ORDERS);
    let mut program = OnTerminal::start(&desk.command(&["import", "orders.csv", "./others.csv"]));
    program.until_shown("orders.csv [                    ] Waiting for a free worker").await;
    program.presses_ctrl_c();
    program.until_shown("Cancel 2 imports? [y/N] ").await;
    program.types("y\n");
    let end = program.end().await;
    assert_eq!(end.code, Some(2), "{end:?}");
    for name in ["orders.csv", "./others.csv"] {
        assert!(end.shown.contains(&format!("{name}: Cancelled: Stopped by you at ")), "{end:?}");
    }
    let states: Vec<_> = desk.imports().await.iter().map(|import| import["state"].clone()).collect();
    assert_eq!(states, ["Cancelled", "Cancelled"]);
    desk.stop().await;
}

#[tokio::test]
async fn while_several_are_sent_only_the_rest_is_stopped() {
    let desk = Desk::new().await;
    let _busy = desk.app.busy().await;
    desk.file("orders.csv", ORDERS);
    desk.file("others.csv", ORDERS);
    let proxy = Proxy::start(&desk.app.origin.parse().unwrap()).await;
    let mut posts = 0;
    proxy.behave(move |request| {
        posts += usize::from(request.target().starts_with("POST"));
        if posts == 2 { Behaviour::Hold } else { Behaviour::Pass }
    });
    let mut command = desk.command(&["import", "orders.csv", "others.csv", "never.csv"]);
    command.env("RUNBOARD_URL", proxy.origin.as_str());
    let mut program = OnTerminal::start(&command);
    program.until_shown("others.csv [====================] 100% of ").await;
    program.presses_ctrl_c();
    program.until_shown("Stop sending others.csv? [y/N] ").await;
    program.types("y\n");
    let end = program.end().await;
    assert_eq!(end.code, Some(3), "{end:?}");
    let page = format!("{}imports/{}", proxy.origin, desk.only_import().await);
    for line in [
        "Stopped. others.csv was sent whole, so it may have been imported: runboard imports shows it.",
        &format!("The import of orders.csv keeps running: {page}"),
    ] {
        assert!(end.shown.contains(line), "{line}: {end:?}");
    }
    assert!(!end.shown.contains("never.csv"), "{end:?}");
    desk.stop().await;
}
