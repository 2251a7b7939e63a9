//! The text for people and the attributes for scripts, state by state.

mod about;
mod causes;
mod extremes;
mod findings;
mod guests;
mod layout;
mod reading;
mod snapshots;
mod states;

use std::{sync::Arc, time::Duration};

use askama::Template;
use runboard::{
    base::{ids::ImportId, time::UnixMillis},
    csv::Choices,
    imports::{Count, OutageCause, Snapshot},
    inngest::{RunOutput, RunStatus},
    report::{badge::Tone, history::HistoryRow},
    store::imports::{Relative, RetryOf},
    web::{
        pages::{DashboardPage, ImportPage},
        views::{DropZone, HistorySection, ImportForm, ImportPanel, LiveSection, RefusedForm},
    },
};
use serde_json::json;
use snapshots::{
    RUN, at, counted, empty_history, ended, frame, import_row, report_inputs, retrying, run_row, running,
    sent, silent, with,
};

const PACE: Duration = Duration::from_millis(500);

fn panel(snapshot: &Snapshot) -> String {
    ImportPanel::new(snapshot, &report_inputs(), PACE).render().unwrap()
}

/// The badge and the sentence of each block of a panel.
fn read(snapshot: &Snapshot) -> Vec<(String, String)> {
    let panel = ImportPanel::new(snapshot, &report_inputs(), PACE);
    let said = panel.blocks.iter();
    said.map(|block| (block.badge.shown.word().to_owned(), block.sentence.plain())).collect()
}

/// How often `needle` occurs in `html`.
fn count(html: &str, needle: &str) -> usize {
    html.matches(needle).count()
}

/// The value of the first attribute `name`.
fn attribute<'h>(html: &'h str, name: &str) -> Option<&'h str> {
    html.split_once(&format!(" {name}=\""))?.1.split('"').next()
}

#[test]
fn scripts_read_plain_numbers_and_nothing_while_they_are_unknown() {
    let html = panel(&with(running()));
    for (name, value) in [
        ("data-run-id", RUN),
        ("data-status", "Running"),
        ("data-processed", "249588"),
        ("data-failed", "412"),
    ] {
        assert_eq!((attribute(&html, name), count(&html, name)), (Some(value), 1), "{name}");
    }
    let unknown = panel(&with(run_row(running(), |row| row.counts = None)));
    assert_eq!(attribute(&unknown, "data-processed"), Some(""));
    assert_eq!(attribute(&unknown, "data-failed"), Some(""));
}

#[test]
fn each_run_and_each_import_is_marked_once_on_a_page() {
    let second = run_row(running(), |row| {
        row.run_id = "01M852CE07000000000000000".to_owned().into();
        row.execution = None;
    });
    let fan_out = Snapshot { runs: vec![running(), second.clone()], ..sent() };
    let done = with(run_row(ended(RunStatus::Completed), |row| row.run_id = "01M9".to_owned().into()));
    let without_run = sent();
    let page = DashboardPage {
        frame: frame(),
        deleted: None,
        drop_zone: DropZone { max_bytes: 10 << 30, refused: None },
        live: LiveSection::new([&fan_out, &without_run], &report_inputs(), PACE),
        history: Some(HistorySection {
            rows: vec![HistoryRow::new(&done, &report_inputs())],
            total: Count::Exactly(1),
            ..empty_history()
        }),
    };
    let html = page.render().unwrap();
    for (name, times) in [
        ("data-import-id=\"", 3),
        ("data-state=\"", 3),
        ("data-run-id=\"", 3),
        ("data-status=\"", 3),
        ("data-processed=\"", 3),
        ("data-failed=\"", 3),
    ] {
        assert_eq!(count(&html, name), times, "{name}");
    }
    // A function of somebody else is shown by the engine's id.
    assert!(html.contains("process-csv-upload") && html.contains(&second.row.function_id));

    let html = ImportPage::new(frame(), &fan_out, &report_inputs(), PACE).render().unwrap();
    assert_eq!((count(&html, "data-import-id=\""), count(&html, "data-run-id=\"")), (1, 2));
}

#[test]
fn only_what_is_unfinished_asks_again() {
    let finished = with(ended(RunStatus::Completed));
    let unfinished = with(running());
    assert_eq!(attribute(&panel(&unfinished), "hx-trigger"), Some("every 500ms"));
    let path = format!("/imports/{}/panel?version=", unfinished.row.id);
    assert_eq!(attribute(&panel(&unfinished), "hx-get"), Some(path.as_str()));
    for asking in ["=\"every ", "data-live"] {
        assert!(!panel(&finished).contains(asking), "{asking}: {}", panel(&finished));
    }

    let live = |snapshots: &[&Snapshot]| {
        LiveSection::new(snapshots.iter().copied(), &report_inputs(), PACE).render().unwrap()
    };
    let both = live(&[&unfinished, &finished]);
    let path = format!("/live?keep={},{}&#38;since=&#38;version=", unfinished.row.id, finished.row.id);
    assert_eq!(attribute(&both, "hx-get"), Some(path.as_str()));
    assert!(both.contains(">1</span></h2>"), "{both}");
    assert!(!live(&[&finished]).contains("hx-"));
    // The heading counts each card.
    let held = import_row(sent(), |row| (row.sent_at, row.held_until) = (None, Some(at("14:05:00"))));
    let heading = |snapshots: &[&Snapshot]| {
        let html = live(snapshots);
        let heading = html.split("id=\"live-heading\">").nth(1).unwrap().split("</h2>").next().unwrap();
        heading.replace("<span class=\"count\">", "").replace("</span>", "")
    };
    assert_eq!(
        heading(&[&unfinished, &held, &held, &finished]),
        "In progress 1, Not started 2, Just finished 1"
    );
    assert_eq!(heading(&[&held]), "Not started 1");
    assert_eq!(heading(&[&finished, &finished]), "Just finished");
    let look = format!("<a class=\"button primary\" href=\"/imports/{}\">Look", held.row.id);
    assert!(live(&[&held]).contains(&look), "{}", live(&[&held]));
    assert!(!live(&[]).contains("hx-"));
}

#[test]
fn a_fragment_is_one_element_with_nothing_around_it() {
    // Text around it would be left behind at every poll.
    let live = LiveSection::new([&with(running())], &report_inputs(), PACE).render().unwrap();
    for html in [panel(&with(running())), panel(&sent()), live] {
        assert!(html.starts_with('<') && html.ends_with('>'), "{html:?}");
    }
}

#[test]
fn a_file_name_is_never_markup() {
    let name = r#""><script>alert(1)</script>.csv"#;
    let snapshot = import_row(with(running()), |row| row.file_name = name.to_owned());
    let page = ImportPage::new(frame(), &snapshot, &report_inputs(), PACE).render().unwrap();
    let live = LiveSection::new([&snapshot], &report_inputs(), PACE).render().unwrap();
    for html in [page, live] {
        assert!(!html.contains("<script>"), "{html}");
        assert!(html.contains("&#60;script&#62;alert(1)&#60;/script&#62;.csv"), "{html}");
    }
}

#[test]
fn what_the_engine_says_is_never_markup() {
    let output = json!({"message": "<img src=x onerror=alert(1)>"});
    let run = run_row(ended(RunStatus::Failed), |row| {
        row.output = Some(RunOutput::of(&output, &RunStatus::Failed))
    });
    assert!(!panel(&with(run)).contains("<img"));
    let run = run_row(running(), |row| row.status = RunStatus::Other("\"><b>".to_owned()));
    assert!(!panel(&with(run)).contains("<b>"));
}

#[test]
fn the_last_numbers_stay_while_the_source_is_silent() {
    let quiet = Snapshot { outage: silent("14:03:15", OutageCause::NoAnswer), ..with(running()) };
    let html = panel(&quiet);
    assert_eq!(
        read(&quiet)[0].1,
        "Inngest has not answered since 14:03:15 UTC. Showing the last known numbers."
    );
    assert!(html.contains("badge live dimmed"), "{html}");
    assert_eq!(attribute(&html, "data-processed"), Some("249588"));
    assert!(attribute(&html, "hx-trigger").is_some());

    let ended =
        Snapshot { outage: silent("14:03:15", OutageCause::NoAnswer), ..with(ended(RunStatus::Completed)) };
    assert!(!panel(&ended).contains("dimmed"), "what has ended is not old");
}

#[test]
fn what_can_be_done_follows_the_state() {
    let offers = |snapshot: &Snapshot| {
        let html = panel(snapshot);
        let path = |end: &str| html.contains(&format!("\"/imports/{}/{end}\"", snapshot.row.id));
        (path("cancel"), path("processed.csv"), path("failed.csv"))
    };
    let nothing = (false, false, false);
    assert_eq!(offers(&import_row(sent(), |row| row.sent_at = None)), nothing);
    assert_eq!(offers(&sent()), (true, false, false));
    assert_eq!(offers(&with(running())), (true, false, false));
    assert_eq!(offers(&with(ended(RunStatus::Completed))), (false, true, true));
    assert_eq!(offers(&with(counted(3, 0, ended(RunStatus::Completed)))), (false, true, false));
    assert_eq!(offers(&with(counted(0, 0, ended(RunStatus::Failed)))), nothing);
    assert_eq!(offers(&with(counted(0, 0, ended(RunStatus::Completed)))), nothing);
    assert_eq!(offers(&with(counted(0, 3, ended(RunStatus::Completed)))), (false, false, true));

    let asked = import_row(with(running()), |row| row.cancel_requested_at = Some(at("14:03:18")));
    assert_eq!(offers(&asked), nothing);
    assert!(panel(&asked).contains("Cancelling"));
}

#[test]
fn what_can_be_run_again_follows_the_state() {
    let offers = |html: &str, snapshot: &Snapshot| {
        let form = |kind: &str| html.contains(&format!("id=\"retry-{kind}-{}\"", snapshot.row.id));
        (form("failed"), form("all"))
    };
    let on_panel = |snapshot: &Snapshot| offers(&panel(snapshot), snapshot);
    let on_card = |snapshot: &Snapshot| {
        offers(&LiveSection::new([snapshot], &report_inputs(), PACE).render().unwrap(), snapshot)
    };
    let foreign = |status| run_row(ended(status), |row| row.execution = None);
    let table = [
        (sent(), (false, false)),
        (with(running()), (false, false)),
        (with(retrying(4)), (false, false)),
        (with(counted(3, 0, ended(RunStatus::Completed))), (false, true)),
        (with(counted(0, 0, ended(RunStatus::Failed))), (false, true)),
        (with(counted(3, 0, ended(RunStatus::Cancelled))), (false, true)),
        (with(foreign(RunStatus::Completed)), (false, true)),
        (import_row(sent(), |row| row.refused = Some("it is too large".to_owned())), (false, true)),
    ];
    for (snapshot, offered) in table {
        assert_eq!((on_panel(&snapshot), on_card(&snapshot)), (offered, offered), "{:?}", snapshot.runs);
    }
    // A card shows only the next action. Our own function alone would fail the same rows again.
    let others = |status| run_row(foreign(status), |row| row.run_id = "other".to_owned().into());
    for status in [RunStatus::Completed, RunStatus::Failed, RunStatus::Cancelled] {
        let alone = with(ended(status.clone()));
        assert_eq!((on_panel(&alone), on_card(&alone)), ((false, true), (false, false)));
        let mut fan_out = alone;
        fan_out.runs.push(others(status));
        assert_eq!((on_panel(&fan_out), on_card(&fan_out)), ((true, true), (false, false)));
        assert!(panel(&fan_out).contains("starts every function of the event again"));
    }
}

#[test]
fn the_primary_button_after_rows_failed_downloads_them_unless_the_reading_may_be_wrong() {
    for (counts, leads_to) in [((3, 2), "/failed.csv\" download"), ((0, 2), "?change=1#change\"")] {
        let html = panel(&with(counted(counts.0, counts.1, ended(RunStatus::Completed))));
        let primary = html.split("primary\"").nth(1).expect("a primary button");
        assert!(primary.trim_start().starts_with("href=\"/imports/"), "{html}");
        assert!(primary.split('>').next().unwrap().contains(leads_to), "{html}");
        assert_eq!(count(&html, "primary\""), 1, "{html}");
    }
}

#[test]
fn completed_is_not_green_where_every_row_failed() {
    let tones = |processed, failed| {
        let snapshot = with(counted(processed, failed, ended(RunStatus::Completed)));
        let page = ImportPanel::new(&snapshot, &report_inputs(), PACE);
        (page.blocks[0].badge.shown.tone(), page.tab.title, page.tab.icon)
    };
    let (good, title, good_icon) = tones(3, 2);
    assert_eq!((good, title.split(' ').next()), (Tone::Good, Some("Completed")));
    let (warn, title, warn_icon) = tones(0, 2);
    assert_eq!(warn, Tone::Warn);
    assert!(title.starts_with("All rows failed · "), "{title}");
    assert_ne!(good_icon, warn_icon);
}

#[test]
fn what_was_run_again_is_a_way_there_and_no_button() {
    let retry = |retry_of| Relative {
        id: ImportId::generate(),
        file_name: "orders-2026-11-failed.csv".to_owned(),
        retry_of,
        choices: Choices::default(),
    };
    let failed = retry(RetryOf::Failed);
    let snapshot = Snapshot { retries: Arc::new(vec![failed.clone()]), ..with(ended(RunStatus::Completed)) };
    let html = panel(&snapshot);
    assert!(html.contains(&format!("href=\"/imports/{}\"", failed.id)), "{html}");
    assert!(!html.contains("id=\"retry-failed-"), "{html}");
    assert!(html.contains("id=\"retry-all-"), "the whole has not been run again: {html}");

    // A retry shows that it is one where an upload shows how it was received.
    let child = import_row(with(running()), |row| row.parent = Some(retry(RetryOf::All)));
    assert!(panel(&child).contains("<strong>Re-run</strong>") && !panel(&child).contains("Received"));
}

#[test]
fn a_failed_row_is_seen_in_the_bar_however_few_there_are() {
    let bar = |failed| panel(&with(counted(1_000_000, failed, ended(RunStatus::Completed))));
    assert!(bar(1).contains(r#"class="failed""#) && bar(1).contains(r#"width="4""#));
    assert!(!bar(0).contains(r#"<rect class="failed""#));
    assert_eq!(attribute(&bar(1), "aria-label"), Some("Status of the import"));
    assert!(bar(1).contains(r#"aria-label="100% read, 1,000,000 processed, 1 failed""#));
}

#[test]
fn a_run_that_completed_without_counts_is_not_said_to_have_read_the_file() {
    let completed = |counts| panel(&with(run_row(ended(RunStatus::Completed), |row| row.counts = counts)));
    let (known, unknown) = (completed(Some(runboard::csv::Counts::default())), completed(None));
    assert!(known.contains("<dd>100%") && known.contains("100% read"), "{known}");
    assert!(!unknown.contains("<dd>100%") && !unknown.contains("100% read"), "{unknown}");
}

#[test]
fn a_refused_upload_says_why_in_the_drop_zone() {
    let page = |refused: Option<RefusedForm>| {
        DashboardPage {
            frame: frame(),
            deleted: None,
            drop_zone: DropZone { max_bytes: 10 << 30, refused },
            live: LiveSection::new([], &report_inputs(), PACE),
            history: Some(empty_history()),
        }
        .render()
        .unwrap()
    };
    let refused = page(Some(RefusedForm {
        form: ImportForm::File,
        error: "The file is empty.".to_owned(),
        each: Vec::new(),
        imported: None,
        address: "https://files.example/?a=\"".to_owned(),
        looks: true,
    }));
    assert!(refused.contains(r#"id="upload-error" role="alert">The file is empty.</p>"#), "{refused}");
    assert!(refused.contains(r#"name="url" value="https://files.example/?a=&#34;""#), "{refused}");
    assert!(refused.contains(r#"name="look" value="1" checked"#), "{refused}");
    assert!(page(None).contains("Up to 10 GiB each."));
    assert!(page(None).contains("Nothing imported yet"));
    assert!(page(None).contains("History</h2>"), "what finishes is above it, so it counts nothing");
}

#[test]
fn where_nobody_took_an_event_the_panel_says_that_a_function_may_have_skipped_it() {
    let words = "A function may also have skipped the event, as a singleton does.";
    let untaken = Snapshot {
        is_untaken: true,
        ..import_row(sent(), |row| row.sent_at = Some(UnixMillis(report_inputs().now.0 - 30_000)))
    };
    assert!(panel(&untaken).contains(words));
    assert!(!panel(&sent()).contains(words));
}
