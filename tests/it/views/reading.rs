//! The plot on the bar, and the first rows.

use std::sync::Arc;

use askama::Template;

use runboard::{
    csv::{Counts, FirstRow, FirstRows, Stretches},
    imports::{RunReading, RunSnapshot, Snapshot},
    inngest::RunStatus,
    progress::ReadSince,
    report::{badge::Tone, plot::Plot},
    web::views::{Drawing, ImportPanel, LiveSection},
};

use super::{
    PACE, count, panel,
    snapshots::{
        at, counted, ended, import_row, report_inputs, retrying, run_row, running, sent, told, with,
    },
};

const MIB: u64 = 1 << 20;

/// A quarter of the file is read, with 10,000 rows and 40 ms in each of its hundred stretches; 412 rows
/// failed in the eleventh.
fn stretches() -> Stretches {
    let mut stretches = Stretches::new(84_600_000);
    for stretch in 0..25 {
        let failed = if stretch == 10 { 412 } else { 0 };
        stretches.count(stretch * 846_000, Counts { processed: 10_000 - failed, failed });
    }
    stretches.spend(0, 21_150_000, 1_000_000);
    stretches
}

fn read(run: RunSnapshot) -> RunSnapshot {
    RunSnapshot {
        committed: RunReading { stretches: Some(Arc::new(stretches())), ..RunReading::default() },
        ..run
    }
}

fn plot(run: RunSnapshot) -> Plot {
    let snapshot = with(run);
    let panel = ImportPanel::new(&snapshot, &report_inputs(), PACE);
    panel.blocks[0].plot.clone().expect("a run of ours has a plot")
}

#[test]
fn columns_stand_where_they_are_in_the_file_and_ticks_where_rows_failed() {
    let plot = plot(read(running()));
    assert_eq!(plot.tone, Some(Tone::Live));
    let drawing = Drawing::of(&plot);
    assert_eq!(drawing.columns.matches('M').count(), 25);
    assert!(drawing.columns.starts_with("M0.0 8.0h10.0v84.0h-10.0z"), "{}", drawing.columns);
    assert!(drawing.columns.contains("M240.0 8.0h10.0v84.0h-10.0z"), "{}", drawing.columns);
    assert_eq!(drawing.ticks, "M105.0 3v22.0");
    let ahead = drawing.ahead.unwrap();
    assert_eq!(ahead.label.as_deref(), Some("25,000 rows/s"));
    // A tenth of the columns' speed, because the time between steps counts.
    assert_eq!(ahead.path, "M250.0 83.6H1000");
    let axis = plot.axis.unwrap();
    assert_eq!(axis.quarters, ["250,000", "500,000", "750,000"]);
    assert_eq!(axis.end, "about 1,000,000");
    let html = panel(&with(read(running())));
    assert!(html.contains(r#"<svg class="plot above live""#), "{html}");
    assert!(!html.contains("style="), "{html}");
}

#[test]
fn the_table_says_the_same_and_adds_up() {
    let table = plot(read(running())).table;
    assert!(table.len() <= 20, "{}", table.len());
    let number = |text: &str| text.replace(',', "").parse::<u64>().unwrap();
    assert_eq!(table.iter().map(|row| number(&row.failed)).sum::<u64>(), 412);
    assert_eq!((table[0].from.as_str(), number(&table.last().unwrap().to)), ("1", 250_000));
    assert!(table.iter().all(|row| row.rows_per_second.as_deref() == Some("250,000")), "{table:?}");
    let html = panel(&with(read(running())));
    let caption = "<caption>How fast the file was read, and where rows failed</caption>";
    assert_eq!(count(&html, caption), 1);
    assert!(html.contains(r#"<th scope="row">1 to 20,000</th><td>250,000</td><td>0</td>"#), "{html}");
}

#[test]
fn there_is_no_line_ahead_where_nothing_is_at_work() {
    for run in [retrying(1), ended(RunStatus::Failed), counted(3, 0, ended(RunStatus::Completed))] {
        let plot = plot(read(run));
        assert!(plot.ahead.is_none() && !Drawing::of(&plot).columns.is_empty(), "{plot:?}");
    }
    assert_eq!(plot(read(retrying(1))).tone, Some(Tone::Warn));
    assert_eq!(plot(read(ended(RunStatus::Completed))).axis.unwrap().end, "250,000");
}

/// The number with this class among the figures.
fn figure(html: &str, kind: &str) -> String {
    let (_, figure) = html.split_once(&format!(r#"<div class="{kind}">"#)).unwrap();
    let (_, number) = figure.split_once("<dd").unwrap();
    number.split_once('>').unwrap().1.split('<').next().unwrap().to_owned()
}

#[test]
fn the_average_speed_counts_the_time_that_reading_took_and_nothing_else() {
    // Of the nine seconds in all, one was spent on reading.
    for status in [RunStatus::Completed, RunStatus::Failed, RunStatus::Cancelled] {
        let html = panel(&with(read(ended(status))));
        assert!(html.contains("rows/s on average"), "{html}");
        assert_eq!(figure(&html, "speed"), "250,000");
    }
    // Unknown for a run of an older version: then it is left out, and not before the end.
    assert!(!panel(&with(ended(RunStatus::Completed))).contains("rows/s"));
    assert_eq!(figure(&panel(&sent()), "speed"), "–");
}

#[test]
fn speed_and_time_left_are_measured_from_where_the_reading_began() {
    let said = |read_since| {
        let (_, sentence) =
            super::read(&with(told(running(), |live| live.read_since = read_since))).remove(0);
        sentence.split_once("412 failed").unwrap().1.to_owned()
    };
    // Eight of the ten seconds were spent on the fetch.
    let fetched = ReadSince { at: at("14:03:18"), rows: 0, bytes: 0 };
    assert_eq!(said(Some(fetched)), "; 125,000 rows/s, 6 s left.");
    // After a restart: all but a fifth of the rows were read before it.
    let resumed = ReadSince { at: at("14:03:18"), rows: 200_000, bytes: 16_920_000 };
    assert_eq!(said(Some(resumed)), "; 25,000 rows/s, 30 s left.");
    assert_eq!(said(None), ".");
}

#[test]
fn room_for_a_plot_is_there_from_the_first_paint_and_never_taken_back() {
    let room = |snapshot: &Snapshot| count(&panel(snapshot), "<svg class=\"plot ");
    let scheduled = |function_name: Option<&str>| RunSnapshot {
        upload_bytes: 0,
        ..run_row(running(), |row| {
            row.status = RunStatus::Scheduled;
            row.function_name = function_name.map(str::to_owned);
            row.execution = None;
            row.counts = None;
            row.bytes = 0;
        })
    };
    let never_called = |name| {
        run_row(scheduled(Some(name)), |row| {
            row.status = RunStatus::Cancelled;
            row.ended_at = ended(RunStatus::Cancelled).row.ended_at;
        })
    };
    let ours = [
        import_row(sent(), |row| row.sent_at = None),
        sent(),
        with(scheduled(None)),
        with(scheduled(Some("process-csv-upload"))),
        with(running()),
        with(read(running())),
        with(read(ended(RunStatus::Completed))),
        with(ended(RunStatus::Failed)),
        with(never_called("runboard-process-csv-upload")),
    ];
    for snapshot in ours {
        assert_eq!(room(&snapshot), 2, "{:?}", snapshot.runs);
        // A file of one stretch is recognised from the beginning.
        assert_eq!(room(&import_row(snapshot, |row| row.size_bytes = 100_000)), 0);
    }
    let foreign = |status| run_row(scheduled(Some("import-orders")), |row| row.status = status);
    for run in [foreign(RunStatus::Scheduled), foreign(RunStatus::Running), never_called("import-orders")] {
        assert_eq!(room(&with(run)), 0);
    }
    // A card has no plot.
    let card = LiveSection::new([&with(read(running()))], &report_inputs(), PACE).render().unwrap();
    assert_eq!(count(&card, "class=\"plot"), 0);
}

#[test]
fn a_file_read_in_no_time_has_no_speed_and_its_failed_rows_all_the_same() {
    let mut quick = Stretches::new(MIB);
    quick.count(0, Counts { processed: 100, failed: 0 });
    quick.count(MIB - 1, Counts { processed: 99, failed: 1 });
    quick.spend(0, MIB, 900);
    let run = RunSnapshot {
        committed: RunReading { stretches: Some(Arc::new(quick)), ..RunReading::default() },
        ..run_row(counted(199, 1, ended(RunStatus::Completed)), |row| row.bytes = MIB)
    };
    let room = |html: &str| (count(html, "class=\"plot above"), count(html, "class=\"plot below"));
    let snapshot = with(run.clone());
    assert_eq!(room(&panel(&snapshot)), (1, 1), "a page that was open before keeps the space");
    let opened = ImportPanel::new(&snapshot, &report_inputs(), PACE).without_empty_plots();
    assert_eq!(room(&opened.render().unwrap()), (0, 1));
    let plot = plot(run);
    let drawing = Drawing::of(&plot);
    assert_eq!((drawing.columns.as_str(), drawing.ticks.as_str()), ("", "M995.0 3v5.0"));
    assert_eq!(plot.note, Some("Too fast to chart"));
    assert!(plot.table.iter().all(|row| row.rows_per_second.is_none()), "{:?}", plot.table);
}

fn row(line: u64, cells: &[&str]) -> FirstRow {
    let cells = cells.iter().map(|cell| (*cell).to_owned()).collect();
    FirstRow { line, cells, failure: None, at_fault: None }
}

fn first(rows: Vec<FirstRow>) -> FirstRows {
    let header = vec!["id".to_owned(), "na␉me".to_owned(), "ordered_at".to_owned()];
    FirstRows { header_line: 3, header, columns: 15, rows, is_failed_csv: false }
}

fn first_rows(first: FirstRows) -> String {
    panel(&with(RunSnapshot {
        committed: RunReading { first_rows: Some(Arc::new(first)), ..RunReading::default() },
        ..running()
    }))
}

#[test]
fn the_first_rows_are_a_table_with_line_numbers() {
    let missing = FirstRow { failure: Some("1 field, expected 15".to_owned()), ..row(6, &["x"]) };
    let html =
        first_rows(first(vec![row(4, &["1", "Ann", "2026-11-02"]), row(5, &["2", "B␊o", ""]), missing]));
    for expected in [
        r#"id="first-rows" role="region" aria-label="Table of the first rows" tabindex="0""#,
        r#"<tr class="before"><th scope="row">1–2</th><td colspan="4">empty</td></tr>"#,
        r#"<th scope="row">3</th><th scope="col" class="number"><bdi>id</bdi></th>"#,
        r#"<th scope="col"><bdi>na<span class="control">TAB</span>me</bdi></th>"#,
        r#"<th scope="col" class="note">and 12 more columns</th>"#,
        r#"<tr><th scope="row">4</th><td class="number"><bdi>1</bdi></td><td class=""><bdi>Ann</bdi></td>"#,
        r#"<bdi>B<span class="control">LF</span>o</bdi>"#,
        r#"<tr class="fails"><th scope="row">6</th>"#,
        r#"<td class="note" colspan="2">1 field, expected 15</td><td></td></tr>"#,
    ] {
        assert!(html.contains(expected), "{expected}\n{html}");
    }
    assert!(!html.contains("fails because"), "the reason stands where the fields are missing: {html}");
}

#[test]
fn why_rows_fail_has_a_column_where_no_field_is_missing() {
    let broken = FirstRow {
        failure: Some("contains a NUL byte".to_owned()),
        at_fault: Some(1),
        ..row(4, &["1", "a␀", ""])
    };
    let html = first_rows(first(vec![broken]));
    assert!(html.contains(r#"<th scope="col" class="note reason-column">reason</th>"#), "{html}");
    assert!(html.contains(r#"<td class=" fault"><bdi>a<mark>NUL</mark></bdi></td>"#), "{html}");
    assert!(html.contains(r#"<td class="note">contains a NUL byte</td></tr>"#), "{html}");
}

#[test]
fn what_a_file_begins_with_is_never_markup() {
    let evil = "<script>alert(1)</script>";
    let html = first_rows(FirstRows { header: vec![evil.to_owned()], ..first(vec![row(4, &[evil])]) });
    assert!(!html.contains("<script>"), "{html}");
    assert_eq!(count(&html, "&#60;script&#62;"), 2, "{html}");
}

#[test]
fn the_place_of_the_first_rows_says_why_they_are_not_there() {
    let soon = "The first rows show here once the import reads them.";
    for unfinished in [sent(), with(running()), with(retrying(1))] {
        assert!(panel(&unfinished).contains(soon));
    }
    assert!(
        panel(&with(ended(RunStatus::Completed))).contains("The first rows of this import were not kept.")
    );
    let unread = run_row(ended(RunStatus::Failed), |row| row.bytes = 0);
    assert!(panel(&with(unread)).contains("Nothing was read."));
    let foreign = run_row(running(), |row| row.execution = None);
    assert!(!panel(&with(foreign.clone())).contains("First rows"), "another's function reads the file");
    let fan_out = Snapshot { runs: vec![foreign, running()], ..sent() };
    assert!(panel(&fan_out).contains(soon));
}
