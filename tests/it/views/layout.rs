//! Sections that reserve their place on a page, and sections that are omitted if they would stay empty.

use std::sync::Arc;

use askama::Template;
use runboard::{
    csv::Choices,
    imports::{FetchedFrom, RunSnapshot, Snapshot},
    inngest::{RunOutput, RunStatus},
    report::history::HistoryRow,
    store::imports::{Relative, RetryOf},
    web::views::{ImportPanel, LiveSection},
};
use serde_json::json;

use super::{
    PACE, count, panel,
    snapshots::{at, ended, import_row, report_inputs, retrying, run_row, running, sent, with},
};

/// Another function's run, queued at `queued_at`, in the state of `run`.
fn foreign(number: u32, queued_at: &str, run: RunSnapshot) -> RunSnapshot {
    run_row(run, |row| {
        row.run_id = format!("01M852CE0700000000000000{number:02}").into();
        row.function_name = Some(format!("function-{number}"));
        row.queued_at = at(queued_at);
        row.execution = None;
    })
}

/// The titles of the timeline with their details, in order.
fn timeline(snapshot: &Snapshot) -> Vec<String> {
    let panel = ImportPanel::new(snapshot, &report_inputs(), PACE);
    panel.timeline.entries.iter().map(|entry| format!("{}: {}", entry.title, entry.detail)).collect()
}

#[test]
fn the_timeline_of_a_fan_out_is_in_order_of_time() {
    let unknown = run_row(running(), |row| {
        row.counts = None;
        row.bytes = 0;
    });
    let late = foreign(1, "14:03:16", unknown.clone());
    let over = run_row(foreign(2, "14:03:11", unknown), |row| {
        row.ended_at = Some(at("14:03:12"));
        row.status = RunStatus::Completed;
    });
    let told = timeline(&Snapshot { runs: vec![late, retrying(1), over], ..sent() });
    let place = |beginning: &str| {
        let found = told.iter().position(|entry| entry.starts_with(beginning));
        found.unwrap_or_else(|| panic!("no {beginning} in {told:#?}"))
    };
    let in_order = [
        "Received",
        "Saved and sent",
        "Queued: process-csv-upload",
        "Queued: function-2",
        "Completed: function-2",
        "Queued: function-1",
        "Running: function-1",
    ];
    assert!(in_order.map(place).is_sorted(), "{told:#?}");
    assert!(place("Attempt 1 failed: process-csv-upload: Connection reset.") < place("Running: function-1"));
}

#[test]
fn an_event_that_is_confirmed_after_its_run_was_queued_stands_above_it() {
    let confirmed_late = import_row(sent(), |row| row.sent_at = Some(at("14:03:08")));
    let told = timeline(&Snapshot { runs: vec![running()], ..confirmed_late });
    let titles: Vec<&str> = told.iter().filter_map(|entry| entry.split(':').next()).collect();
    assert_eq!(titles, ["Received", "Saved and sent", "Queued", "Started", "Running"], "{told:#?}");
}

#[test]
fn only_a_function_that_tells_counts_has_a_row_of_figures() {
    let unknown = run_row(running(), |row| {
        row.counts = None;
        row.bytes = 0;
    });
    let figures = |runs: Vec<RunSnapshot>| {
        let snapshot = Snapshot { runs, ..sent() };
        let card = LiveSection::new([&snapshot], &report_inputs(), PACE).render().unwrap();
        (count(&panel(&snapshot), "class=\"figures\""), count(&card, "class=\"figures\""))
    };
    assert_eq!(figures(vec![running(), foreign(1, "14:03:07", unknown.clone())]), (1, 1));
    assert_eq!(
        figures(vec![running(), foreign(1, "14:03:07", running())]),
        (2, 2),
        "another function with counts"
    );
    // The figures of our own function have their place before the first count.
    assert_eq!(figures(vec![unknown]), (1, 1));
    assert_eq!(figures(Vec::new()), (1, 1));
}

#[test]
fn the_reasons_have_their_place_before_there_are_any() {
    let section = |snapshot: &Snapshot| {
        let html = panel(snapshot);
        let section =
            html.split_once("id=\"reasons\"").map(|(_, rest)| rest.split_once("</section>").unwrap().0);
        section.map(|section| section.rsplit_once("nothing-yet\">").unwrap().1.trim().to_owned())
    };
    let unread = run_row(running(), |row| {
        row.counts = None;
        row.bytes = 0;
    });
    for (snapshot, words) in [
        (sent(), "No rows have failed so far.</p>"),
        (with(unread), "No rows have failed so far.</p>"),
        (with(running()), "412 rows have failed so far. Their reasons show here when the import ends.</p>"),
        (with(super::counted(1_000, 0, ended(RunStatus::Completed))), "No rows failed.</p>"),
    ] {
        assert_eq!(section(&snapshot).as_deref(), Some(words));
    }
    assert_eq!(
        section(&with(foreign(1, "14:03:07", running()))),
        None,
        "another's function tells no reasons"
    );
}

#[test]
fn a_run_that_failed_at_its_start_shows_the_address_and_the_next_step_and_nothing_empty() {
    let output = json!({"message": "the address answered 404."});
    let run = RunSnapshot {
        upload_bytes: 0,
        ..run_row(ended(RunStatus::Failed), |row| {
            row.output = Some(RunOutput::of(&output, &RunStatus::Failed));
            row.counts = None;
            row.bytes = 0;
        })
    };
    let address = "https://files.example/prices.csv";
    let from =
        FetchedFrom { host: "files.example".to_owned(), address: address.to_owned(), downloaded_from: None };
    let html = panel(&Snapshot { fetched_from: Some(Arc::new(from)), ..with(run.clone()) });
    for said in [
        "he address answered 404.",
        &format!("Address: <span class=\"mono\" dir=\"ltr\">{address}</span>"),
        "Open the address in a browser to check it, then run the import again.",
    ] {
        assert!(html.contains(said), "{said}: {html}");
    }
    for empty in ["class=\"figures\"", "class=\"plot", "id=\"reasons\"", "first-rows"] {
        assert!(!html.contains(empty), "{empty}: {html}");
    }
    assert!(panel(&with(run.clone())).contains("Correct the file and import it again."));
    // A cause that says what to do is not followed by other advice.
    let output = json!({"message": "This is a web page, not a CSV. Use its export link."});
    let output = Some(RunOutput::of(&output, &RunStatus::Failed));
    assert!(!panel(&with(run_row(run.clone(), |row| row.output = output))).contains("Correct the file"));
    // Advice on another function's failure is up to that function or the engine.
    let others = run_row(run.clone(), |row| {
        row.execution = None;
        row.run_id = "other".to_owned().into();
    });
    let both = Snapshot { runs: vec![run.clone(), others.clone()], ..with(run.clone()) };
    for snapshot in [with(others.clone()), both] {
        let html = panel(&snapshot);
        assert!(html.contains("next-step") && !html.contains("Correct the file"), "{html}");
    }
    // Another function that has completed has done something, even if it reports no counts.
    let completed = run_row(others, |row| {
        row.status = RunStatus::Completed;
        row.output = None;
    });
    let html = panel(&Snapshot { runs: vec![run.clone(), completed], ..with(run.clone()) });
    assert!(!html.contains("next-step") && html.contains("class=\"figures\""), "{html}");
    // Rows that were read before a later failure are shown.
    let later = panel(&with(super::counted(5_209, 0, ended(RunStatus::Failed))));
    assert!(later.contains("class=\"figures\"") && !later.contains("next-step"), "{later}");
}

#[test]
fn a_re_run_is_marked_in_the_history_and_on_its_card() {
    let done = with(ended(RunStatus::Completed));
    let of = |retry_of| {
        let choices = Choices::default();
        let parent = Relative { id: done.row.id, file_name: "orders.csv".to_owned(), retry_of, choices };
        HistoryRow::new(&import_row(done.clone(), |row| row.parent = Some(parent)), &report_inputs()).again
    };
    assert_eq!(of(RetryOf::All), Some("Re-run"));
    assert_eq!(of(RetryOf::Failed), Some("Re-run of failed rows"));
    assert_eq!(HistoryRow::new(&done, &report_inputs()).again, None);
    let parent = Relative {
        id: done.row.id,
        file_name: "orders.csv".to_owned(),
        retry_of: RetryOf::All,
        choices: Choices::default(),
    };
    let again = import_row(with(running()), |row| row.parent = Some(parent));
    let card = LiveSection::new([&again], &report_inputs(), PACE).render().unwrap();
    assert!(card.contains(r#"<p class="hint">Re-run, 84.6 MB</p>"#), "{card}");
}
