//! The bars, seen through a pseudo-terminal.

use std::time::Duration;

use tokio::time::timeout;

use super::{Desk, ORDERS, ORDERS_OUTPUT};
use crate::support::{
    proxy::{Behaviour, Proxy},
    spawn_app_on,
    terminal::OnTerminal,
};

#[tokio::test]
async fn a_terminal_shows_a_bar_of_the_upload_and_one_of_the_rows() {
    let app =
        spawn_app_on(tempfile::tempdir().unwrap(), |config| config.step_bytes = 100_000..=100_000).await;
    let desk = Desk::at(app).await;
    let mut busy = desk.app.busy().await;
    let proxy = Proxy::start(&desk.app.origin.parse().unwrap()).await;
    proxy.behave(|request| match request.target() {
        "POST /api/v1/imports" => Behaviour::Delay(Duration::from_secs(1)),
        _ => Behaviour::Pass,
    });
    desk.file("numbers.csv", format!("n,m\nwrong\n{}", "12345678,1\n".repeat(50_000)));
    let mut command = desk.command(&["import", "numbers.csv"]);
    command.env("RUNBOARD_URL", proxy.origin.as_str());
    let program = OnTerminal::start(&command);
    program.until_shown("numbers.csv [====================] 100% of 537.12 KiB sent, ").await;
    program.until_shown("numbers.csv [                    ] Waiting for a free worker").await;
    // The plan, then the first step of rows, after which nothing is read.
    const FIRST_STEP: &str = " rows, 1 failed";
    for _ in 0..5 {
        busy.lend().await;
        // News of rows come once a second.
        if timeout(Duration::from_secs(3), program.until_shown(FIRST_STEP)).await.is_ok() {
            break;
        }
    }
    let shown = program.shown();
    let line = shown.split('\r').find(|line| line.contains(FIRST_STEP));
    assert!(line.is_some_and(|line| line.contains("numbers.csv [===>                ] 9,09")), "{shown:?}");
    drop(busy);
    let end = program.end().await;
    assert_eq!(end.code, Some(0), "{end:?}");
    assert_eq!(end.out, "{\"status\":\"success\",\"processedItems\":50000,\"failedItems\":1}\n");
    let last = end.shown.lines().last().unwrap();
    assert!(last.contains("numbers.csv: Completed: 50,000 rows processed, 1 failed, in "), "{last:?}");
    desk.stop().await;
}

#[tokio::test]
async fn without_a_terminal_nothing_is_drawn() {
    let desk = Desk::new().await;
    desk.file("orders.csv", ORDERS);
    let mut command = desk.command(&["import", "orders.csv"]);
    command.env("TERM", "xterm").env("CLICOLOR_FORCE", "1");
    let done = super::ended(command).await;
    assert_eq!(done.quiet(), (0, ORDERS_OUTPUT));
    desk.stop().await;
}

#[tokio::test]
async fn the_bar_of_the_rows_says_how_fast_they_are_read_and_how_long_it_takes() {
    let desk = Desk::new().await;
    desk.file("numbers.csv", format!("n,m\n{}", "12345678,1\n".repeat(8 << 20)));
    let program = OnTerminal::start(&desk.command(&["import", "numbers.csv"]));
    program.until_shown(" rows/s, ").await;
    let end = program.end().await;
    assert_eq!(end.code, Some(0), "{end:?}");
    let line = end.shown.split('\r').find(|line| line.contains(" rows/s, ")).unwrap();
    assert!(line.contains("numbers.csv [") && line.contains(" s left."), "{line:?}");
    desk.stop().await;
}
