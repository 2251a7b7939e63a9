//! Attempts over HTTP: a failed step is retried, and the page shows the attempts.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::header;

use crate::support::{
    TestApp, spawn_app_on,
    visitor::{Panel, Visitor},
};

/// The good rows before the first failed one: many blocks of reading.
const GOOD_ROWS: usize = 3_000_000;
const REASON: &str = "A stored file could not be read or written. Ask the operator to check the disk";

/// A server whose attempts follow each other after `pauses`, and a signed-in user.
async fn app_with(pauses: &[Duration]) -> (TestApp, Visitor) {
    let pauses = pauses.to_vec();
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.engine_retries = pauses).await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    (app, visitor)
}

/// A file of good rows followed by one bad row, and the expected processed rows.
fn records() -> (String, String) {
    let good: String = (1..=GOOD_ROWS).map(|id| format!("{id},name {id}\n")).collect();
    (format!("id,name\n{good}bad\n"), format!("id,name\n{good}").replace('\n', "\r\n"))
}

/// Replaces the folder of outputs by a plain file, so that no output can be created.
struct Broken {
    folder: PathBuf,
    away: PathBuf,
}

impl Broken {
    fn folder_of(data: &Path) -> Self {
        let folder = data.join("files/runs");
        let away = data.join("away");
        fs::rename(&folder, &away).unwrap();
        fs::write(&folder, "no folder").unwrap();
        Self { folder, away }
    }

    fn mend(self) {
        fs::remove_file(&self.folder).unwrap();
        fs::rename(&self.away, &self.folder).unwrap();
    }
}

fn has_rows(panel: &Panel) -> bool {
    panel.runs.iter().any(|run| run.processed.parse::<u64>().is_ok_and(|rows| rows > 0))
}

/// Waits for `badge`, and checks that no count decreases on the way from `last`.
async fn wait_for_badge(visitor: &Visitor, import: &str, badge: &str, last: &mut (u64, u64)) -> Panel {
    let last = std::cell::Cell::from_mut(last);
    visitor
        .wait_for(import, badge, |panel| {
            if panel.runs.iter().any(|run| !run.processed.is_empty()) {
                let (processed, failed) = panel.counts();
                let (processed_before, failed_before) = last.get();
                assert!(processed >= processed_before && failed >= failed_before, "{last:?} {panel:?}");
                last.set((processed, failed));
            }
            panel.html.contains(&format!("</svg>{badge}</span>"))
        })
        .await
}

/// The failed attempts on the timeline, each with its reason.
fn failed_attempts(panel: &Panel) -> Vec<String> {
    let (_, timeline) = panel.html.split_once("id=\"timeline-heading\"").unwrap();
    let (timeline, _) = timeline.split_once("</ol>").unwrap();
    let entries = timeline.split("<strong>Attempt ").skip(1);
    entries
        .map(|entry| {
            assert!(entry.contains(REASON), "{entry}");
            format!("Attempt {}", entry.split("</strong>").next().unwrap())
        })
        .collect()
}

async fn text_of(visitor: &Visitor, path: &str) -> String {
    String::from_utf8(visitor.download(path).await).unwrap()
}

#[tokio::test]
async fn a_step_that_failed_is_tried_again_and_nothing_is_counted_twice() {
    let (app, visitor) = app_with(&[Duration::from_secs(3)]).await;
    let (file, good) = records();
    let import = visitor.upload("long.csv", file).await;
    let mut last = (0, 0);
    visitor.wait_for(&import, "some rows", has_rows).await;
    let broken = Broken::folder_of(app.data.path());

    let panel = wait_for_badge(&visitor, &import, "Retrying", &mut last).await;
    assert_eq!((panel.state.as_str(), panel.runs[0].status.as_str()), ("Running", "Running"));
    assert!(panel.html.contains("Retrying "), "{}", panel.html);
    assert!(panel.html.contains(&format!("(attempt 2 of 4). Last error: {REASON}.")), "{}", panel.html);
    let timed = |panel: &Panel| panel.html.contains("Retrying at <time datetime=\"");
    visitor.wait_for(&import, "the time of the next attempt", timed).await;
    broken.mend();

    let panel = wait_for_badge(&visitor, &import, "Completed", &mut last).await;
    assert_eq!(panel.counts(), (GOOD_ROWS as u64, 1));
    assert_eq!(failed_attempts(&panel), ["Attempt 1 failed"]);
    assert!(text_of(&visitor, &format!("{import}/processed.csv")).await == good, "each row once, in order");
    let failed = text_of(&visitor, &format!("{import}/failed.csv")).await;
    let line = format!("{},,\"1 field, expected 2\",bad", GOOD_ROWS + 2);
    assert_eq!(failed.lines().nth(1), Some(line.as_str()));
    app.stop().await;
}

#[tokio::test]
async fn after_four_attempts_the_run_has_failed_and_says_where() {
    let pauses = [Duration::from_secs(1), Duration::from_millis(10)];
    let (app, visitor) = app_with(&pauses).await;
    let (file, good) = records();
    let import = visitor.upload("long.csv", file).await;
    let mut last = (0, 0);
    visitor.wait_for(&import, "some rows", has_rows).await;
    let broken = Broken::folder_of(app.data.path());
    wait_for_badge(&visitor, &import, "Retrying", &mut last).await;
    let panel = wait_for_badge(&visitor, &import, "Failed", &mut last).await;
    broken.mend();

    assert_eq!((panel.state.as_str(), panel.runs[0].status.as_str()), ("Failed", "Failed"));
    let (processed, failed) = panel.counts();
    assert!(processed > 0 && failed == 0, "{:?}", panel.runs);
    let line = usize::try_from(processed).unwrap() + 2;
    let sentence = format!("Stopped at line {}: {REASON}. {} rows were processed.", grouped(line), {
        grouped(line - 2)
    });
    assert!(panel.html.contains(&sentence), "{sentence} {}", panel.html);
    assert!(panel.html.contains("<dt>Attempts</dt><dd>4 of 4</dd>"), "{}", panel.html);
    let all = [1, 2, 3, 4].map(|attempt| format!("Attempt {attempt} failed"));
    assert_eq!(failed_attempts(&panel), all);

    let answer = visitor.get(&format!("{import}/processed.csv")).await;
    let name = answer.headers()[header::CONTENT_DISPOSITION].to_str().unwrap().to_owned();
    assert!(name.contains("long%2Dprocessed%2Dpartial.csv"), "{name}");
    let partial = answer.text().await.unwrap();
    assert_eq!(partial.lines().count(), line - 1);
    assert!(good.starts_with(&partial), "the rows before that line, each once and in order");

    // The reason stays after a restart.
    let data = app.stop().await;
    let app = spawn_app_on(data, |_| {}).await;
    let mut visitor = visitor;
    visitor.origin.clone_from(&app.origin);
    let again = visitor.panel(&import).await;
    assert_eq!(again.runs, panel.runs);
    assert_eq!(failed_attempts(&again), all, "what happened is kept");
    assert!(again.html.contains(&sentence), "{}", again.html);
    app.stop().await;
}

#[tokio::test]
async fn a_restart_while_a_retry_is_waited_for_keeps_the_reason_and_the_time() {
    let (app, mut visitor) = app_with(&[Duration::from_secs(3_600)]).await;
    let broken = Broken::folder_of(app.data.path());
    let import = visitor.upload("short.csv", "id,name\n1,Ann\n").await;
    let timed = |panel: &Panel| panel.html.contains("Retrying at <time datetime=\"");
    let before = visitor.wait_for(&import, "the time of the next attempt", timed).await;
    broken.mend();
    let data = app.stop().await;

    let app = spawn_app_on(data, |_| {}).await;
    visitor.origin.clone_from(&app.origin);
    let after = visitor.wait_for(&import, "the time of the next attempt", timed).await;
    let sentence = |panel: &Panel| {
        let (_, sentence) = panel.html.split_once("<p class=\"sentence large\">").unwrap();
        sentence.split("</p>").next().unwrap().to_owned()
    };
    assert_eq!(sentence(&after), sentence(&before));
    assert!(sentence(&after).contains(REASON), "{}", sentence(&after));
    let first_rows = |panel: &Panel| {
        let (_, rows) = panel.html.split_once("id=\"first-rows\"").expect("the first rows");
        rows.split("</table>").next().unwrap().to_owned()
    };
    assert_eq!(first_rows(&after), first_rows(&before));
    assert!(first_rows(&after).contains("<bdi>Ann</bdi>"), "{}", first_rows(&after));

    visitor.post_form(&format!("{import}/cancel"), &[]).await;
    visitor.wait_for_state(&import, "Cancelled").await;
    app.stop().await;
}

#[tokio::test]
async fn a_cancelled_run_keeps_what_was_shown_of_it() {
    let (app, visitor) = app_with(&[]).await;
    let (file, good) = records();
    let import = visitor.upload("long.csv", file).await;
    visitor.wait_for(&import, "some rows", has_rows).await;
    let mut last = visitor.panel(&import).await.counts();
    visitor.post_form(&format!("{import}/cancel"), &[]).await;
    let panel = wait_for_badge(&visitor, &import, "Cancelled", &mut last).await;
    let (processed, failed) = panel.counts();
    assert!(processed < GOOD_ROWS as u64 && failed == 0, "cancelled on its way: {:?}", panel.runs);
    let partial = text_of(&visitor, &format!("{import}/processed.csv")).await;
    assert_eq!(partial.lines().count() as u64, 1 + processed);
    assert!(good.starts_with(&partial), "the rows that were counted, each once and in order");
    app.stop().await;
}

#[tokio::test]
async fn a_failure_that_no_attempt_mends_is_never_called_retrying() {
    let (app, visitor) = app_with(&[Duration::from_secs(3_600)]).await;
    let import = visitor.upload("quote.csv", "\"id,name\n1,2\n").await;
    let panel = visitor
        .wait_for(&import, "Failed", |panel| {
            assert!(!panel.html.contains("Retrying"), "{}", panel.html);
            panel.state == "Failed"
        })
        .await;
    let sentence = ">The header cannot be read: its closing quote is missing.";
    assert!(panel.html.contains(sentence), "{}", panel.html);
    app.stop().await;
}

/// A number in the page's format.
fn grouped(number: usize) -> String {
    runboard::report::format::grouped(number as u64)
}
