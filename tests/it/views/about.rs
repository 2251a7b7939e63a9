//! The lines below an import's name.

use std::sync::Arc;

use askama::Template;
use runboard::{
    csv::{Dialect, FirstRows, ReadAs},
    imports::{RunReading, RunSnapshot, Snapshot},
    inngest::RunStatus,
    store::imports::ImportRow,
    web::views::LiveSection,
};
use serde_json::json;

use super::{
    PACE, panel,
    snapshots::{at, counted, ended, import_row, report_inputs, run_row, running, sent, with},
};

#[test]
fn a_share_link_is_said_with_the_host_that_its_file_is_fetched_from() {
    let said = |address: &str| {
        let row = import_row(sent(), |row| row.source_url = Some(address.to_owned().into())).row;
        panel(&Snapshot::new(ImportRow::clone(&row), Vec::new()))
    };
    for (address, words) in [
        (
            "https://drive.google.com/file/d/1a/view",
            "From drive.google.com, by the link&#39;s download address at drive.usercontent.google.com",
        ),
        (
            "https://www.dropbox.com/s/1a/orders.csv",
            "From www.dropbox.com, by the link&#39;s download address",
        ),
        ("https://files.example/orders.csv", "From files.example<"),
    ] {
        let html = said(address);
        assert!(html.contains(words), "{words}: {html}");
    }
}

/// `run` with a file that is separated by `delimiter` and in `encoding`, which is a guess.
fn read_as(run: RunSnapshot, delimiter: &str, encoding: &str) -> RunSnapshot {
    let reading = serde_json::from_value(json!({
        "delimiter": { "value": delimiter, "how": "certain" },
        "encoding": { "value": encoding, "how": "guess" },
        "quote": { "value": "double", "how": "certain" },
        "escape": { "value": "doubled", "how": "certain" },
        "header": { "value": { "line": 1 }, "how": "certain" },
        "header_rows": { "value": 1, "how": "certain" },
        "notes": {},
    }));
    let read_as = ReadAs { reading: reading.unwrap(), dialect: Dialect::plain(), sheet: None };
    let committed = RunReading { read_as: Some(Arc::new(read_as)), ..RunReading::default() };
    RunSnapshot { committed, ..run }
}

#[test]
fn results_are_offered_in_the_format_of_the_file_unless_it_is_the_usual_one() {
    let offered = |processed, failed, delimiter, encoding| {
        let run = counted(processed, failed, ended(RunStatus::Completed));
        let html = panel(&with(read_as(run, delimiter, encoding)));
        let (_, line) = html.split_once("<p class=\"source-format\">")?;
        let line = line.split_once("</p>").unwrap().0;
        let format = line.split_once(':').unwrap().0.to_owned();
        Some((format, line.contains("failed.csv?as=source"), line.contains("processed.csv?as=source")))
    };
    let of = |format: &str| format!("In the format of the file ({format})");
    assert_eq!(offered(3, 2, ";", "windows-1252"), Some((of("semicolons, Windows-1252"), true, true)));
    assert_eq!(offered(3, 0, "\t", "UTF-16LE"), Some((of("tabs, UTF-16 LE"), false, true)));
    assert_eq!(offered(0, 2, ",", "windows-1252"), Some((of("commas, Windows-1252"), true, false)));
    assert_eq!(offered(3, 2, ",", "UTF-8"), None);
    assert_eq!(offered(0, 0, ";", "UTF-8"), None);
    let html = panel(&with(read_as(running(), ";", "windows-1252")));
    assert!(!html.contains("as=source"), "only once there is something to download");
}

#[test]
fn a_file_is_said_to_be_read_once_it_is_and_by_whom() {
    let scheduled = run_row(running(), |row| {
        row.status = RunStatus::Scheduled;
        row.execution = None;
        row.counts = None;
        row.bytes = 0;
        row.function_name = None;
    });
    let foreign = run_row(scheduled.clone(), |row| row.function_name = Some("mail-the-buyer".to_owned()));
    let unread = run_row(running(), |row| {
        row.bytes = 0;
        row.counts = None;
    });
    let over = run_row(unread.clone(), |row| {
        row.ended_at = Some(at("14:03:19"));
        row.status = RunStatus::Failed;
    });
    let first = FirstRows { header_line: 1, is_failed_csv: true, ..FirstRows::default() };
    let read = read_as(running(), ";", "windows-1252");
    let corrected = RunSnapshot {
        committed: RunReading { first_rows: Some(Arc::new(first)), ..RunReading::default() },
        ..running()
    };
    for (snapshot, words) in [
        (sent(), "Not read yet"),
        (import_row(sent(), |row| row.held_until = Some(at("14:05:00"))), "Not imported yet"),
        (with(scheduled), "Not read yet"),
        (with(unread), "Not read yet"),
        // Also if its first rows were not kept.
        (with(running()), "Separated by commas, UTF-8."),
        (with(read), "Separated by semicolons, Windows-1252 (Western Europe, a guess), header in line 1."),
        (with(foreign), "Read by other functions"),
        (with(over), "Not read"),
        (
            with(corrected),
            "Separated by commas, UTF-8, header in line 1.</span> <span>Recognised as failed rows of an earlier \
             import; the columns that Runboard added are left out.",
        ),
    ] {
        let html = panel(&snapshot);
        assert!(
            html.contains(&format!("<span>{words}</span><span class=\"size\">84.6 MB")),
            "{words}: {html}"
        );
        let card = LiveSection::new([&snapshot], &report_inputs(), PACE).render().unwrap();
        // Nothing is said about a file whose reading is unknown.
        let is_known = snapshot.runs.iter().any(|run| run.read_as().is_some());
        let separators = if is_known { ", separated by semicolons" } else { "" };
        assert!(card.contains(&format!("<p class=\"hint\">84.6 MB{separators}</p>")), "{words}: {card}");
    }
}
