//! The bars, seen through a pseudo-terminal.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use serde_json::{Value, json};

use super::{DEADLINE, Desk, ORDERS, ORDERS_OUTPUT, after_begun, client, import_json};
use crate::support::{
    host::{Host, Reply},
    proxy::{Behaviour, Proxy},
    spawn_app_on,
    terminal::{OnTerminal, Terminal},
};

const ID: &str = "01KBC8Z3V5F0M3E2J8W4R7T9QX";

/// A server with one import, made up, which runs until the test says that it is over.
struct MadeUp {
    host: Host,
    is_over: Arc<AtomicBool>,
}

impl MadeUp {
    async fn running(sentence: &str) -> Self {
        let import = |state: &str, sentence: &str, more: Value| {
            let mut run = json!({ "functionName": "process-csv-upload", "status": state });
            run.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let import =
                json!({ "fileName": "numbers.csv", "state": state, "stateText": sentence, "runs": [run] });
            import_json(ID, &import).to_string()
        };
        let running = import("Running", sentence, json!({ "progress": { "fraction": 0.25 } }));
        let output = json!({ "status": "success", "processedItems": 4, "failedItems": 0 });
        let over = import("Completed", "4 rows processed.", json!({ "output": output }));
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let host =
            Host::start(move |_, _| Reply::file(if ends.load(Ordering::SeqCst) { &over } else { &running }));
        Self { host: host.await, is_over }
    }

    /// Starts the import on a terminal of this width.
    fn start(&self, columns: u16) -> OnTerminal {
        let folder = std::env::temp_dir();
        let mut command = client(&folder, &["start", ID]);
        command.env("RUNBOARD_URL", self.host.url("")).env("RUNBOARD_TOKEN", "rb_x");
        OnTerminal::start_on(Terminal::of_width(columns), &command)
    }

    /// Ends the import, and expects the program to end with it.
    async fn end(&self, program: OnTerminal) {
        self.is_over.store(true, Ordering::SeqCst);
        let end = program.end().await;
        let output = "{\"status\":\"success\",\"processedItems\":4,\"failedItems\":0}\n";
        assert_eq!((end.code, end.out.as_str()), (Some(0), output), "{end:?}");
        assert!(end.shown.ends_with("numbers.csv: Completed: 4 rows processed.\r\n"), "{end:?}");
    }
}

#[tokio::test]
async fn a_terminal_shows_a_bar_of_the_upload_and_one_of_the_rows() {
    let app =
        spawn_app_on(tempfile::tempdir().unwrap(), |config| config.step_bytes = 100_000..=100_000).await;
    let desk = Desk::at(app).await;
    let mut busy = desk.app.busy().await;
    let proxy = Proxy::start(&desk.app.origin.parse().unwrap()).await;
    proxy.behave(|request| match request.target() {
        "POST /api/v1/imports" => Behaviour::Hold,
        _ => Behaviour::Pass,
    });
    desk.file("numbers.csv", format!("n,m\nwrong\n{}", "12345678,1\n".repeat(50_000)));
    let mut command = desk.command(&["import", "numbers.csv"]);
    command.env("RUNBOARD_URL", proxy.origin.as_str());
    let program = OnTerminal::start(&command);
    program.until_shown("numbers.csv [====================] 100% of 537.12 KiB sent, ").await;
    assert!(
        !program.shown().contains(", 0 B/s"),
        "no speed is shown before there is one: {:?}",
        program.shown()
    );
    proxy.release();
    program.until_shown("numbers.csv [                    ] Waiting for a free worker").await;
    // The plan, then the first step of rows, after which nothing is read.
    const FIRST_STEP: &str = " rows, 1 failed";
    let (path, start) = (format!("/api/v1/imports/{}", desk.only_import().await), Instant::now());
    loop {
        let import: Value = desk.program.get(&path).await.json().await.unwrap();
        if import["runs"][0]["failedItems"] == 1 {
            break;
        }
        assert!(start.elapsed() < DEADLINE, "no step of rows: {import}");
        busy.lend().await;
    }
    program.until_shown(FIRST_STEP).await;
    let shown = program.shown();
    let line = shown.split('\r').find(|line| line.contains(FIRST_STEP));
    assert!(line.is_some_and(|line| line.contains("numbers.csv [===>                ] 9,09")), "{shown:?}");
    drop(busy);
    let end = program.end().await;
    assert_eq!(end.code, Some(0), "{end:?}");
    let output = after_begun(&end.out);
    assert_eq!(output, "{\"status\":\"success\",\"processedItems\":50000,\"failedItems\":1}\n");
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
    assert_eq!(done.imported(), (0, ORDERS_OUTPUT));
    desk.stop().await;
}

#[tokio::test]
async fn the_bar_of_the_rows_says_how_fast_they_are_read_and_how_long_it_takes() {
    let server = MadeUp::running("1,048,576 rows, 250,000 rows/s, 12 s left.").await;
    let program = server.start(120);
    program
        .until_shown("numbers.csv [=====>              ] 1,048,576 rows, 250,000 rows/s, 12 s left.")
        .await;
    server.end(program).await;
}

#[tokio::test]
async fn a_sentence_is_shown_whole_on_a_wide_terminal_and_on_a_narrow_one() {
    let server = MadeUp::running(
        "Attempt 1 of 4 failed: the server of the file answered 503. The next attempt begins at 20:43:26 UTC.",
    )
    .await;
    let wide = server.start(160);
    wide.until_shown(
        "] Attempt 1 of 4 failed: the server of the file answered 503. The next attempt begins at 20:43:26 UTC.",
    )
    .await;
    let narrow = server.start(40);
    let lines = [
        "numbers.csv [=====>              ]",
        "Attempt 1 of 4 failed: the server of",
        "the file answered 503. The next attempt",
        "begins at 20:43:26 UTC.",
    ];
    // Spaces fill each line.
    narrow.until_shown(lines.map(|line| format!("{line:40}")).concat().trim_end()).await;
    server.end(wide).await;
    server.end(narrow).await;
}
